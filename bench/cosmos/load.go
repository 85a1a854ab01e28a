package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/cosmos/account"
)

const (
	// space is how many keys are read and overwritten.
	space     = 10_000
	valueSize = 256
	// callersEach is how many share one connection, as etcd's own benchmark has it.
	callersEach = 16
	// warmUp is what is not measured of a loop.
	warmUp = time.Second
)

var body = slices.Repeat([]byte("v"), valueSize)

// caller is one of many in a closed loop.
type caller struct {
	number, count int
	conn          *grpc.ClientConn
}

func (c *caller) key() []byte {
	c.count++
	return fmt.Appendf(nil, "/registry/bench/objects/%06d", (c.number*7919+c.count*31)%space)
}

func put(ctx context.Context, c *caller) error {
	_, err := pb.NewKVClient(c.conn).Put(ctx, &pb.PutRequest{Key: c.key(), Value: body})
	return err
}

func get(serializable bool) func(context.Context, *caller) error {
	return func(ctx context.Context, c *caller) error {
		_, err := pb.NewKVClient(c.conn).Range(ctx, &pb.RangeRequest{Key: c.key(), Serializable: serializable})
		return err
	}
}

// result is what a closed loop saw, and what was asked of the account meanwhile.
type result struct {
	took      time.Duration
	latencies []time.Duration
	counts    []account.Count
}

// loop lets callers call, each the next when its last has ended, for a time; they are spread evenly over endpoints.
func loop(ctx context.Context, w *world, endpoints []string, callers int, length time.Duration,
	call func(context.Context, *caller) error) (result, error) {
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
	w.ResetCounts()
	begin := time.Now()
	measuring.Store(true)
	time.Sleep(length)
	stopped.Store(true)
	r := result{took: time.Since(begin), counts: w.Counts()}
	group.Wait()
	if err := failed.Load(); err != nil {
		return r, *err
	}
	r.latencies = slices.Concat(latencies...)
	slices.Sort(r.latencies)
	return r, nil
}

// connect opens a connection for every sixteen callers, but at least one to each endpoint that has a caller.
func connect(endpoints []string, callers int) (all []*caller, closeAll func(), err error) {
	var conns []*grpc.ClientConn
	closeAll = func() {
		for _, conn := range conns {
			conn.Close()
		}
	}
	count := max((callers+callersEach-1)/callersEach, min(len(endpoints), callers))
	for i := range count {
		conn, err := dial(endpoints[i%len(endpoints)])
		if err != nil {
			return nil, closeAll, err
		}
		conns = append(conns, conn)
	}
	for i := range callers {
		all = append(all, &caller{number: i, conn: conns[i%count]})
	}
	return all, closeAll, nil
}

func (r result) percentile(p int) float64 {
	if len(r.latencies) == 0 {
		return 0
	}
	return milliseconds(r.latencies[min(len(r.latencies)-1, len(r.latencies)*p/100)])
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (r result) rate() float64 { return float64(len(r.latencies)) / r.took.Seconds() }

// each is requests and request units for one of what the loop did.
func (r result) each() (requests, units float64) {
	asked, charged := account.Sum(r.counts, "")
	n := float64(len(r.latencies))
	return float64(asked) / n, charged / n
}

// fill puts every key once, so that reads find something.
func fill(ctx context.Context, w *world) error {
	const writers = 64
	all, closeAll, err := connect(w.endpoints[:1], writers)
	defer closeAll()
	if err != nil {
		return err
	}
	var next atomic.Int64
	failures := make([]error, writers)
	var group sync.WaitGroup
	for i, c := range all {
		group.Go(func() {
			for n := next.Add(1); n <= space && failures[i] == nil; n = next.Add(1) {
				key := fmt.Appendf(nil, "/registry/bench/objects/%06d", n-1)
				_, failures[i] = pb.NewKVClient(c.conn).Put(ctx, &pb.PutRequest{Key: key, Value: body})
			}
		})
	}
	group.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}
