package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// errNoMounts says that this process may not mount: nothing was judged.
var errNoMounts = errors.New("file systems cannot be mounted here (it takes root, and loop devices)")

// inNamespace is set in the process that has mounts of its own, which go when it goes.
const inNamespace = "KILL_MOUNTS"

// ownMounts runs this program again where its mounts are nobody else's, and says how that ended.
func ownMounts() (int, error) {
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Env = append(os.Environ(), inNamespace+"=1")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := child.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	default:
		return 0, fmt.Errorf("%w: %v", errNoMounts, err)
	}
}

// volume is a small file system of the judge's own.
type volume struct {
	// path is where it is mounted.
	path string
	// image is the file with an ext4 in it; without one it is a tmpfs.
	image string
	size  int64
}

// newVolume makes and mounts an ext4 that becomes read-only at an error, or a tmpfs.
func newVolume(dir, kind string, size int64) (*volume, error) {
	v := &volume{path: filepath.Join(dir, "volume"), size: size}
	if err := os.Mkdir(v.path, 0o700); err != nil {
		return nil, err
	}
	if kind == "ext4" {
		v.image = filepath.Join(dir, "image")
		if err := os.WriteFile(v.image, nil, 0o600); err != nil {
			return nil, err
		}
		if err := os.Truncate(v.image, size); err != nil {
			return nil, err
		}
		if err := command("mkfs.ext4", "-q", "-m", "0", v.image); err != nil {
			return nil, fmt.Errorf("%w: %v", errNoMounts, err)
		}
	}
	if err := v.mount(); err != nil {
		return nil, fmt.Errorf("%w: %v", errNoMounts, err)
	}
	return v, nil
}

func (v *volume) kind() string {
	if v.image == "" {
		return "tmpfs"
	}
	return "ext4"
}

func (v *volume) mount() error {
	if v.image == "" {
		return command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", v.size), "volume", v.path)
	}
	return command("mount", "-o", "loop,errors=remount-ro", v.image, v.path)
}

// remount asks for another mode, as an operator does.
func (v *volume) remount(mode string) error { return command("mount", "-o", "remount,"+mode, v.path) }

// fill takes all room that is left, at once: whoever writes meanwhile must not get ahead of it.
func (v *volume) fill() error {
	file, err := os.OpenFile(v.filler(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	for size := v.size / 2; size >= 4096; {
		had, err := file.Stat()
		if err != nil {
			return err
		}
		err = syscall.Fallocate(int(file.Fd()), 0, had.Size(), size)
		if errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			return err
		}
	}
	return nil
}

// free gives back what fill has taken.
func (v *volume) free() error { return os.Remove(v.filler()) }

func (v *volume) filler() string { return filepath.Join(v.path, "filler") }

// breakDown makes the file system find an error in itself: it is read-only from then on.
func (v *volume) breakDown() error {
	device, err := v.device()
	if err != nil {
		return err
	}
	trigger := filepath.Join("/sys/fs/ext4", device, "trigger_fs_error")
	return os.WriteFile(trigger, []byte("the judge's doing"), 0)
}

// cutOff stops the file system at once: all is an I/O error, and what had not got to the device never does.
// That is a loss of power, but for the device's own cache.
func (v *volume) cutOff() error {
	// _IOR('X', 125, u32), and not even its log is written.
	const shutdown, withoutLog = 0x8004587d, 2
	folder, err := os.Open(v.path)
	if err != nil {
		return err
	}
	defer folder.Close()
	flags := uint32(withoutLog)
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, folder.Fd(), shutdown, uintptr(unsafe.Pointer(&flags)))
	if failed != 0 {
		return failed
	}
	return nil
}

// repair is what an operator does: unmount, look for errors, mount.
func (v *volume) repair() error {
	if err := v.unmount(); err != nil {
		return err
	}
	var exit *exec.ExitError
	// 1 says that errors were found and mended.
	if err := exec.Command("e2fsck", "-fp", v.image).Run(); errors.As(err, &exit) && exit.ExitCode() > 1 {
		return fmt.Errorf("e2fsck: %w", err)
	}
	return v.mount()
}

func (v *volume) unmount() error {
	var err error
	for range 50 {
		if err = command("umount", v.path); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// device is the name of the loop device that is mounted.
func (v *volume) device() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		words := strings.Fields(line)
		if len(words) > 1 && words[1] == v.path {
			return filepath.Base(words[0]), nil
		}
	}
	return "", fmt.Errorf("%s is not mounted", v.path)
}

// command runs a command; what it says is in the error.
func command(name string, args ...string) error {
	said, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(said)))
	}
	return nil
}
