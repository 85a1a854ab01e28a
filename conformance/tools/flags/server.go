package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A server is one running process; its log stands in a file.
type server struct {
	address, peer, dir string
	process            *exec.Cmd
}

// free gives addresses that nobody listened on a moment ago.
func free() (addresses [2]string, err error) {
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return addresses, err
		}
		defer listener.Close()
		addresses[i] = listener.Addr().String()
	}
	return addresses, nil
}

// serve starts a server on ports of its own, and waits until it serves.
func serve(binary string, args ...string) (*server, error) {
	addresses, err := free()
	if err != nil {
		return nil, err
	}
	client, peer := "http://"+addresses[0], "http://"+addresses[1]
	all := []string{"--data-dir=data", "--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer}
	return launch(binary, addresses, append(all, args...))
}

func launch(binary string, addresses [2]string, args []string) (*server, error) {
	dir, err := os.MkdirTemp("", "flags-")
	if err != nil {
		return nil, err
	}
	s := &server{address: addresses[0], peer: addresses[1], dir: dir}
	log, err := os.Create(s.log())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.process = exec.Command(binary, args...)
	s.process.Dir, s.process.Stdout, s.process.Stderr = dir, log, log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	for range 400 {
		text, err := os.ReadFile(s.log())
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(text), "ready to serve client requests") {
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(s.log())
	s.stop()
	return nil, fmt.Errorf("%s does not serve:\n%s", binary, text)
}

func (s *server) log() string { return filepath.Join(s.dir, "log") }

func (s *server) stop() {
	s.process.Process.Kill()
	s.process.Wait()
	os.RemoveAll(s.dir)
}
