package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// createObjects makes the first load with sixteen writers over both servers.
func (r *run) createObjects() error {
	var group sync.WaitGroup
	var failures sync.Map
	var next atomic.Int64
	began := time.Now()
	for w := range 16 {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= r.opt.objects {
					return
				}
				ctx, cancel := r.within(20 * time.Second)
				if err := r.ledger.create(ctx, r.clients[w%2], r.objectKey(i)); err != nil {
					failures.Store(i, err)
				}
				cancel()
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	var wrong []string
	failures.Range(func(i, err any) bool {
		wrong = append(wrong, fmt.Sprintf("object %d: %v", i, err))
		return true
	})
	r.report.check(len(wrong) == 0, fmt.Sprintf("%d objects created", r.opt.objects),
		"%.0f a second; failed %s", float64(r.opt.objects)/took.Seconds(), few(wrong))
	r.checkListed("after the first load")
	if len(wrong) > 0 {
		return errors.New("the first load did not succeed")
	}
	return nil
}

func (r *run) objectKey(i int) string {
	return fmt.Sprintf("load-%d/object-%04d", i%loadNamespaces, i)
}

// checkListed holds full lists of both servers against the ledger.
func (r *run) checkListed(when string) {
	for i, s := range r.cluster.servers {
		ctx, cancel := r.within(30 * time.Second)
		listed, err := listWritten(ctx, r.clients[i])
		cancel()
		if err != nil {
			r.report.check(false, s.name+" list "+when, "%v", err)
			continue
		}
		wrong := r.ledger.compare(listed)
		r.report.check(len(wrong) == 0, s.name+" list holds what was acknowledged, "+when,
			"%d objects; wrong %s", len(listed), few(wrong))
	}
}

// load is a group of writers in the background.
type load struct {
	stopping chan struct{}
	group    sync.WaitGroup
	written  atomic.Int64
	mu       sync.Mutex
	errors   []string
}

// startLoad begins writers that create, update and delete keys of their own until stopped. After an
// error they go on with a new key, since the outcome of the old one is not known.
func (r *run) startLoad(prefix string, writers int) *load {
	l := &load{stopping: make(chan struct{})}
	for w := range writers {
		l.group.Go(func() {
			for i := 0; !l.stopped(); i++ {
				name := func(i int) string {
					return fmt.Sprintf("load-%d/%s-%d-%05d", w%loadNamespaces, prefix, w, i)
				}
				l.step(r, w, name(i), name(i-3), i%5 == 4)
			}
		})
	}
	return l
}

// step is one writer's turn: create, update, and now and then delete an older key.
func (l *load) step(r *run, w int, key, old string, remove bool) {
	ctx, cancel := r.within(10 * time.Second)
	defer cancel()
	client := r.clients[w%2]
	err := r.ledger.create(ctx, client, key)
	if err == nil {
		l.written.Add(1)
		err = r.ledger.update(ctx, client, key, "updated")
	}
	if err == nil {
		l.written.Add(1)
		if remove && r.ledger.settled(old) {
			err = r.ledger.remove(ctx, client, old)
		}
	}
	if err != nil {
		l.mu.Lock()
		l.errors = append(l.errors, key+": "+err.Error())
		l.mu.Unlock()
		pause(r.ctx, 100*time.Millisecond)
	}
	pause(r.ctx, 5*time.Millisecond)
}

func (l *load) stopped() bool {
	select {
	case <-l.stopping:
		return true
	default:
		return false
	}
}

// stop waits for the writers' last answers and gives their errors.
func (l *load) stop() []string {
	close(l.stopping)
	l.group.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.errors
}
