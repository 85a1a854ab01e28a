package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// bound is a limit of the machine or of this run that ended a climb: no fault of the server's.
type bound struct{ why string }

func (b *bound) Error() string { return b.why }

// Guard stops a server before it fills the machine.
type Guard struct {
	o      SizeOptions
	dir    string
	before time.Time
	most   atomic.Int64
}

// largest is the most disk that was in use since it was last asked.
func (g *Guard) largest() float64 { return float64(g.most.Swap(0)) }

// Watch looks at the server four times a second, until ctx ends; past a limit it kills the server and cancels
// with the reason.
func (g *Guard) Watch(ctx context.Context, s *Server, cancel context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			if ctx.Err() == nil {
				cancel(errors.New(s.ending()))
			}
			return
		case <-time.After(250 * time.Millisecond):
		}
		if why := g.exceeded(s); why != "" {
			cancel(&bound{why})
			_ = s.cmd.Process.Kill()
			return
		}
	}
}

func (g *Guard) exceeded(s *Server) string {
	used := diskUsed(g.dir)
	g.most.Store(max(g.most.Load(), int64(used)))
	var disk syscall.Statfs_t
	_ = syscall.Statfs(g.dir, &disk)
	free := float64(disk.Bavail) * float64(disk.Bsize)
	switch memory := s.Memory("RssAnon"); {
	case memory > g.o.MaxMemory*(1<<30):
		return fmt.Sprintf("this run's limit of %g GiB of memory", g.o.MaxMemory)
	case used > g.o.MaxDisk*1e9:
		return fmt.Sprintf("this run's limit of %g GB of disk", g.o.MaxDisk)
	case free < 6e9:
		return fmt.Sprintf("less than 6 GB of disk free on this machine, with %.1f GB in use by the server", used/1e9)
	case available() < 1.5e9:
		return fmt.Sprintf("less than 1.5 GB of memory left on this machine, with %.1f GB in use by the server", memory/1e9)
	case time.Now().After(g.before):
		return fmt.Sprintf("this run's limit of %g minutes a server", g.o.Minutes)
	}
	return ""
}

// diskUsed counts the blocks of all files under dir.
func diskUsed(dir string) (total float64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			total += float64(info.Sys().(*syscall.Stat_t).Blocks) * 512
		}
		return nil
	})
	return total
}

// available is the kernel's estimate of what can still be had without swapping.
func available() float64 {
	raw, _ := os.ReadFile("/proc/meminfo")
	_, after, found := strings.Cut(string(raw), "MemAvailable:")
	if !found {
		return 1e18
	}
	kib, _ := strconv.ParseFloat(strings.Fields(after)[0], 64)
	return kib * 1024
}
