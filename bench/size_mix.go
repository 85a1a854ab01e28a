package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// phase is one part of what is measured at every size.
type phase struct {
	name string
	// compacted is whether the history is compacted from time to time beside it.
	compacted bool
	run       func(context.Context) error
}

func (c *Climb) phases() []phase {
	return []phase{
		{"rest", false, c.rest},
		{"update", true, c.updates},
		{"event", true, c.createEvents},
		{"watch", true, c.watched},
		{"pages of 500, prefix of 10,000", true, c.pages(c.world.kinds[0], "prefix of 10,000")},
		{"pages of 500, pods", true, c.pages(c.world.kinds[1], "pods, up to 100,000")},
		{"compaction", false, c.compaction},
		{"memory", false, c.memory},
		{"list", false, c.list("list in one reply", c.unary)},
		{"stream", false, c.list("list by RangeStream", c.rangeStream)},
		{"defragmentation", false, c.defragmentation},
		{"sums", false, c.sums},
		{"restart", false, c.restarts},
	}
}

// closed notes the figures of callers that wait for nothing.
func (c *Climb) closed(group string, r Result) {
	c.note(group, "rate", "/s", float64(r.total)/r.took.Seconds())
	c.note(group, "p50", "ms", milliseconds(percentile(r.latencies, 50)))
	c.note(group, "p99", "ms", milliseconds(percentile(r.latencies, 99)))
	c.note(group, "server CPU", "µs each", float64(r.cpu.Microseconds())/float64(max(r.total, 1)))
}

func (c *Climb) updates(ctx context.Context) error {
	result, err := Drive{callers: 32, calls: 30_000, lasts: time.Minute}.Run(ctx, c.s, c.conns, c.updateAny)
	if err != nil {
		return err
	}
	c.closed("guaranteed update", result)
	return c.slow("guaranteed updates", result)
}

func (c *Climb) createEvents(ctx context.Context) error {
	result, err := Drive{callers: 32, calls: 15_000, lasts: time.Minute}.Run(ctx, c.s, c.conns, c.createEvent)
	if err == nil {
		c.closed("event with lease", result)
	}
	return err
}

const pagesRead = 400

// pages reads pages from everywhere in a kind at one revision, which a compaction may end: then, as in Kubernetes,
// a newer one is taken.
func (c *Climb) pages(k kind, name string) func(context.Context) error {
	const limit = 500
	return func(ctx context.Context) error {
		keys, revision := c.world.keys(k), int64(0)
		call := func(ctx context.Context, conn *grpc.ClientConn, n int) error {
			ctx, cancel := context.WithTimeout(ctx, opTimeout)
			defer cancel()
			request := &pb.RangeRequest{Key: somePage(keys, limit), RangeEnd: prefixEnd(k.prefix), Limit: limit, Revision: revision}
			size := 0
			err := conn.Invoke(ctx, "/etcdserverpb.KV/Range", request, &size, grpc.ForceCodecV2(opaque{}))
			if err == nil && size < limit*1024 {
				return fmt.Errorf("a page has only %d bytes", size)
			}
			return err
		}
		var all Result
		for all.total < pagesRead {
			var err error
			if revision, err = c.revision(ctx); err != nil {
				return err
			}
			result, err := Drive{callers: 4, calls: pagesRead - all.total}.Run(ctx, c.s, c.conns, call)
			all = Result{all.total + result.total, all.took + result.took, all.cpu + result.cpu, append(all.latencies, result.latencies...)}
			if err != nil && !strings.Contains(err.Error(), "compacted") {
				return err
			}
		}
		c.closed("pages of 500, "+name, all)
		return nil
	}
}

// memory is what is resident while nothing is asked and no history is left.
func (c *Climb) memory(context.Context) error {
	time.Sleep(5 * time.Second)
	c.note("memory", "resident", "GB", c.s.Memory("VmRSS")/1e9)
	c.note("memory", "of it not file pages", "GB", c.s.Memory("RssAnon")/1e9)
	return nil
}

// list reads the largest prefix whole, with guaranteed updates beside it.
func (c *Climb) list(name string, read func(context.Context, kind) (int, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		k := c.world.largest()
		before := c.s.Memory("VmRSS")
		c.s.ForgetPeak()
		var took time.Duration
		beside, err := c.beside(ctx, func() error {
			at := time.Now()
			bytes, err := read(ctx, k)
			took = time.Since(at)
			if want := c.world.bytes(k); err == nil && int64(bytes) < want {
				return fmt.Errorf("the list has %d bytes instead of %d", bytes, want)
			}
			return err
		})
		if err != nil {
			return err
		}
		c.note(name, "time", "s", took.Seconds())
		c.note(name, "extra memory", "MB", max(c.s.Memory("VmHWM")-before, 0)/1e6)
		c.note(name, "update beside it, p99", "ms", milliseconds(percentile(beside.latencies, 99)))
		return c.slow("guaranteed updates beside a list", beside)
	}
}

