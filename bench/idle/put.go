package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// putter is the other client, which is to notice nothing.
type putter struct{ conn *grpc.ClientConn }

// latency is how long puts took.
type latency struct{ p50, p99 time.Duration }

func newPutter(address string) (*putter, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	return &putter{conn}, err
}

func (p *putter) close() { p.conn.Close() }

// prepare waits for the server and grants the lease that is kept alive.
func (p *putter) prepare() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := pb.NewLeaseClient(p.conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: leaseID, TTL: 36_000},
		grpc.WaitForReady(true))
	return err
}

// measure puts every ten milliseconds.
func (p *putter) measure(length time.Duration) (latency, error) {
	kv := pb.NewKVClient(p.conn)
	var all []time.Duration
	for begun := time.Now(); time.Since(begun) < length; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		sent := time.Now()
		_, err := kv.Put(ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "other/%d", len(all)%100), Value: make([]byte, 256)})
		cancel()
		if err != nil {
			return latency{}, err
		}
		all = append(all, time.Since(sent))
	}
	slices.Sort(all)
	return latency{all[len(all)/2], all[len(all)*99/100]}, nil
}
