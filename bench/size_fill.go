package main

import (
	"context"
	"log"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// A filling transaction creates so many objects, and writes so many older ones again.
const (
	creates  = 58
	rewrites = 6
)

// fill grows the store to target live bytes. A fill that failed can go on where it stopped.
func (c *Climb) fill(ctx context.Context, target int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	from, to := c.world.filled, c.world.upTo(target)
	c.filled.Store(c.world.live)
	var next, failed atomic.Int64
	next.Store(int64(from))
	failed.Store(int64(to))
	var group sync.WaitGroup
	for caller := range 8 {
		group.Go(func() {
			for ctx.Err() == nil {
				first := int(next.Add(creates)) - creates
				if first >= to {
					return
				}
				end := min(first+creates, to)
				if err := c.write(ctx, c.conns[caller%len(c.conns)], first, end, rewrites); err != nil {
					cancel(err)
					lower(&failed, int64(first))
					return
				}
				c.filled.Add(c.world.sum(first, end))
				if quarter := (to-from)/4 + 1; (first-from)/quarter != (end-from)/quarter {
					log.Printf("  %d %% of the way to %s", 100*(end-from)/(to-from), gib(target))
				}
			}
		})
	}
	group.Wait()
	c.world.live += c.world.sum(from, int(failed.Load()))
	c.world.filled = int(failed.Load())
	return context.Cause(ctx)
}

// lower makes a number the least of itself and v.
func lower(number *atomic.Int64, v int64) {
	for was := number.Load(); was > v && !number.CompareAndSwap(was, v); {
		was = number.Load()
	}
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
