package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"conformance/postgres/disk"
)

// keeper is the running pg_autoctl of a node.
type keeper struct {
	process *exec.Cmd
	exited  chan struct{}
}

// newNode makes the node's directory. Everything that runs for it has its working directory there, and that
// is how it is found again: postmaster and backends are in sessions of their own.
func (c *Cluster) newNode(name string, port int) (*Node, error) {
	node := &Node{Name: name, Port: port, dir: filepath.Join(c.Dir, name), cluster: c}
	if err := os.MkdirAll(node.dir, 0o700); err != nil {
		return nil, err
	}
	if c.options.Disk != 0 && name != "monitor" {
		if err := disk.Mount(node.dir, c.options.Disk); err != nil {
			return nil, err
		}
		node.ownDisk = true
	}
	return node, c.owner.give(node.dir)
}

func (n *Node) data() string { return filepath.Join(n.dir, "data") }

// create registers the node and runs it; it does not wait.
func (n *Node) create() error {
	security := "--no-ssl"
	if n.cluster.options.TLS {
		security = "--ssl-self-signed"
	}
	return n.launch("create", "postgres", "--run", "--name", n.Name, "--pgdata", n.data(),
		"--pgport", fmt.Sprint(n.Port), "--listen", "127.0.0.1", "--hostname", "127.0.0.1", "--auth", "trust",
		security, "--monitor", n.cluster.monitorURL())
}

// run starts a node that was created before; it does not wait.
func (n *Node) run() error { return n.launch("run", "--pgdata", n.data()) }

// Restart starts a node that was killed; the monitor makes a standby of it.
func (n *Node) Restart() error {
	// A postmaster that was killed leaves its pid, which may be another process' by now.
	if err := os.Remove(filepath.Join(n.data(), "postmaster.pid")); err != nil && !os.IsNotExist(err) {
		return err
	}
	return n.run()
}

func (n *Node) prepared(ctx context.Context, arguments ...string) (*exec.Cmd, error) {
	program, err := exec.LookPath("pg_autoctl")
	if err != nil {
		return nil, fmt.Errorf("%w (conformance/postgres/install.sh installs it)", err)
	}
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir = n.dir
	command.Env = n.cluster.owner.environment(n.cluster.Dir, n.dir)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT,
		Credential: n.cluster.owner.credential()}
	return command, nil
}

func (n *Node) launch(arguments ...string) error {
	command, err := n.prepared(context.Background(), arguments...)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(n.cluster.Dir, n.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return err
	}
	n.keeper = &keeper{process: command, exited: make(chan struct{})}
	go func(k *keeper) {
		// How it ended is nobody's business: it is killed most of the time.
		_ = k.process.Wait()
		close(k.exited)
	}(n.keeper)
	return nil
}

// command runs pg_autoctl to its end.
func (n *Node) command(ctx context.Context, arguments ...string) error {
	command, err := n.prepared(ctx, arguments...)
	if err != nil {
		return err
	}
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, said)
	}
	return nil
}

// demandPassword puts a rule before all others. What runs over the socket, and the keepers of other nodes as
// users of their own, are not asked.
func (n *Node) demandPassword() error {
	path := filepath.Join(n.data(), "pg_hba.conf")
	rules, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rule := fmt.Sprintf("host all %s all scram-sha-256\n", User)
	return os.WriteFile(path, append([]byte(rule), rules...), 0o600)
}

// postmaster is the pid in the file that a running one keeps.
func (n *Node) postmaster() (int, error) {
	text, err := os.ReadFile(filepath.Join(n.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(line)
}

// ask asks the node to end, and does not wait.
func (n *Node) ask() {
	if n.keeper != nil {
		// It may have ended before.
		_ = n.keeper.process.Process.Signal(syscall.SIGINT)
	}
}

// end waits for the node's end, and kills what is left of it.
func (n *Node) end() error {
	if n.keeper == nil {
		return nil
	}
	select {
	case <-n.keeper.exited:
	case <-time.After(10 * time.Second):
	}
	return n.Kill()
}

// Kill kills with -9 everything that runs in the node's directory, again until nothing does, because a
// postmaster that dies a moment later than its keeper may have started something in between.
func (n *Node) Kill() error {
	const patience = 10 * time.Second
	segments := map[string]bool{}
	defer removeSegments(segments)
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		pids := n.PIDs()
		if len(pids) == 0 {
			return nil
		}
		noteSegments(pids, segments)
		for _, pid := range pids {
			// It may be gone already.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if time.Since(began) > patience {
			return fmt.Errorf("%s: processes %v do not end", n.Name, pids)
		}
	}
}

// noteSegments finds the shared memory that a postmaster would have removed at its end.
func noteSegments(pids []int, segments map[string]bool) {
	for _, pid := range pids {
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(maps)) {
			fields := strings.Fields(line)
			if path := fields[len(fields)-1]; strings.HasPrefix(path, "/dev/shm/PostgreSQL.") {
				segments[path] = true
			}
		}
	}
}

func removeSegments(segments map[string]bool) {
	for path := range segments {
		// A postmaster that ended by itself has removed it.
		_ = os.Remove(path)
	}
}
