package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// movePhases are a run that begins on etcd, goes on with the store under test and comes back to etcd and
// again, while the control plane, its informers and its writers stay as they are.
func movePhases() []phase {
	return []phase{
		{"bootstrap", true, (*run).bootstrap},
		{"create objects", true, (*run).createObjects},
		{"pages while others write", false, (*run).pages},
		{"patches and conflicts", false, (*run).patches},
		{"deployment", false, (*run).deployment},
		{"moved from etcd by its data directory", true, (*run).moveByDirectory},
		{"rollout and scale down", false, (*run).rollout},
		{"custom resources", false, (*run).customResources},
		{"moved back to etcd by a snapshot", true, (*run).moveBack},
		{"finalizers and collections", false, (*run).removals},
		{"namespace deletion", false, (*run).namespaceDeletion},
		{"moved from etcd by a snapshot", true, (*run).moveBySnapshot},
		{"controllers and scheduler come back", false, (*run).comeBack},
		{"watches and informers", false, (*run).judgeWatches},
		{"metrics and probes", false, (*run).judgeMetrics},
		{"logs and resources", false, (*run).judgeLogs},
	}
}

func (r *run) tool(name string) string { return filepath.Join(r.opt.bin, name) }

func (r *run) moveByDirectory() error {
	return r.move("move", r.opt.store, func(s *store, to string) error {
		return r.restoreHere(s.data(), to)
	})
}

func (r *run) moveBack() error {
	return r.move("return", r.tool("etcd"), func(s *store, to string) error {
		file, err := r.saveAside(s)
		if err != nil {
			return err
		}
		return r.command(r.tool("etcdutl"), "snapshot", "restore", file, "--data-dir="+to,
			"--name=conformance", "--initial-cluster=conformance="+s.peers,
			"--initial-advertise-peer-urls="+s.peers)
	})
}

func (r *run) moveBySnapshot() error {
	return r.move("again", r.opt.store, func(s *store, to string) error {
		file, err := r.saveAside(s)
		if err != nil {
			return err
		}
		return r.restoreHere(file, to)
	})
}

func (r *run) restoreHere(from, to string) error {
	s := r.cluster.store
	return r.command(r.opt.store, "restore", from, "--data-dir="+to, "--name=conformance",
		"--initial-cluster=conformance="+s.peers, "--initial-advertise-peer-urls="+s.peers)
}

// move stops the store under writes, lets carry make another data directory of what it left, and starts the
// other program on it with the same flags, addresses and certificates.
func (r *run) move(name, binary string, carry func(s *store, to string) error) error {
	return r.endure(name, func(*load) error {
		s := r.cluster.store
		began := time.Now()
		stopped := s.process.stop(gracePeriod)
		r.report.check(stopped, "store stops on SIGTERM under load", "after %.1f s",
			time.Since(began).Seconds())
		began = time.Now()
		to := s.data() + ".new"
		if err := carry(s, to); err != nil {
			return err
		}
		r.report.check(true, "data carried over", "%s to %s in %.2f s", filepath.Base(s.binary),
			filepath.Base(binary), time.Since(began).Seconds())
		if err := s.replaceData(to); err != nil {
			return err
		}
		s.binary = binary
		return r.startAgain()
	}, nil)
}

// data is the directory of what the store keeps.
func (s *store) data() string { return filepath.Join(s.dir, "data") }

// replaceData puts another directory in the place of the store's, and keeps what was there.
func (s *store) replaceData(with string) error {
	old := fmt.Sprintf("%s.%s.%d", s.data(), filepath.Base(s.binary), time.Now().Unix())
	return errors.Join(os.Rename(s.data(), old), os.Rename(with, s.data()))
}

// saveAside starts the stopped store at addresses that nobody knows, so that nothing is written beside the
// snapshot, and saves one with etcdctl.
func (r *run) saveAside(s *store) (string, error) {
	ports, err := freePorts(3)
	if err != nil {
		return "", err
	}
	aside := newStore(r.opt, s.dir, s.authority, ports)
	aside.binary = s.binary
	if err := aside.start(r.ctx); err != nil {
		return "", err
	}
	file := fmt.Sprintf("%s.%d.db", s.data(), time.Now().Unix())
	arguments := []string{"--endpoints=" + aside.clients[0], "snapshot", "save", file}
	if s.tls {
		a := s.authority
		arguments = append(arguments, "--cacert="+a.path("ca.crt"), "--cert="+a.path("client.crt"),
			"--key="+a.path("client.key"))
	}
	err = r.command(r.tool("etcdctl"), arguments...)
	if !aside.process.stop(gracePeriod) {
		err = errors.Join(err, errors.New("the store beside did not stop on SIGTERM"))
	}
	return file, err
}

// command runs a program of the command line to its end.
func (r *run) command(binary string, arguments ...string) error {
	command := exec.CommandContext(r.ctx, binary, arguments...)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, said)
	}
	return nil
}

// removeData deletes the store's directories and snapshots, those of earlier stations included.
func (r *run) removeData() error {
	all, err := filepath.Glob(filepath.Join(r.dir, "data*"))
	for _, path := range all {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}