func (c *Climb) unary(ctx context.Context, k kind) (size int, err error) {
	request := &pb.RangeRequest{Key: []byte(k.prefix), RangeEnd: prefixEnd(k.prefix)}
	err = c.alone.Invoke(ctx, "/etcdserverpb.KV/Range", request, &size, grpc.ForceCodecV2(opaque{}))
	return size, err
}

func (c *Climb) rangeStream(ctx context.Context, k kind) (int, error) {
	request := &pb.RangeRequest{Key: []byte(k.prefix), RangeEnd: prefixEnd(k.prefix)}
	stream, err := c.alone.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/etcdserverpb.KV/RangeStream", grpc.ForceCodecV2(opaque{}))
	if err != nil {
		return 0, err
	}
	if err := stream.SendMsg(request); err != nil {
		return 0, err
	}
	if err := stream.CloseSend(); err != nil {
		return 0, err
	}
	total := 0
	for {
		size := 0
		err := stream.RecvMsg(&size)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		total += size
	}
}

// beside runs one thing while 100 guaranteed updates a second are due, a second longer than it takes.
func (c *Climb) beside(ctx context.Context, do func() error) (Result, error) {
	until, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		time.Sleep(300 * time.Millisecond)
		failed <- do()
		time.Sleep(700 * time.Millisecond)
		close(until)
	}()
	result, err := Drive{callers: 64, rate: 100, until: until}.Run(ctx, c.s, c.conns, c.updateAny)
	if err == nil {
		err = <-failed
	}
	return result, err
}

func longest(r Result) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return slices.Max(r.latencies)
}

// compaction writes 32,000 objects again and removes what that left.
func (c *Climb) compaction(ctx context.Context) error {
	if err := c.churn(ctx, 32_000); err != nil {
		return err
	}
	revision, err := c.revision(ctx)
	if err != nil {
		return err
	}
	var took time.Duration
	beside, err := c.beside(ctx, func() error {
		at := time.Now()
		_, err := pb.NewKVClient(c.alone).Compact(ctx, &pb.CompactionRequest{Revision: revision, Physical: true})
		took = time.Since(at)
		return err
	})
	if err != nil {
		return err
	}
	c.note("compaction", "time", "s", took.Seconds())
	c.note("compaction", "longest update beside it", "ms", milliseconds(longest(beside)))
	return c.slow("guaranteed updates beside a compaction", beside)
}

// defragmentation may stop an etcd for as long as it takes. What the updates wait is shown, those refused
// meanwhile included, and is no break.
func (c *Climb) defragmentation(ctx context.Context) error {
	c.patient.Store(true)
	defer c.patient.Store(false)
	c.refused.Store(0)
	var took time.Duration
	beside, err := c.beside(ctx, func() error {
		at := time.Now()
		_, err := pb.NewMaintenanceClient(c.alone).Defragment(ctx, &pb.DefragmentRequest{})
		took = time.Since(at)
		return err
	})
	c.note("defragmentation", "time", "s", took.Seconds())
	c.note("defragmentation", "longest update beside it", "ms", milliseconds(longest(beside)))
	c.note("defragmentation", "updates refused", "", float64(c.refused.Load()))
	return err
}

func (c *Climb) sums(context.Context) error {
	c.note("all of the above", "server CPU", "s", (c.carriedCPU + c.s.CPU()).Seconds())
	c.note("disk", "written for each byte put", "", (c.carriedDisk+c.s.Written())/float64(max(c.put.Load(), 1)))
	c.note("disk", "data directory", "GB", diskUsed(c.dir)/1e9)
	c.note("disk", "at its largest in this step", "GB", c.guard.largest()/1e9)
	return nil
}

// restarts stops and starts the server, politely and then not.
func (c *Climb) restarts(ctx context.Context) error {
	for _, way := range []struct {
		name string
		stop func()
	}{{"after SIGTERM", c.s.Stop}, {"after SIGKILL", c.s.Kill}} {
		took, err := c.restart(way.stop)
		if err != nil {
			return err
		}
		c.note("restart", way.name, "s", took.Seconds())
		c.note("restart", way.name+", server CPU", "s", c.s.CPU().Seconds())
		if took > maxRestart {
			return &broken{fmt.Sprintf("a restart took %.1f s", took.Seconds())}
		}
	}
	c.note("restart", "resident after it", "GB", c.s.Memory("VmRSS")/1e9)
	return nil
}

// slow tells whether guaranteed updates took longer than the limit.
func (c *Climb) slow(what string, r Result) error {
	if p99 := percentile(r.latencies, 99); p99 > maxUpdate {
		return &broken{fmt.Sprintf("the p99 of %s is %.0f ms", what, milliseconds(p99))}
	}
	return nil
}

// revision is the store's newest.
func (c *Climb) revision(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	reply, err := pb.NewKVClient(c.conns[0]).Range(ctx, &pb.RangeRequest{Key: []byte("compact_rev_key")})
	if err != nil {
		return 0, err
	}
	return reply.Header.Revision, nil
}
