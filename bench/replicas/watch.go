package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	watchStreams = 30
	putInterval  = 20 * time.Millisecond
)

// watchLatency measures from the moment an update is sent, to the writer, to its event on each of thirty streams, spread
// over all endpoints, at 50 updates a second so that nothing queues.
func watchLatency(ctx context.Context, t *target, length time.Duration) ([]figure, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	prefix, end := "/registry/watched/", "/registry/watched0"
	puts := int(length / putInterval)
	sent := make([]time.Time, puts)
	seen := make([][]time.Duration, watchStreams)
	failures := make(chan error, watchStreams)
	var lock sync.Mutex
	var conns []*grpc.ClientConn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for i := range watchStreams {
		conn, err := dial(t.endpoints[i%len(t.endpoints)])
		if err != nil {
			return nil, err
		}
		conns = append(conns, conn)
		stream, err := openWatch(ctx, conn, prefix, end)
		if err != nil {
			return nil, err
		}
		go func() {
			failures <- receive(stream, puts, func(n int) {
				lock.Lock()
				defer lock.Unlock()
				seen[i] = append(seen[i], time.Since(sent[n]))
			})
		}()
	}
	account := t.account(ctx)
	next := time.Now()
	for n := range puts {
		time.Sleep(time.Until(next))
		next = next.Add(putInterval)
		lock.Lock()
		sent[n] = time.Now()
		lock.Unlock()
		if _, err := pb.NewKVClient(conns[0]).Txn(ctx, create(fmt.Appendf(nil, "%s%08d", prefix, n), body)); err != nil {
			return nil, err
		}
	}
	for range watchStreams {
		if err := <-failures; err != nil {
			return nil, err
		}
	}
	r := result{latencies: slices.Concat(seen...)}
	if err := account(&r); err != nil {
		return nil, err
	}
	slices.Sort(r.latencies)
	figures := []figure{{"p50", "ms", milliseconds(r.percentile(50))}, {"p99", "ms", milliseconds(r.percentile(99))},
		{"server CPU", "µs/event", float64(r.server.cpu.Microseconds()) / float64(len(r.latencies))}}
	if t.database != nil {
		figures = append(figures, figure{"database CPU", "µs/update", float64(r.database.cpu.Microseconds()) / float64(puts)})
	}
	return figures, nil
}

func openWatch(ctx context.Context, conn *grpc.ClientConn, from, to string) (pb.Watch_WatchClient, error) {
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{Key: []byte(from), RangeEnd: []byte(to)}}})
	if err != nil {
		return nil, err
	}
	reply, err := stream.Recv()
	if err == nil && !reply.Created {
		err = fmt.Errorf("a watch begins with %v", reply)
	}
	return stream, err
}

// receive takes all events, which must come in order.
func receive(stream pb.Watch_WatchClient, count int, seen func(int)) error {
	for n := 0; n < count; {
		reply, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, event := range reply.Events {
			var number int
			if _, err := fmt.Sscanf(string(event.Kv.Key), "/registry/watched/%d", &number); err != nil || number != n {
				return fmt.Errorf("event %d is %q", n, event.Kv.Key)
			}
			seen(n)
			n++
		}
	}
	return nil
}
