package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	shortTTL = 4 * time.Second
	// keptTTL is more than any pause of a healthy cluster, so that a kept lease always lives.
	keptTTL   = 40 * time.Second
	renewal   = 500 * time.Millisecond
	endLimit  = 60 * time.Second
	grantEach = 1500 * time.Millisecond
)

// lease is one of the run, kept alive or left to end. It has one key, named after it.
type lease struct {
	id   int64
	ttl  time.Duration
	kept bool
	// renewed is when the newest answered grant or renewal was sent: it cannot end sooner than ttl after that.
	renewed time.Time
	gone    bool
}

// leases are all of the run.
type leases struct {
	mu   sync.Mutex
	all  map[string]*lease
	next int64
}

func leaseKey(id int64) string { return fmt.Sprintf("lease/%d", id) }

// traffic grants leases through one replica after the other and renews those that are kept.
func (s *leases) traffic(ctx context.Context, l *load) {
	replicas := l.run.set.Replicas
	for turn := 0; ctx.Err() == nil; turn++ {
		conn, err := dial(replicas[turn%len(replicas)].ForClients())
		if err != nil {
			l.fault("%v", err)
			return
		}
		if turn == 0 || turn%len(replicas) != 0 {
			s.grant(conn, turn == 0, l)
		}
		for began := time.Now(); ctx.Err() == nil && time.Since(began) < grantEach; {
			s.renew(conn, l)
			pause(ctx, renewal)
		}
		conn.Close()
	}
}

func (s *leases) grant(conn *grpc.ClientConn, kept bool, l *load) {
	s.mu.Lock()
	s.next++
	one := &lease{id: s.next, ttl: shortTTL, kept: kept, renewed: time.Now()}
	if kept {
		one.ttl = keptTTL
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	request := &pb.LeaseGrantRequest{ID: one.id, TTL: int64(one.ttl / time.Second)}
	if _, err := pb.NewLeaseClient(conn).LeaseGrant(ctx, request); err != nil {
		return
	}
	s.mu.Lock()
	s.all[leaseKey(one.id)] = one
	s.mu.Unlock()
	o := &operation{kind: put, key: leaseKey(one.id), value: fmt.Sprintf("%s.lease.%d", l.values, one.id), probe: true}
	l.begin(o)
	reply, err := pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: []byte(o.key), Value: []byte(o.value), Lease: one.id})
	if err == nil {
		l.answered(o, true, reply.Header.Revision, nil)
	}
}

func (s *leases) renew(conn *grpc.ClientConn, l *load) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	stream, err := pb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
	if err != nil {
		return
	}
	for _, one := range s.live(true) {
		sent := time.Now()
		if stream.Send(&pb.LeaseKeepAliveRequest{ID: one.id}) != nil {
			return
		}
		reply, err := stream.Recv()
		if err != nil {
			return
		}
		s.mu.Lock()
		if reply.TTL > 0 {
			one.renewed = sent
		} else if !one.gone && time.Since(one.renewed) < one.ttl {
			l.fault("lease %d is said to be gone %v after its renewal", one.id, time.Since(one.renewed))
		}
		s.mu.Unlock()
	}
}

func (s *leases) live(kept bool) []*lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	var live []*lease
	for _, one := range s.all {
		if one.kept == kept && !one.gone {
			live = append(live, one)
		}
	}
	return live
}

// observe checks that no lease's key is deleted before its time.
func (s *leases) observe(events []*mvccpb.Event, r *record) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, event := range events {
		one := s.all[string(event.Kv.Key)]
		if one == nil || event.Type != mvccpb.DELETE || one.gone {
			continue
		}
		one.gone = true
		if left := one.ttl - now.Sub(one.renewed); left > 0 {
			r.fault("lease %d (kept: %v) ended %v early, at revision %d", one.id, one.kept, left, event.Kv.ModRevision)
		}
	}
}

// awaitEnds waits, after the load, until every lease that nobody renews has ended.
func (s *leases) awaitEnds(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	for {
		open := 0
		for _, one := range s.live(false) {
			reply, err := pb.NewLeaseClient(conn).LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: one.id})
			if err != nil {
				return fmt.Errorf("lease %d: %w", one.id, err)
			}
			if reply.TTL >= 0 {
				open++
				continue
			}
			s.mu.Lock()
			one.gone = true
			s.mu.Unlock()
		}
		if open == 0 {
			return nil
		}
		if pause(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%d leases never end", open)
		}
	}
}
