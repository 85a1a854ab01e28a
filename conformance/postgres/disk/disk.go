// Package disk gives data directories small file systems of their own, in memory, and fills them. They, and the network
// that servers talk over, can be this process's own: they vanish with it, and nothing of the machine is touched.
package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

const mark = "FAULTS_OWN_NAMESPACES"

// Own lets this process begin again with mounts and a loopback network of its own. It returns when it has, or says why
// that cannot be.
func Own() error {
	if os.Getenv(mark) != "" {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("mounts and a network of one's own need root")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of our own: %w", err)
	}
	// The commands that this thread starts are where it is.
	if said, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip link set lo up: %w: %s", err, said)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), mark+"=1"))
}

// Mount puts an empty file system of so many bytes at a directory.
func Mount(dir string, size int64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syscall.Mount("faults", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size))
}

// Unmount takes it away, whoever has files open in it.
func Unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }

// filler is the file that takes all room.
const filler = "filler"

// Fill takes all that is free in a directory's file system, to the last page; Free gives it back.
func Fill(dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, filler), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	var at int64
	page := int64(os.Getpagesize())
	for {
		var fs syscall.Statfs_t
		if err := syscall.Fstatfs(int(file.Fd()), &fs); err != nil {
			return err
		}
		free := int64(fs.Bavail) * fs.Bsize
		if free < page {
			return nil
		}
		// Others write meanwhile: what was free may be gone.
		switch err := syscall.Fallocate(int(file.Fd()), 0, at, free); err {
		case nil:
			at += free
		case syscall.ENOSPC, syscall.EINTR:
		default:
			return fmt.Errorf("filling %s: %w", dir, err)
		}
	}
}

// Free gives back what Fill took.
func Free(dir string) error { return os.Remove(filepath.Join(dir, filler)) }
