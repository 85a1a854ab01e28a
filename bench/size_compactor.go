package main

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// Compactor does what kube-apiserver does every five minutes, at a shorter interval: it writes compact_rev_key if
// nobody else did, and compacts to the revision of the time before.
type Compactor struct {
	every             time.Duration
	last              time.Time
	version, revision int64
}

// Run goes on until ctx ends, and another Run goes on where it stopped.
func (c *Compactor) Run(ctx context.Context, conn *grpc.ClientConn) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(c.last.Add(c.every))):
		}
		c.last = time.Now()
		if err := c.turn(ctx, conn); err != nil && ctx.Err() == nil {
			log.Printf("  kube-apiserver's compaction: %v", err)
		}
	}
}

func (c *Compactor) turn(ctx context.Context, conn *grpc.ClientConn) error {
	key, kv := []byte("compact_rev_key"), pb.NewKVClient(conn)
	put := &pb.PutRequest{Key: key, Value: fmt.Append(nil, c.revision)}
	get := &pb.RangeRequest{Key: key}
	version := &pb.Compare_Version{Version: c.version}
	reply, err := kv.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: key, Target: pb.Compare_VERSION, TargetUnion: version}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: put}}},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: get}}}})
	if err != nil {
		return err
	}
	if !reply.Succeeded {
		for _, found := range reply.Responses[0].GetResponseRange().Kvs {
			c.version = found.Version
		}
		return nil
	}
	before := c.revision
	c.version, c.revision = c.version+1, reply.Header.Revision
	if before == 0 {
		return nil
	}
	_, err = kv.Compact(ctx, &pb.CompactionRequest{Revision: before})
	if err != nil && strings.Contains(err.Error(), "compacted") {
		return nil
	}
	return err
}
