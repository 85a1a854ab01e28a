package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// makeSnapshot fills an etcd and saves the snapshot that both servers are to be restored from.
func makeSnapshot(o Options, dir string) (string, error) {
	s, err := Start(targets(o)[0], filepath.Join(dir, "source"), nil)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(filepath.Join(dir, "source"))
	defer s.Kill()
	if err := fill(s, o.RestoreKeys); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "source.db")
	_, err = saveSnapshot(s, path)
	return path, err
}

// restoreStore measures from a snapshot's file to a server that answers.
func restoreStore(o Options) []Scenario {
	return []Scenario{{Name: "restore and start", Run: func(s *Server) ([]Figure, error) {
		s.Stop()
		if err := os.RemoveAll(s.dir); err != nil {
			return nil, err
		}
		command := exec.Command(s.Path, "restore", o.snapshot, "--data-dir", s.dir)
		if s.Name == "etcd" {
			command = exec.Command(o.Etcdutl, "snapshot", "restore", o.snapshot, "--data-dir", s.dir)
		}
		begin := time.Now()
		if said, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", command, err, said)
		}
		restored := time.Since(begin)
		started, err := s.start()
		if err != nil {
			return nil, err
		}
		usage := command.ProcessState
		return []Figure{
			{"restoring", "s", restored.Seconds()},
			{"starting", "s", started.Seconds()},
			{"both", "s", (restored + started).Seconds()},
			{"CPU of restoring", "s", (usage.UserTime() + usage.SystemTime()).Seconds()},
			{"resident when served", "MB", s.Memory("VmRSS") / 1e6},
		}, countAll(s, o.RestoreKeys)
	}}}
}

// countAll says if the store has not as many keys as were put.
func countAll(s *Server, keys int) error {
	conn := s.Dial()
	defer conn.Close()
	reply, err := pb.NewKVClient(conn).Range(context.Background(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0},
		CountOnly: true})
	if err == nil && reply.Count != int64(keys) {
		err = fmt.Errorf("%d keys of %d", reply.Count, keys)
	}
	return err
}
