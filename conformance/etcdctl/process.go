package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Output is all that a command shows.
type Output struct {
	Stdout, Stderr string
	// Exit is the exit code, or the signal's negative number.
	Exit int
}

// buffer is written by a running process and read beside it.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(data)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// process is one started command. Its input stays open while it runs, if it is to be interrupted.
type process struct {
	command        *exec.Cmd
	stdout, stderr buffer
	input          io.WriteCloser
	cancel         context.CancelFunc
	ended          chan error
}

const processLimit = 150 * time.Second

func start(words []string, env []string, input string, keepInput bool) (*process, error) {
	ctx, cancel := context.WithTimeout(context.Background(), processLimit)
	p := &process{command: exec.CommandContext(ctx, words[0], words[1:]...), cancel: cancel,
		ended: make(chan error, 1)}
	p.command.Stdout, p.command.Stderr = &p.stdout, &p.stderr
	p.command.Env = append(os.Environ(), env...)
	p.command.WaitDelay = time.Second
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	pipe, err := p.command.StdinPipe()
	if err == nil {
		err = p.command.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	p.input = pipe
	go func() {
		// A command that does not read its input is no error.
		_, _ = io.WriteString(pipe, input)
		if !keepInput {
			pipe.Close()
		}
	}()
	go func() { p.ended <- p.command.Wait() }()
	return p, nil
}

// finish waits for the end of the process and returns what it has shown.
func (p *process) finish() Output {
	err := <-p.ended
	p.ended <- err
	p.cancel()
	output := Output{Stdout: p.stdout.String(), Stderr: p.stderr.String()}
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		output.Exit = exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			output.Exit = -int(status.Signal())
		}
	default:
		output.Stderr += "harness: " + err.Error()
	}
	return output
}

func (p *process) running() bool {
	select {
	case err := <-p.ended:
		p.ended <- err
		return false
	default:
		return true
	}
}

// interrupt asks the process to end, as Ctrl-C does, and makes it end if it does not.
func (p *process) interrupt() Output {
	if p.running() {
		if err := p.command.Process.Signal(os.Interrupt); err == nil {
			time.AfterFunc(5*time.Second, p.cancel)
		}
	}
	output := p.finish()
	p.input.Close()
	return output
}
