package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a process with a data directory in memory.
type server struct {
	name, address, dir string
	cmd                *exec.Cmd
}

func start(binary string) (*server, error) {
	dir, err := os.MkdirTemp(memory(), "idle-")
	if err != nil {
		return nil, err
	}
	clients, peers := freeAddress(), "http://"+freeAddress()
	cmd := exec.Command(binary, "--name=idle", "--data-dir="+filepath.Join(dir, "data"), "--log-level=error",
		"--listen-client-urls=http://"+clients, "--advertise-client-urls=http://"+clients, "--listen-peer-urls="+peers,
		"--initial-advertise-peer-urls="+peers, "--initial-cluster=idle="+peers)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &server{name: filepath.Base(binary), address: clients, dir: dir, cmd: cmd}, nil
}

func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func freeAddress() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer listener.Close()
	return listener.Addr().String()
}

func (s *server) stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
	os.RemoveAll(s.dir)
}

// resident is the memory that the process has, without the pages of files.
func (s *server) resident() int64 {
	page, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(page) {
		if rest, found := strings.CutPrefix(string(line), "RssAnon:"); found {
			size, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return size << 10
		}
	}
	return 0
}

// settles waits until nine tenths of what the idle took are back, and says how much is left and how long it took;
// if it does not come back, the whole patience.
func (s *server) settles(before, with int64, patience time.Duration) (int64, time.Duration) {
	begun := time.Now()
	for time.Since(begun) < patience {
		if now := s.resident(); now-before <= (with-before)/10 {
			return now, time.Since(begun)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return s.resident(), patience
}
