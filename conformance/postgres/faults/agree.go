package main

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/store"
)

// sameHashes asks every replica for the hash of everything at one revision, and gives what all have compacted.
func (r *run) sameHashes(ctx context.Context, revision int64) (compacted int64, err error) {
	var first *pb.HashKVResponse
	for _, replica := range r.set.Replicas {
		conn, err := replica.Dial()
		if err != nil {
			return 0, err
		}
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		// A linearizable read first: HashKV is the member's own, wherever it is.
		_, err = pb.NewKVClient(conn).Range(limited, &pb.RangeRequest{Key: []byte("caught up")})
		var reply *pb.HashKVResponse
		if err == nil {
			reply, err = pb.NewMaintenanceClient(conn).HashKV(limited, &pb.HashKVRequest{Revision: revision})
		}
		cancel()
		conn.Close()
		if err != nil {
			return 0, fmt.Errorf("hash of %s at %d: %w", replica.Name, revision, err)
		}
		if first == nil {
			first = reply
		}
		if reply.Hash != first.Hash || reply.CompactRevision != first.CompactRevision {
			return 0, fmt.Errorf("%s has hash %d at %d (compacted %d), %s %d (%d)", r.set.Replicas[0].Name, first.Hash,
				revision, first.CompactRevision, replica.Name, reply.Hash, reply.CompactRevision)
		}
	}
	return first.CompactRevision, nil
}

// conclude compares the replicas after the last fault: leases end, and watches from the first revision on that is not
// compacted tell the same everywhere, also where a replica began again with nothing.
func (r *run) conclude(ctx context.Context) error {
	err := r.ask(ctx, func(ctx context.Context, conn *grpc.ClientConn) error { return r.leases.awaitEnds(ctx, conn) })
	if err != nil {
		return err
	}
	to, err := r.revision(ctx)
	if err != nil {
		return err
	}
	from := max(r.first, r.compactions.compacted)
	var first []*mvccpb.Event
	for _, replica := range r.set.Replicas {
		conn, err := replica.Dial()
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, catchUpLimit)
		events, err := store.History(limited, conn, from, to)
		cancel()
		conn.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", replica.Name, err)
		}
		if first == nil {
			first = events
		}
		if err := sameEvents(first, events); err != nil {
			return fmt.Errorf("%s and %s: %w", r.set.Replicas[0].Name, replica.Name, err)
		}
	}
	fmt.Printf("every replica tells the same %d events from revision %d on\n", len(first), from+1)
	_, err = r.sameHashes(ctx, to)
	return err
}

func sameEvents(a, b []*mvccpb.Event) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d events and %d", len(a), len(b))
	}
	for i := range a {
		if !proto.Equal(a[i], b[i]) {
			return fmt.Errorf("event %d is {%v} and {%v}", i, a[i], b[i])
		}
	}
	return nil
}
