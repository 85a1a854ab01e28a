package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// outage is the time in which the store was not there, and what the API servers counted around it.
type outage struct {
	begin, end    time.Time
	before, after [2]metrics
	lists         [2]int
	resumed       [2]int
}

func (o outage) covers(t time.Time) bool {
	return !o.begin.IsZero() && t.After(o.begin) && (o.end.IsZero() || t.Before(o.end))
}

// crash kills the store with -9 under writes, starts it again on what it left, and checks that
// everything acknowledged is there and that those who watched went on where they were.
func (r *run) crash() error {
	writers := r.startLoad("crash", 4)
	pause(r.ctx, 2*time.Second)
	o := &r.outage
	var err error
	if o.before, err = r.scrapeBoth(); err != nil {
		return err
	}
	r.countObservers(true)
	r.cluster.storeBefore = r.cluster.store.usage()
	o.begin = time.Now()
	r.cluster.store.kill()
	acked, floor := writers.written.Load(), r.ledger.floor()
	fmt.Printf("  killed at revision %d with %d writes acknowledged in this phase\n", floor, acked)
	pause(r.ctx, r.opt.down)
	restarted := time.Now()
	if err := r.cluster.startStore(r.ctx); err != nil {
		return err
	}
	r.report.check(true, "store is healthy again", "%.2f s after its restart",
		time.Since(restarted).Seconds())
	if err := r.recover(writers, restarted); err != nil {
		return err
	}
	o.end = time.Now()
	if o.after, err = r.scrapeBoth(); err != nil {
		return err
	}
	pause(r.ctx, 2*time.Second)
	failures := writers.stop()
	r.report.check(acked > 0 && writers.written.Load() > acked, "writes go on after the restart",
		"%d before the kill, %d after; %d failed in between", acked, writers.written.Load()-acked,
		len(failures))
	return r.judgeCrash(floor)
}

// recover waits until writers on both servers are acknowledged again and the API servers are ready.
func (r *run) recover(writers *load, restarted time.Time) error {
	for i, s := range r.cluster.servers {
		err := await(r.ctx, 60*time.Second,
			"writes through the "+s.name+" API server after the restart",
			func(ctx context.Context) (bool, string) {
				ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
				defer cancel()
				key := fmt.Sprintf("load-0/recovered-%s-%d", s.name, time.Now().UnixNano())
				err := r.ledger.create(ctx, r.clients[i], key)
				return err == nil, fmt.Sprint(err)
			})
		if err != nil {
			return err
		}
		r.report.check(true, s.name+" API server writes again", "%.2f s after the store's restart",
			time.Since(restarted).Seconds())
	}
	if err := r.checkEvents("on leases survive the crash"); err != nil {
		return err
	}
	resumed := writers.written.Load() + 40
	return await(r.ctx, 60*time.Second, "forty more writes by the writers",
		func(context.Context) (bool, string) {
			n := writers.written.Load()
			return n >= resumed, fmt.Sprintf("%d of %d", n, resumed)
		})
}

func (r *run) scrapeBoth() ([2]metrics, error) {
	var both [2]metrics
	for i, c := range r.clients {
		ctx, cancel := r.within(20 * time.Second)
		m, err := scrape(ctx, c)
		cancel()
		if err != nil {
			return both, fmt.Errorf("metrics of the %s API server: %w", r.cluster.servers[i].name,
				err)
		}
		both[i] = m
	}
	return both, nil
}

// countObservers notes how often informers listed and raw watches were resumed: at the kill, or
// since then.
func (r *run) countObservers(atKill bool) {
	for i := range r.informers {
		lists, _ := r.informers[i].tally.counts()
		r.recordings[i].mu.Lock()
		resumed := r.recordings[i].resumed
		r.recordings[i].mu.Unlock()
		if atKill {
			r.outage.lists[i], r.outage.resumed[i] = lists, resumed
		} else {
			r.outage.lists[i], r.outage.resumed[i] = lists-r.outage.lists[i],
				resumed-r.outage.resumed[i]
		}
	}
}

// judgeCrash is asked when the writers are silent.
func (r *run) judgeCrash(floor int64) error {
	r.checkListed("after the crash")
	ctx, cancel := r.within(20 * time.Second)
	defer cancel()
	list, err := r.clients[1].CoreV1().ConfigMaps("load-0").List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	now := revisionOf(&metav1.ObjectMeta{ResourceVersion: list.ResourceVersion})
	r.report.check(now > floor, "resourceVersion goes on growing", "%d at the kill, %d now",
		floor, now)
	for _, w := range r.informers {
		err := w.agree(r.ctx, r.ledger)
		r.report.check(err == nil, w.name+" informers have caught up", "%s", reason(err))
	}
	r.countObservers(false)
	for i, w := range r.informers {
		r.report.check(r.outage.lists[i] == 0, w.name+" informers resume without listing again",
			"%d lists by informers of %d kinds; raw watch resumed %d times", r.outage.lists[i],
			w.kinds, r.outage.resumed[i])
	}
	rebuilt := grown("apiserver_watch_cache_initializations_total", r.outage.before[0],
		r.outage.after[0])
	r.report.check(len(rebuilt) == 0, "API server's watch caches resume without listing again",
		"rebuilt %s", few(rebuilt))
	return nil
}
