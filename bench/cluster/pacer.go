package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// inFlight bounds what one kind of paced work has outstanding.
const inFlight = 32

// pacer does things at a fixed rate, whether or not the last ones have ended, and counts what
// happened. A turn that finds inFlight others unfinished is late if the number of turns is fixed,
// and otherwise skipped and counted.
type pacer struct {
	mu      sync.Mutex
	group   sync.WaitGroup
	done    int
	skipped int
	failed  int
	first   error
}

// every calls work(0), work(1), … until there were limit calls (0: no limit) or ctx ends.
func (p *pacer) every(ctx context.Context, interval time.Duration, limit int,
	work func(ctx context.Context, i int) error) {
	slots := make(chan struct{}, inFlight)
	p.group.Go(func() {
		began := time.Now()
		for i := 0; limit == 0 || i < limit; i++ {
			pause(ctx, time.Until(began.Add(time.Duration(i)*interval)))
			if ctx.Err() != nil {
				return
			}
			if !p.mayBegin(ctx, slots, limit > 0) {
				continue
			}
			p.group.Go(func() {
				p.note(ctx, work(ctx, i))
				<-slots
			})
		}
	})
}

// mayBegin takes a slot, and waits for one if it has to.
func (p *pacer) mayBegin(ctx context.Context, slots chan struct{}, must bool) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
	}
	if must {
		select {
		case slots <- struct{}{}:
			return true
		case <-ctx.Done():
			return false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.skipped++
	return false
}

// note counts one outcome; one that the end of the run cut off counts as neither.
func (p *pacer) note(ctx context.Context, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.done++
	case ctx.Err() == nil:
		p.failed++
		if p.first == nil {
			p.first = err
		}
	}
}

// wait waits for all that was begun.
func (p *pacer) wait() { p.group.Wait() }

// trouble tells what did not go as paced, if anything.
func (p *pacer) trouble() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == 0 && p.skipped == 0 {
		return ""
	}
	return fmt.Sprintf("%d done, %d failed (%v), %d skipped", p.done, p.failed, p.first, p.skipped)
}
