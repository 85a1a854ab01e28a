package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

type mvccEvent = mvccpb.Event

// leases are all leases of the run. Each has one key, named after it.
type leases struct {
	mu  sync.Mutex
	all map[string]*lease
}

func leaseKey(id int64) string { return fmt.Sprintf("lease/%d", id) }

// leaser grants leases and puts a key under each; some are kept alive for the whole run.
func (l *load) leaser(ctx context.Context, _ int, random *rand.Rand) {
	for n := range leasesRound {
		if !l.goesOn(ctx) {
			return
		}
		id := int64(l.round*100 + n + 1)
		kept := n == 0 && l.round%10 == 0
		one := &lease{id: id, ttl: shortTTL, kept: kept, renewed: time.Now()}
		if kept {
			one.ttl = keptTTL
		}
		request := &pb.LeaseGrantRequest{ID: id, TTL: int64(one.ttl / time.Second)}
		if _, err := l.lease.LeaseGrant(ctx, request); err != nil {
			if l.ends(ctx, &operation{}, err) {
				return
			}
			continue
		}
		l.judge.leases.mu.Lock()
		l.judge.leases.all[leaseKey(id)] = one
		l.judge.leases.mu.Unlock()
		value := fmt.Sprintf("%d.lease.%d", l.round, n)
		op := &operation{writes: []write{{key: leaseKey(id), value: value}}, expected: -1}
		l.add(op)
		reply, err := l.kv.Put(ctx, &pb.PutRequest{Key: []byte(leaseKey(id)), Value: []byte(value),
			Lease: id})
		if err != nil {
			if l.ends(ctx, op, err) {
				return
			}
			continue
		}
		l.answered(op, reply.Header.Revision)
		pause(ctx, time.Duration(random.IntN(300))*time.Millisecond)
	}
}

// keeper renews the kept leases. A stubborn one goes on when its stream has ended.
func (l *load) keeper(ctx context.Context, _ int, _ *rand.Rand) {
	l.keep(ctx)
	for l.stubborn && ctx.Err() == nil {
		pause(ctx, stubbornRest)
		l.keep(ctx)
	}
}

func (l *load) keep(ctx context.Context) {
	stream, err := l.lease.LeaseKeepAlive(ctx)
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		for _, one := range l.judge.leases.kept() {
			sent := time.Now()
			if stream.Send(&pb.LeaseKeepAliveRequest{ID: one.id}) != nil {
				return
			}
			reply, err := stream.Recv()
			if err != nil {
				return
			}
			l.judge.leases.mu.Lock()
			if reply.TTL > 0 {
				one.renewed = sent
			} else if !one.gone && time.Since(one.renewed) < one.ttl {
				l.fault("lease %d is gone %v after its renewal", one.id, time.Since(one.renewed))
			}
			l.judge.leases.mu.Unlock()
		}
		pause(ctx, 200*time.Millisecond)
	}
}

func (s *leases) kept() []*lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kept []*lease
	for _, one := range s.all {
		if one.kept && !one.gone {
			kept = append(kept, one)
		}
	}
	return kept
}

// observe checks that no lease's key is deleted before its time.
func (s *leases) observe(events []*mvccEvent, record *record) {
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
			record.fault("lease %d (kept: %v) ended %v early, at revision %d", one.id, one.kept, left,
				event.Kv.ModRevision)
		}
	}
}

// leasesEnd waits for the leases that nobody renews: all must end.
func (j *judge) leasesEnd() error {
	const patience = 20 * time.Second
	deadline := time.Now().Add(shortTTL + patience)
	for {
		reply, err := pb.NewKVClient(j.conn).Range(context.Background(), &pb.RangeRequest{
			Key: []byte("lease/"), RangeEnd: []byte("lease0"), KeysOnly: true})
		if err != nil {
			return err
		}
		live, err := pb.NewLeaseClient(j.conn).LeaseLeases(context.Background(), &pb.LeaseLeasesRequest{})
		if err != nil {
			return err
		}
		if len(reply.Kvs) == 0 && len(live.Leases) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d keys and %d leases never end", len(reply.Kvs), len(live.Leases))
		}
		time.Sleep(200 * time.Millisecond)
	}
}
