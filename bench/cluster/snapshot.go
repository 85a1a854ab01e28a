package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// measured are the children whose use of the machine is noted, by what they are to the reader.
var measured = map[string]string{"store": "store", "kube-apiserver": "API server",
	"kube-controller-manager": "controllers", "kube-scheduler": "scheduler", "kwok": "kwok"}

// snapshot is everything that is counted, at one moment. Before the start it is all zeros.
type snapshot struct {
	at      time.Time
	machine machineTime
	used    map[string]usage
	harness time.Duration
	metrics metrics
	store   metrics
}

// capture takes a snapshot. Of what is not running yet it says nothing.
func (p *plane) capture(ctx context.Context) (snapshot, error) {
	s := snapshot{at: time.Now(), used: map[string]usage{}}
	var err error
	if s.machine, err = machineNow(); err != nil {
		return s, err
	}
	own, err := usageOf(os.Getpid())
	if err != nil {
		return s, err
	}
	s.harness = own.cpu
	for _, c := range p.children {
		u, err := usageOf(c.cmd.Process.Pid)
		if err != nil {
			return s, fmt.Errorf("what %s used: %w", c.name, err)
		}
		s.used[measured[c.name]] = u
	}
	if p.child("kube-apiserver") == nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if s.store, err = p.store.metrics(ctx); err != nil {
		return s, fmt.Errorf("the store's metrics: %w", err)
	}
	if s.metrics, err = scrape(ctx, p.client); err != nil {
		return s, fmt.Errorf("the API server's metrics: %w", err)
	}
	return s, nil
}

// window is one phase of one run: what was counted between two snapshots.
type window struct {
	phase         string
	before, after snapshot
	latencies     map[string][]time.Duration
	extra         []figure
	notes         []string
}

func (w *window) length() time.Duration { return w.after.at.Sub(w.before.at) }

// cpu is what a part of the run used during the phase.
func (w *window) cpu(part string) time.Duration {
	return w.after.used[part].cpu - w.before.used[part].cpu
}

// busy is the share of all processors that was busy, and the share that others than this run used.
func (w *window) busy() (all, others float64) {
	whole := w.after.machine.whole - w.before.machine.whole
	if whole <= 0 {
		return 0, 0
	}
	used := w.after.machine.busy - w.before.machine.busy
	ours := w.after.harness - w.before.harness
	for _, part := range measured {
		ours += w.cpu(part)
	}
	return float64(used) / float64(whole), max(0, float64(used-ours)/float64(whole))
}
