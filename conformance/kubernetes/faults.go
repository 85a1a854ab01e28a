package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// outage is a time in which the store was not there, and what was counted around it.
type outage struct {
	name          string
	begin, end    time.Time
	before, after [2]metrics
	lists         [2]int
	resumed       [2]int
}

// gracePeriod is how long a kubelet waits before it kills.
const gracePeriod = 30 * time.Second

// covered tells whether a moment falls into one of the outages.
func covered(outages []*outage, t time.Time) bool {
	for _, o := range outages {
		if t.After(o.begin) && (o.end.IsZero() || t.Before(o.end)) {
			return true
		}
	}
	return false
}

// crash kills the store with -9 under writes and starts it again on what it left. It is short
// enough for events on leases to outlive it.
func (r *run) crash() error {
	return r.endure("crash", func(writers *load) error {
		r.cluster.storeBefore = r.cluster.store.process.usage()
		r.cluster.store.process.kill()
		pause(r.ctx, r.opt.down)
		return r.startAgain()
	}, func() error { return r.checkEvents("on leases survive the crash") })
}

// restarts stops the store with SIGTERM and starts it again, several times, each time as soon as
// writers are served.
func (r *run) restarts() error {
	return r.endure("restart", func(writers *load) error {
		for range r.opt.restarts {
			began := time.Now()
			stopped := r.cluster.store.process.stop(gracePeriod)
			r.report.check(stopped, "store stops on SIGTERM under load", "after %.1f s",
				time.Since(began).Seconds())
			if err := r.startAgain(); err != nil {
				return err
			}
			if err := r.awaitWrites(writers, 20); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// freeze stops the store as a debugger does, so that its connections stay open and say nothing.
func (r *run) freeze() error {
	return r.endure("freeze", func(*load) error {
		r.cluster.store.process.signal(syscall.SIGSTOP)
		pause(r.ctx, r.opt.outage)
		r.cluster.store.process.signal(syscall.SIGCONT)
		return r.cluster.store.awaitReady(r.ctx, 30*time.Second)
	}, nil)
}

// absence ends the store properly and starts it again much later.
func (r *run) absence() error {
	return r.endure("absence", func(*load) error {
		began := time.Now()
		stopped := r.cluster.store.process.stop(gracePeriod)
		r.report.check(stopped, "store stops on SIGTERM under load", "after %.1f s",
			time.Since(began).Seconds())
		pause(r.ctx, r.opt.outage)
		return r.startAgain()
	}, nil)
}

func (r *run) startAgain() error {
	began := time.Now()
	if err := r.cluster.store.start(r.ctx); err != nil {
		return err
	}
	r.report.check(true, "store is ready again", "%.2f s after its start",
		time.Since(began).Seconds())
	return nil
}

// endure strikes the store under writes and checks that everything acknowledged is there and that
// those who watched went on where they were. alive is asked as soon as both servers write again.
func (r *run) endure(name string, strike func(*load) error, alive func() error) error {
	writers := r.startLoad(name, 4)
	pause(r.ctx, 2*time.Second)
	o := &outage{name: name}
	var err error
	if o.before, err = r.scrapeBoth(); err != nil {
		return err
	}
	r.countObservers(o, true)
	o.begin = time.Now()
	r.outages = append(r.outages, o)
	before := writers.written.Load()
	if err := strike(writers); err != nil {
		return err
	}
	floor, back := r.ledger.floor(), time.Now()
	if err := r.recover(name, writers, back); err != nil {
		return err
	}
	if alive != nil {
		if err := alive(); err != nil {
			return err
		}
	}
	pause(r.ctx, time.Second)
	failures := writers.stop()
	// By then requests that began in the outage have come to their end.
	if err := errors.Join(r.awaitBeats(back), r.awaitKinds(back)); err != nil {
		return err
	}
	if o.after, err = r.scrapeBoth(); err != nil {
		return err
	}
	o.end = time.Now()
	r.report.check(before > 0 && writers.written.Load() > before, "writes go on after the "+name,
		"%d before, %d since; %d failed", before, writers.written.Load()-before, len(failures))
	return r.judgeOutage(o, floor)
}

// recover waits until writers on both servers are acknowledged again.
func (r *run) recover(name string, writers *load, back time.Time) error {
	for i, s := range r.cluster.servers {
		err := await(r.ctx, 60*time.Second,
			"writes through the "+s.name+" API server after the "+name,
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
		r.report.check(true, s.name+" API server writes again", "%.2f s after the store was back",
			time.Since(back).Seconds())
	}
	return r.awaitWrites(writers, 40)
}

func (r *run) awaitWrites(writers *load, n int64) error {
	resumed := writers.written.Load() + n
	return await(r.ctx, 60*time.Second, fmt.Sprintf("%d more writes by the writers", n),
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

// countObservers notes how often informers listed and raw watches were resumed: before the outage,
// or since then.
func (r *run) countObservers(o *outage, before bool) {
	for i := range r.informers {
		lists, _ := r.informers[i].tally.counts()
		r.recordings[i].mu.Lock()
		resumed := r.recordings[i].resumed
		r.recordings[i].mu.Unlock()
		if before {
			o.lists[i], o.resumed[i] = lists, resumed
		} else {
			o.lists[i], o.resumed[i] = lists-o.lists[i], resumed-o.resumed[i]
		}
	}
}

// judgeOutage is asked when the writers are silent.
func (r *run) judgeOutage(o *outage, floor int64) error {
	r.checkListed("after the " + o.name)
	ctx, cancel := r.within(20 * time.Second)
	defer cancel()
	list, err := r.clients[1].CoreV1().ConfigMaps("load-0").List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	now := revisionOf(&metav1.ObjectMeta{ResourceVersion: list.ResourceVersion})
	r.report.check(now > floor, "resourceVersion goes on growing", "%d when the store was back, "+
		"%d now", floor, now)
	for _, w := range r.informers {
		err := w.agree(r.ctx, r.ledger)
		r.report.check(err == nil, w.name+" informers have caught up", "%s", reason(err))
	}
	r.countObservers(o, false)
	for i, w := range r.informers {
		allowed, err := r.relistsAllowed(o, i)
		r.report.check(err == nil && o.lists[i] <= allowed,
			w.name+" informers resume without listing again",
			"%d lists by informers of %d kinds, %d explained by compaction; raw watch resumed "+
				"%d times", o.lists[i], w.kinds, allowed, o.resumed[i])
	}
	rebuilt := grown("apiserver_watch_cache_initializations_total", o.before[0], o.after[0])
	r.report.check(len(rebuilt) == 0, "API server's watch caches resume without listing again",
		"rebuilt %s", few(rebuilt))
	lists := storeLists(o.after[0]) - storeLists(o.before[0])
	r.report.check(lists <= listsOfAnOutage, "store is not stormed with lists",
		"%.0f by the cached API server", lists)
	return nil
}

// relistsAllowed is how many lists of informers compaction explains. Through a server without a
// watch cache the watch of an idle kind stays where it began, since only a cache asks for progress
// notices; when it is resumed after a compaction, the answer is 410 and a list, on any store.
// Through the cached server nothing does.
func (r *run) relistsAllowed(o *outage, server int) (int, error) {
	if s := r.cluster.servers[server]; !s.cached {
		return compactedIn(s.process.log, o)
	}
	return 0, nil
}

// compactedIn counts the watches of an API server that compaction overtook in an outage.
func compactedIn(log string, o *outage) (int, error) {
	compacted, err := grepFile(log, compactedWatch)
	n := 0
	for _, line := range compacted {
		if at, _ := readErrorLine(line); covered([]*outage{o}, at) {
			n++
		}
	}
	return n, err
}

// listsOfAnOutage is what a cached API server may list at the store while it recovers: its caches
// hold some eighty kinds, so a storm is far above.
const listsOfAnOutage = 8

// storeLists are the lists of many objects that an API server asked the store for.
func storeLists(m metrics) float64 {
	return m.sum("etcd_requests_total", `operation="list"`) +
		m.sum("etcd_requests_total", `operation="listStream"`)
}
