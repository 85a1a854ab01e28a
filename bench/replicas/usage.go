package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what processes have used since they began, and what their ended children had.
type usage struct {
	cpu     time.Duration
	written int64
}

func (u usage) since(before usage) usage {
	return usage{u.cpu - before.cpu, u.written - before.written}
}

// used sums over processes. A backend that ends goes over into its postmaster's account, so nothing is lost when a pool
// lets connections go.
func used(pids []int) usage {
	var sum usage
	for _, pid := range pids {
		sum.cpu += cpuOf(pid)
		sum.written += writtenBy(pid)
	}
	return sum
}

// account begins to count what servers and database use; the function it returns puts the difference into a result.
func (t *target) account(ctx context.Context) func(*result) error {
	server, database := used(t.pids()), used(t.databasePIDs())
	logged, failed := t.logged(ctx)
	return func(r *result) error {
		r.server, r.database = used(t.pids()).since(server), used(t.databasePIDs()).since(database)
		now, err := t.logged(ctx)
		r.logged = now - logged
		return errors.Join(failed, err)
	}
}

func (t *target) logged(ctx context.Context) (int64, error) {
	if t.database == nil {
		return 0, nil
	}
	return t.database.Logged(ctx)
}

// tick is the unit of /proc/PID/stat.
const tick = time.Second / 100

// cpuOf is user and system time, of the process and of its children that were waited for; zero if it is gone.
func cpuOf(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	var ticks int64
	for _, field := range fields[11:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * tick
}

// writtenBy is what the process has sent to the disk.
func writtenBy(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(raw), "\nwrite_bytes: ")
	line, _, _ := strings.Cut(after, "\n")
	n, _ := strconv.ParseInt(line, 10, 64)
	return n
}
