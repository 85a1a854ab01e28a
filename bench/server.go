package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Target is a server binary that takes etcd's flags.
type Target struct{ Name, Path string }

// Server is one running process with its data directory.
type Server struct {
	Target
	dir, addr string
	// certificates are nil for a server without TLS.
	certificates *Certificates
	quota        int64
	patience     time.Duration
	// stopped, when closed, ends a start that is waited for.
	stopped <-chan struct{}
	cmd     *exec.Cmd
	ended   chan struct{}
	log     *os.File
}

// recommended is the largest quota that etcd's documentation recommends.
const recommended = 8 << 30

// Start runs the server on free ports, over mutual TLS if there are certificates, and waits until it
// answers a linearizable read.
func Start(target Target, dir string, certificates *Certificates) (*Server, error) {
	s := &Server{Target: target, dir: dir, certificates: certificates, quota: recommended, patience: time.Minute}
	_, err := s.start()
	return s, err
}

// start returns how long it took from the process's start to the first answer.
func (s *Server) start() (time.Duration, error) {
	s.addr = "127.0.0.1:" + freePort()
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return 0, err
	}
	file, err := os.Create(s.dir + ".log")
	if err != nil {
		return 0, err
	}
	s.log = file
	s.cmd = exec.Command(s.Path, s.flags()...)
	s.cmd.Stdout, s.cmd.Stderr = file, file
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return 0, err
	}
	s.ended = make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	for time.Since(begin) < s.patience && s.Alive() {
		if s.answers() {
			return time.Since(begin), nil
		}
		select {
		case <-s.stopped:
			return 0, errors.New("stopped while it started")
		case <-time.After(2 * time.Millisecond):
		}
	}
	if !s.Alive() {
		return 0, errors.New(s.ending())
	}
	return 0, fmt.Errorf("%s did not answer within %v; its log is %s", s.Name, s.patience, file.Name())
}

// flags are the server's command line, with a free port for the peers that never come.
func (s *Server) flags() []string {
	url, peerURL := "http://"+s.addr, "http://127.0.0.1:"+freePort()
	var security []string
	if s.certificates != nil {
		url, security = "https://"+s.addr, s.certificates.Flags()
	}
	return append(security, "--data-dir", s.dir, "--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL,
		"--initial-cluster", "default="+peerURL, "--quota-backend-bytes", strconv.FormatInt(s.quota, 10), "--log-level", "warn")
}

// ending is how a server that has ended did so, and the last it said.
func (s *Server) ending() string {
	raw, _ := os.ReadFile(s.log.Name())
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	last := lines[len(lines)-1]
	return fmt.Sprintf("the server ended (%s) %s", s.cmd.ProcessState, last[:min(len(last), 300)])
}

// Alive says whether the process runs.
func (s *Server) Alive() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

func (s *Server) answers() bool {
	conn, err := net.DialTimeout("tcp", s.addr, 100*time.Millisecond)
	if err != nil {
		return false
	}
	conn.Close()
	c := s.Dial()
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err = pb.NewKVClient(c).Range(ctx, &pb.RangeRequest{Key: []byte("k")})
	return err == nil
}

// Dial opens one connection with no limit on what comes back.
func (s *Server) Dial() *grpc.ClientConn {
	transport := insecure.NewCredentials()
	if s.certificates != nil {
		transport = s.certificates.Client
	}
	c, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1), grpc.MaxCallSendMsgSize(1<<31-1)))
	if err != nil {
		panic(err)
	}
	return c
}

// Restart stops the server and starts it again on the same data.
func (s *Server) Restart() (time.Duration, error) {
	s.Stop()
	return s.start()
}

// Stop asks the server to end, and waits.
func (s *Server) Stop() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(s.patience / 6):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.log.Close()
	s.cmd = nil
}

// Kill ends the server without warning.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		s.Stop()
	}
}

// CPU is the processor time the server has used, user and system, from the clock that the kernel keeps
// for each process; zero when it has ended, which the calls that failed will say.
func (s *Server) CPU() time.Duration {
	// A clock's number is the process' own, inverted, above three bits that say: all threads, as scheduled.
	const scheduled = 2
	var used unix.Timespec
	if err := unix.ClockGettime(^int32(s.cmd.Process.Pid)<<3|scheduled, &used); err != nil {
		return 0
	}
	return time.Duration(used.Nano())
}

// Memory returns a field of /proc/PID/status in bytes: VmRSS now, VmHWM at its highest, RssAnon without
// the pages of mapped files; zero when the server has ended.
func (s *Server) Memory(field string) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, field+":") {
			kib, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			return kib * 1024
		}
	}
	return 0
}

// Written is what the server has sent to the disk, in bytes.
func (s *Server) Written() float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(raw), "\nwrite_bytes: ")
	line, _, _ := strings.Cut(after, "\n")
	bytes, _ := strconv.ParseFloat(line, 64)
	return bytes
}

// ForgetPeak makes VmHWM start again from what is resident now.
func (s *Server) ForgetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0)
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
