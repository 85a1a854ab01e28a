package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one child in a process group of its own.
type process struct {
	name     string
	log      string
	cmd      *exec.Cmd
	done     chan struct{}
	stopping atomic.Bool
}

// launch starts a child whose output goes to its log file, or to sink if one is given. Should this
// program die without stopping its children, the kernel ends them.
func launch(dir, name string, sink io.Writer, binary string, args ...string) (*process, error) {
	path := filepath.Join(dir, name+".log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if sink != nil {
		cmd.Stdout, cmd.Stderr = sink, sink
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, log: path, cmd: cmd, done: make(chan struct{})}
	go func() {
		// How it ended is in ProcessState; the error repeats it.
		_ = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// fell tells whether the child ended without being asked to.
func (p *process) fell() error {
	select {
	case <-p.done:
		if !p.stopping.Load() {
			return fmt.Errorf("%s ended by itself (%s), see %s", p.name, p.cmd.ProcessState, p.log)
		}
	default:
	}
	return nil
}

// stop asks with SIGTERM, then insists with SIGKILL, and waits until the child is gone.
func (p *process) stop(limit time.Duration) {
	p.stopping.Store(true)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(limit):
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		// ESRCH only says that it ended in between.
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}
