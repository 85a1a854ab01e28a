package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// figure is one measured number.
type figure struct {
	name, unit string
	value      float64
}

// caller is one of many in a closed loop.
type caller struct {
	number int
	conn   *grpc.ClientConn
	count  int
	// revisions are the mod_revisions that this caller's keys have.
	revisions map[int]int64
	// through is the endpoint's place; zero is the writer.
	through int
}

// callersEach is how many share one connection, as etcd's own benchmark has it.
const callersEach = 16

// warmUp is what is not measured of a loop.
const warmUp = time.Second

// result is what a closed loop saw.
type result struct {
	took             time.Duration
	latencies        []time.Duration
	server, database usage
	// logged is what PostgreSQL's primary put into its log.
	logged int64
}

// loop lets callers call, each the next when its last has ended, for a time; they are spread evenly over endpoints.
func loop(ctx context.Context, t *target, endpoints []string, callers int, length time.Duration,
	call func(context.Context, *caller) error) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all, closeAll, err := connect(endpoints, callers)
	defer closeAll()
	if err != nil {
		return result{}, err
	}
	var failed atomic.Pointer[error]
	var measuring, stopped atomic.Bool
	latencies := make([][]time.Duration, callers)
	var group sync.WaitGroup
	for i, c := range all {
		group.Go(func() {
			for !stopped.Load() && failed.Load() == nil {
				counts, at := measuring.Load(), time.Now()
				if err := call(ctx, c); err != nil {
					failed.Store(&err)
					return
				}
				if counts && !stopped.Load() {
					latencies[i] = append(latencies[i], time.Since(at))
				}
			}
		})
	}
	time.Sleep(warmUp)
	account := t.account(ctx)
	begin := time.Now()
	measuring.Store(true)
	time.Sleep(length)
	stopped.Store(true)
	r := result{took: time.Since(begin)}
	err = account(&r)
	group.Wait()
	if err := failed.Load(); err != nil {
		return r, *err
	}
	if err != nil {
		return r, err
	}
	r.latencies = slices.Concat(latencies...)
	slices.Sort(r.latencies)
	return r, nil
}

// connect opens a connection for every sixteen callers, but at least one to each endpoint that has a caller.
func connect(endpoints []string, callers int) ([]*caller, func(), error) {
	var all []*caller
	var conns []*grpc.ClientConn
	closeAll := func() {
		for _, conn := range conns {
			conn.Close()
		}
	}
	count := max((callers+callersEach-1)/callersEach, min(len(endpoints), callers))
	for i := range count {
		if len(endpoints) == 0 {
			conns = append(conns, nil)
			continue
		}
		conn, err := dial(endpoints[i%len(endpoints)])
		if err != nil {
			return nil, closeAll, err
		}
		conns = append(conns, conn)
	}
	if len(endpoints) == 0 {
		closeAll = func() {}
	}
	for i := range callers {
		c := &caller{number: i, conn: conns[i%count], revisions: map[int]int64{}}
		if len(endpoints) > 0 {
			c.through = i % count % len(endpoints)
		}
		all = append(all, c)
	}
	return all, closeAll, nil
}

// figures are those of every loop; what belongs to the database is left out where there is none.
func (r result) figures(t *target) []figure {
	n := float64(len(r.latencies))
	all := []figure{
		{"throughput", "/s", n / r.took.Seconds()},
		{"p50", "ms", milliseconds(r.percentile(50))},
		{"p99", "ms", milliseconds(r.percentile(99))},
	}
	if len(t.pids()) > 0 {
		all = append(all, figure{"server CPU", "µs/request", float64(r.server.cpu.Microseconds()) / n},
			figure{"servers wrote", "B/request", float64(r.server.written) / n})
	}
	if t.database != nil {
		all = append(all, figure{"database CPU", "µs/request", float64(r.database.cpu.Microseconds()) / n},
			figure{"database's log", "B/request", float64(r.logged) / n},
			figure{"database wrote", "B/request", float64(r.database.written) / n})
	}
	return all
}

func (r result) percentile(p int) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(len(r.latencies)-1, len(r.latencies)*p/100)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
