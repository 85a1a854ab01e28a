package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one child in a process group of its own, with its output in one log file.
type process struct {
	name     string
	log      string
	cmd      *exec.Cmd
	done     chan struct{}
	stopping atomic.Bool
}

// launch starts a child. Its log is appended to, so that a restart keeps what was there. Should
// this program die without stopping its children, the kernel ends them.
func launch(dir, name, binary string, args ...string) (*process, error) {
	path := filepath.Join(dir, name+".log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
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
func (p *process) fell() (bool, string) {
	select {
	case <-p.done:
		if !p.stopping.Load() {
			return true, fmt.Sprintf("%s ended by itself (%s), see %s", p.name,
				p.cmd.ProcessState, p.log)
		}
	default:
	}
	return false, ""
}

// kill is kill -9 of the whole group, and waits until it is gone.
func (p *process) kill() {
	p.stopping.Store(true)
	p.signal(syscall.SIGKILL)
	<-p.done
}

// stop asks with SIGTERM, then insists; it tells whether asking was enough.
func (p *process) stop(limit time.Duration) bool {
	p.stopping.Store(true)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return true
	case <-time.After(limit):
		p.kill()
		return false
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

// usage is what the kernel says a process has used.
type usage struct {
	cpu          time.Duration
	resident     int64
	peakResident int64
	written      int64
}

// usage reads /proc; zero values where it cannot (another kernel, a process that is gone).
func (p *process) usage() usage {
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	var u usage
	if stat, err := os.ReadFile(proc + "stat"); err == nil {
		text := string(stat)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) > 12 {
			user, _ := strconv.ParseInt(fields[11], 10, 64)
			system, _ := strconv.ParseInt(fields[12], 10, 64)
			u.cpu = time.Duration(user+system) * (time.Second / 100)
		}
	}
	u.resident = procNumber(proc+"status", "VmRSS:") * 1024
	u.peakResident = procNumber(proc+"status", "VmHWM:") * 1024
	u.written = procNumber(proc+"io", "write_bytes:")
	return u
}

func procNumber(file, key string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, found := strings.CutPrefix(line, key); found {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}
