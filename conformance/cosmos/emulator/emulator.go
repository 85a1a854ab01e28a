// Package emulator runs an emulator of Azure Cosmos DB for one judge: npm's @vercel/cosmosdb-server, in memory, as
// emulator.sh installs and starts it.
package emulator

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"conformance/store"
)

// Emulator is one running process with a store of its own.
type Emulator struct {
	// URL is where it answers, without a slash at its end.
	URL     string
	process *exec.Cmd
	said    strings.Builder
}

const startLimit = 2 * time.Minute

// Start installs the emulator if it is not there, and runs it on a free port.
func Start() (*Emulator, error) {
	_, here, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(here), "..", "emulator.sh")
	if found := os.Getenv("COSMOS_EMULATOR"); found != "" {
		script = found
	}
	if out, err := exec.Command(script, "install").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the emulator cannot be installed: %w\n%s", err, out)
	}
	ports, err := store.FreePorts(1)
	if err != nil {
		return nil, err
	}
	e := &Emulator{URL: fmt.Sprintf("http://127.0.0.1:%d", ports[0])}
	e.process = exec.Command(script, "run", fmt.Sprint(ports[0]))
	e.process.Stdout, e.process.Stderr = &e.said, &e.said
	// It must not outlive the judge, however that ends.
	e.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := e.process.Start(); err != nil {
		return nil, err
	}
	return e, e.awaitReady()
}

func (e *Emulator) awaitReady() error {
	for began := time.Now(); time.Since(began) < startLimit; time.Sleep(20 * time.Millisecond) {
		if e.process.Process.Signal(syscall.Signal(0)) != nil {
			break
		}
		reply, err := http.Get(e.URL + "/")
		if err == nil {
			reply.Body.Close()
			return nil
		}
	}
	e.Stop()
	return errors.New("the emulator does not answer: " + e.said.String())
}

// Stop ends the process, and its store with it.
func (e *Emulator) Stop() {
	_ = e.process.Process.Kill()
	// It was killed: that it did not end by itself is no news.
	_ = e.process.Wait()
}
