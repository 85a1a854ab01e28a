// Package store starts, stops and kills one etcd-flag-compatible server process, be it etcd or
// meridian, on free loopback ports with its own data directory. It knows nothing of what the
// server is asked.
package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Options say which binary to run and how.
type Options struct {
	// Binary is the server's executable.
	Binary string
	// Dir holds the data and the log; it is made if empty, under TempDir.
	Dir string
	// Args are added after the harness's own flags, so they win.
	Args []string
	// SameIdentity makes two servers advertise the same URLs, so that cluster and member ids,
	// which etcd derives from them, agree.
	SameIdentity bool
	// Secure makes the client URL https; the certificates are in Args, and this is how to dial.
	Secure *tls.Config
	// StartLimit is how long a start may take; 20 s if zero.
	StartLimit time.Duration
	// Env is added to the server's environment.
	Env []string
}

// Server is one running (or killed) server process.
type Server struct {
	// Endpoint is host:port of the client listener; it survives a Restart.
	Endpoint string
	// Dir holds the data directory and server.log.
	Dir string

	options Options
	own     []string
	peer    string
	// mu guards which process it is: one may be started while others ask how it is.
	mu      sync.Mutex
	process *exec.Cmd
	exited  chan error
}

func (s *Server) running() (*exec.Cmd, chan error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process, s.exited
}

const (
	startLimit      = 20 * time.Second
	stopLimit       = 10 * time.Second
	identityPeer    = "http://127.0.0.1:32380"
	identityClients = "http://127.0.0.1:32379"
)

// TempDir is where data directories go: memory if the machine has /dev/shm, so that the disk's
// speed is not what is tested.
func TempDir() string {
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err == nil && info.IsDir() {
		return memory
	}
	return os.TempDir()
}

// Start runs the server and waits until it answers.
func Start(options Options) (*Server, error) {
	server, err := New(options)
	if err != nil {
		return nil, err
	}
	if err := server.Restart(); err != nil {
		return nil, err
	}
	return server, nil
}

// New chooses the server's directory and ports and starts nothing.
func New(options Options) (*Server, error) {
	if _, err := os.Stat(options.Binary); err != nil {
		return nil, fmt.Errorf("no server binary: %w", err)
	}
	if options.Dir == "" {
		dir, err := os.MkdirTemp(TempDir(), "conformance-")
		if err != nil {
			return nil, err
		}
		options.Dir = dir
	}
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	return &Server{
		Endpoint: fmt.Sprintf("127.0.0.1:%d", ports[0]),
		Dir:      options.Dir,
		options:  options,
		peer:     fmt.Sprintf("http://127.0.0.1:%d", ports[1]),
	}, nil
}

// Add adds arguments for the next launch; of two that contradict each other the later wins.
func (s *Server) Add(args ...string) { s.options.Args = append(s.options.Args, args...) }

// Become makes the next start that of another binary; args stand behind those that the server has anyway, and instead of
// those that the last call gave.
func (s *Server) Become(binary string, args ...string) { s.options.Binary, s.own = binary, args }

// Restart runs the process again on the same ports and data, and waits until it answers; it
// must have ended before.
func (s *Server) Restart() error {
	if err := s.Launch(); err != nil {
		return err
	}
	if err := s.AwaitReady(); err != nil {
		s.Kill()
		return fmt.Errorf("%s is not ready: %w\n%s", s.options.Binary, err, s.LogTail(20))
	}
	return nil
}

// Launch runs the process without waiting for it to be ready, for those who mean to kill it.
func (s *Server) Launch() error {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(s.options.Binary, s.flags()...)
	process.Stdout, process.Stderr = log, log
	process.Env = append(os.Environ(), s.options.Env...)
	// The servers must not outlive the harness, however it ends.
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- process.Wait() }()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.exited = process, exited
	return nil
}

// Kill sends SIGKILL and waits for the end of the process.
func (s *Server) Kill() {
	process, exited := s.running()
	if process == nil {
		return
	}
	process.Process.Kill()
	err := <-exited
	exited <- err
}

// Stop sends SIGTERM and says if the process did not end in time or not with 0.
func (s *Server) Stop() error {
	process, exited := s.running()
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-exited:
		exited <- err
		// etcd passes the signal on to itself after a clean shutdown.
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGTERM {
				return nil
			}
		}
		return err
	case <-time.After(stopLimit):
		s.Kill()
		return fmt.Errorf("did not end %v after SIGTERM", stopLimit)
	}
}

// Remove kills the process and deletes its directory.
func (s *Server) Remove() {
	s.Kill()
	os.RemoveAll(s.Dir)
}

// Signal sends any other signal, such as those that stop a process and let it go on.
func (s *Server) Signal(signal syscall.Signal) error {
	process, _ := s.running()
	return process.Process.Signal(signal)
}

// Alive tells whether the process is still running.
func (s *Server) Alive() bool {
	process, exited := s.running()
	if process == nil {
		return false
	}
	select {
	case err := <-exited:
		exited <- err
		return false
	default:
		return true
	}
}

// Peer is host:port of the peer listener.
func (s *Server) Peer() string { return strings.TrimPrefix(s.peer, "http://") }

// PID is the process's id.
func (s *Server) PID() int {
	process, _ := s.running()
	return process.Process.Pid
}

// LogTail returns the last lines of the server's log.
func (s *Server) LogTail(lines int) string {
	text, err := os.ReadFile(s.logPath())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// LastWords is the line of the log that says why the process ended, if there is one.
func (s *Server) LastWords() string {
	for _, line := range strings.Split(s.LogTail(200), "\n") {
		for _, sign := range []string{"panic", `"level":"fatal"`, "fatal error"} {
			if strings.Contains(line, sign) {
				return line
			}
		}
	}
	return s.LogTail(1)
}

// Dial opens a gRPC connection that accepts replies of any size.
func (s *Server) Dial() (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if s.options.Secure != nil {
		transport = credentials.NewTLS(s.options.Secure)
	}
	return grpc.NewClient(s.Endpoint,
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1)))
}

func (s *Server) logPath() string { return filepath.Join(s.Dir, "server.log") }

func (s *Server) flags() []string {
	listen := "http://" + s.Endpoint
	if s.options.Secure != nil {
		listen = "https://" + s.Endpoint
	}
	clients, peers := listen, s.peer
	if s.options.SameIdentity {
		clients, peers = identityClients, identityPeer
	}
	flags := []string{
		"--name=conformance",
		"--data-dir=" + filepath.Join(s.Dir, "data"),
		"--listen-client-urls=" + listen,
		"--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + s.peer,
		"--initial-advertise-peer-urls=" + peers,
		"--initial-cluster=conformance=" + peers,
		"--initial-cluster-token=conformance",
		"--log-level=warn",
	}
	return slices.Concat(flags, s.options.Args, s.own)
}

// AwaitReady waits until a launched server answers.
func (s *Server) AwaitReady() error {
	conn, err := s.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	limit := s.options.StartLimit
	if limit == 0 {
		limit = startLimit
	}
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		if !s.Alive() {
			return errors.New("the process has ended")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err = pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("ready")})
		cancel()
		if answered(err) {
			return nil
		}
		conn.ResetConnectBackoff()
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("no answer in %v: %w", limit, err)
}

// answered tells whether the server itself spoke: with authentication or an alarm on, a refusal is
// all that a stranger gets, and it comes from a server that is ready.
func answered(err error) bool {
	switch status.Code(err) {
	case codes.OK, codes.InvalidArgument, codes.DataLoss:
		return true
	}
	return false
}
