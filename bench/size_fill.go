package main

import (
	"context"
	"log"
	"math/rand/v2"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// A filling transaction creates so many objects, and writes so many older ones again.
const (
	creates  = 58
	rewrites = 6
)

// fill grows the store to target live bytes. What a fill that failed has begun is written again by the next.
func (c *Climb) fill(ctx context.Context, target int64) error {
	from, to, live := c.world.filled, c.world.filled, c.world.live
	for ; live < target && to < len(c.world.revisions); to++ {
		live += int64(len(c.world.key(to)) + size(to))
	}
	batches := (to - from + creates - 1) / creates
	c.filled.Store(c.world.live)
	next := make(chan int)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(next)
		for batch := range batches {
			select {
			case next <- batch:
			case <-ctx.Done():
				return
			}
			if batch%4000 == 3999 {
				log.Printf("  %3d %% of the way to %s", 100*batch/batches, gib(target))
			}
		}
	}()
	results := make(chan error, 8)
	for caller := range cap(results) {
		go func() {
			for batch := range next {
				first := from + batch*creates
				if err := c.write(ctx, c.conns[caller%len(c.conns)], first, min(first+creates, to), rewrites); err != nil {
					cancel()
					results <- err
					return
				}
				for n := first; n < min(first+creates, to); n++ {
					c.filled.Add(int64(len(c.world.key(n)) + size(n)))
				}
			}
			results <- nil
		}()
	}
	var failed error
	for range cap(results) {
		if err := <-results; err != nil && failed == nil {
			failed = err
		}
	}
	if failed == nil {
		failed = context.Cause(ctx)
	}
	if failed == nil {
		c.world.filled, c.world.live = to, live
	}
	return failed
}

// write puts objects first to end-1, and again so many of those before them, in one transaction.
func (c *Climb) write(ctx context.Context, conn *grpc.ClientConn, first, end, again int) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	var objects []int
	for n := first; n < end; n++ {
		objects = append(objects, n)
	}
	if before := min(first, c.world.filled); before > again {
		stride := before / again
		for i := range again {
			objects = append(objects, i*stride+rand.IntN(stride))
		}
	}
	txn := &pb.TxnRequest{}
	for _, n := range objects {
		put := &pb.PutRequest{Key: c.world.key(n), Value: c.world.value(n)}
		txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
	}
	reply, err := pb.NewKVClient(conn).Txn(ctx, txn)
	if err != nil {
		return err
	}
	for _, n := range objects {
		c.put.Add(int64(len(c.world.key(n)) + size(n)))
		c.world.written(n, reply.Header.Revision)
	}
	return nil
}

// churn writes so many objects again, the history that a compaction has to remove.
func (c *Climb) churn(ctx context.Context, objects int) error {
	_, err := Drive{callers: 8, calls: objects / 64}.Run(ctx, c.s, c.conns,
		func(ctx context.Context, conn *grpc.ClientConn, _ int) error {
			return c.write(ctx, conn, c.world.filled, c.world.filled, 64)
		})
	return err
}
