// Package clock makes a library that sets the wall clock of one process off, by as much as a file says at each moment. It
// is preloaded, so the process must be linked with libc dynamically; clocks that only go forward are left alone.
package clock

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed shim/realtime.c
var source []byte

// Build compiles the library into a directory and returns its path.
func Build(dir string) (string, error) {
	code, library := filepath.Join(dir, "realtime.c"), filepath.Join(dir, "realtime.so")
	if err := os.WriteFile(code, source, 0o644); err != nil {
		return "", err
	}
	if said, err := exec.Command("cc", "-O2", "-shared", "-fPIC", "-o", library, code).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cc: %w\n%s", err, said)
	}
	return library, nil
}

// Set makes the clock that the file rules wrong by so much. The file is mapped, so it is never made shorter.
func Set(file string, off time.Duration) error {
	open, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = open.WriteAt(fmt.Appendf(nil, "%20d\n", int64(off)), 0)
	return errors.Join(err, open.Close())
}

// Environment is what a process needs whose clock the file rules.
func Environment(library, file string) []string {
	return []string{"LD_PRELOAD=" + library, "FAULTS_CLOCK=" + file}
}
