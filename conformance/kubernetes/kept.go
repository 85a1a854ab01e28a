package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// kept is a child that is started again whenever it ends, as a kubelet does with a static pod.
// kube-controller-manager and kube-scheduler end when they lose their lease, which a store that is
// away for more than ten seconds brings about; at any other time an end is a fault.
type kept struct {
	name    string
	launch  func() (*process, error)
	mu      sync.Mutex
	process *process
	ends    []failure
}

const restartDelay = 2 * time.Second

// keep starts the child and keeps it running until ctx ends.
func keep(ctx context.Context, name string, launch func() (*process, error)) (*kept, error) {
	k := &kept{name: name, launch: launch}
	var err error
	if k.process, err = launch(); err != nil {
		return nil, err
	}
	go k.follow(ctx)
	return k, nil
}

func (k *kept) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.current().done:
		}
		if fell, how := k.current().fell(); fell {
			k.ended(time.Now(), how)
		}
		pause(ctx, restartDelay)
		if !k.again(ctx) {
			return
		}
	}
}

// again starts the child anew, unless the run is over or it cannot be started.
func (k *kept) again(ctx context.Context) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	process, err := k.launch()
	if err != nil {
		k.ends = append(k.ends, failure{time.Now(), time.Now(), err.Error()})
		return false
	}
	k.process = process
	return true
}

func (k *kept) current() *process {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.process
}

func (k *kept) ended(at time.Time, how string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ends = append(k.ends, failure{at, at, how})
}

// restarts splits the child's ends by whether an outage explains them.
func (k *kept) restarts(outages []*outage) (inside int, outside []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, end := range k.ends {
		if end.explained(outages) {
			inside++
		} else {
			outside = append(outside, fmt.Sprintf("%s %s", end.at.Format("15:04:05"), end.what))
		}
	}
	return inside, outside
}

// stop ends the child for good; ctx of keep must be over.
func (k *kept) stop() {
	if k != nil {
		k.current().kill()
	}
}
