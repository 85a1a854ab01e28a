package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what the kernel says a process has used since it started; peak is since forgetPeak.
type usage struct {
	cpu       time.Duration
	queued    time.Duration
	resident  float64
	anonymous float64
	peak      float64
	written   float64
}

// usageOf reads /proc; an error means that the process is gone.
func usageOf(pid int) (usage, error) {
	var u usage
	proc := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(proc + "stat")
	if err != nil {
		return u, err
	}
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return u, fmt.Errorf("%sstat is cut short", proc)
	}
	u.cpu, u.queued = ticks(fields[11])+ticks(fields[12]), queued(proc)
	for _, f := range []struct {
		file, key string
		scale     float64
		to        *float64
	}{
		{"status", "VmRSS:", 1024, &u.resident}, {"status", "RssAnon:", 1024, &u.anonymous},
		{"status", "VmHWM:", 1024, &u.peak}, {"io", "write_bytes:", 1, &u.written},
	} {
		value, err := procNumber(proc+f.file, f.key)
		if err != nil {
			return u, err
		}
		*f.to = value * f.scale
	}
	return u, nil
}

// queued is how long the process' threads, those that live, were ready to run and found no core.
func queued(proc string) time.Duration {
	var total time.Duration
	threads, _ := filepath.Glob(proc + "task/*/schedstat")
	for _, file := range threads {
		raw, err := os.ReadFile(file)
		if fields := strings.Fields(string(raw)); err == nil && len(fields) > 1 {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			total += time.Duration(n)
		}
	}
	return total
}

// ticks are hundredths of a second, as the kernel accounts to user space.
func ticks(text string) time.Duration {
	n, _ := strconv.ParseInt(text, 10, 64)
	return time.Duration(n) * (time.Second / 100)
}

func procNumber(file, key string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, key); found {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("no %s in %s", key, file)
}

// forgetPeak makes the peak start again from what is resident now.
func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// machineTime is what all processors together spent busy, and the whole that there was.
type machineTime struct{ busy, whole time.Duration }

func machineNow() (machineTime, error) {
	var m machineTime
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m, err
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return m, fmt.Errorf("/proc/stat begins with %q", line)
	}
	// user nice system idle iowait irq softirq steal; what follows is contained in user and nice.
	for i, f := range fields[1:9] {
		m.whole += ticks(f)
		if i != 3 && i != 4 {
			m.busy += ticks(f)
		}
	}
	return m, nil
}
