package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// keepAlive renews 256 leases, each on a stream of its own, one renewal after the other.
func keepAlive(s *Server, total int) ([]Figure, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	clients := Connect(s, 16, 256)
	defer clients.Close()
	streams := make([]pb.Lease_LeaseKeepAliveClient, clients.callers)
	leases := make([]int64, clients.callers)
	for i := range streams {
		lease := pb.NewLeaseClient(clients.conns[i%len(clients.conns)])
		granted, err := lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 600})
		if err != nil {
			return nil, err
		}
		leases[i] = granted.ID
		if streams[i], err = lease.LeaseKeepAlive(ctx); err != nil {
			return nil, err
		}
	}
	result, err := clients.Run(s, total, func(_ *grpc.ClientConn, caller, _ int) error {
		if err := streams[caller].Send(&pb.LeaseKeepAliveRequest{ID: leases[caller]}); err != nil {
			return err
		}
		reply, err := streams[caller].Recv()
		if err == nil && reply.TTL != 600 {
			return fmt.Errorf("lease %d has a TTL of %d", reply.ID, reply.TTL)
		}
		return err
	})
	return result.Figures(), err
}

// watchLatency measures from the moment a put is sent to each watcher's event: streams streams of
// each watchers, all on the one key that is put, at 50 puts a second so that nothing queues.
func watchLatency(s *Server, streams, each, puts int) ([]Figure, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	clients := Connect(s, 16, 1)
	defer clients.Close()
	watched := []byte("/registry/watched")
	sent := make([]time.Time, puts)
	var lock sync.Mutex
	var latencies []time.Duration
	var ready, done sync.WaitGroup
	errs := make(chan error, streams)
	first := int64(0)
	for i := range streams {
		stream, err := pb.NewWatchClient(clients.conns[i%len(clients.conns)]).Watch(ctx)
		if err != nil {
			return nil, err
		}
		for range each {
			create := &pb.WatchCreateRequest{Key: watched}
			err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})
			if err != nil {
				return nil, err
			}
		}
		ready.Add(1)
		done.Go(func() {
			mine := make([]time.Duration, 0, puts*each)
			created := 0
			for len(mine) < puts*each {
				reply, err := stream.Recv()
				if err != nil {
					errs <- err
					return
				}
				if reply.Created {
					if created++; created == each {
						ready.Done()
					}
				}
				for _, event := range reply.Events {
					mine = append(mine, time.Since(sent[event.Kv.ModRevision-first]))
				}
			}
			lock.Lock()
			latencies = append(latencies, mine...)
			lock.Unlock()
		})
	}
	ready.Wait()
	kv := pb.NewKVClient(clients.conns[0])
	now, err := kv.Range(ctx, &pb.RangeRequest{Key: watched})
	if err != nil {
		return nil, err
	}
	first = now.Header.Revision + 1
	cpu := s.CPU()
	for n := range puts {
		sent[n] = time.Now()
		if _, err := kv.Put(ctx, &pb.PutRequest{Key: watched, Value: fmt.Append(nil, n)}); err != nil {
			return nil, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	done.Wait()
	if len(errs) > 0 {
		return nil, <-errs
	}
	events := float64(puts * streams * each)
	return []Figure{
		{"p50", "ms", milliseconds(percentile(latencies, 50))},
		{"p99", "ms", milliseconds(percentile(latencies, 99))},
		{"server CPU", "µs/event", float64((s.CPU() - cpu).Microseconds()) / events},
	}, nil
}

// opaque takes a reply as its bytes and only counts them.
type opaque struct{}

func (opaque) Name() string { return "opaque" }

func (opaque) Marshal(v any) (mem.BufferSlice, error) {
	return encoding.GetCodecV2("proto").Marshal(v)
}

func (opaque) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*int) = data.Len()
	return nil
}

// rawList reads all keys in one unary reply and returns its size.
func rawList(s *Server) (int, error) {
	conn := s.Dial()
	defer conn.Close()
	size := 0
	request := &pb.RangeRequest{Key: []byte("/registry/pods/"), RangeEnd: []byte("/registry/pods0")}
	err := conn.Invoke(context.Background(), "/etcdserverpb.KV/Range", request, &size, grpc.ForceCodecV2(opaque{}))
	return size, err
}
