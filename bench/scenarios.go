package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// Scenario is one row group of the table. Setup scenarios always run, the others by choice.
type Scenario struct {
	Name  string
	Setup bool
	Run   func(*Server) ([]Figure, error)
}

// space is how many keys the small store has.
const space = 10_000

// fillSmall fills the small store.
var fillSmall = Scenario{Name: "fill", Setup: true, Run: func(s *Server) ([]Figure, error) { return nil, fill(s, space) }}

// smallStore measures the price of a request on a store of a few thousand keys.
func smallStore(o Options) []Scenario {
	return slices.Concat([]Scenario{fillSmall}, requests(o, ""), []Scenario{
		{Name: "keep-alive, 256 streams", Run: func(s *Server) ([]Figure, error) { return keepAlive(s, o.Requests) }},
		{Name: "watch, 100 streams x 10", Run: func(s *Server) ([]Figure, error) { return watchLatency(s, 100, 10, 500) }},
	})
}

// tlsStore measures the same requests over mutual TLS, and what a new connection costs.
func tlsStore(o Options) []Scenario {
	return slices.Concat([]Scenario{fillSmall}, requests(o, " over mutual TLS"), []Scenario{
		{Name: "handshakes over mutual TLS", Run: func(s *Server) ([]Figure, error) { return handshakes(s, 200) }},
	})
}

// requests are puts and gets by one caller and by many; over ends their names.
func requests(o Options, over string) []Scenario {
	ctx := context.Background()
	v := value(256)
	put := func(conn *grpc.ClientConn, _, _ int) error {
		_, err := pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: key(rand.IntN(space)), Value: v})
		return err
	}
	get := func(conn *grpc.ClientConn, _, _ int) error {
		_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: key(rand.IntN(space))})
		return err
	}
	loop := func(name string, conns, callers, total int, call func(*grpc.ClientConn, int, int) error) Scenario {
		return Scenario{Name: name, Run: func(s *Server) ([]Figure, error) {
			clients := Connect(s, conns, callers)
			defer clients.Close()
			if _, err := clients.Run(s, callers*4, call); err != nil {
				return nil, err
			}
			result, err := clients.Run(s, total, call)
			return result.Figures(), err
		}}
	}
	return []Scenario{
		loop("put"+over+", 1 client", 1, 1, min(o.Requests, 5_000), put),
		loop("put"+over+", 256 clients", 16, 256, o.Requests, put),
		loop("get"+over+", 1 client", 1, 1, min(o.Requests, 10_000), get),
		loop("get"+over+", 256 clients", 16, 256, o.Requests, get),
	}
}

// handshakes opens total connections one after the other, and each ends after one get.
func handshakes(s *Server, total int) ([]Figure, error) {
	one := &Clients{callers: 1, conns: []*grpc.ClientConn{nil}}
	result, err := one.Run(s, total, func(_ *grpc.ClientConn, _, n int) error {
		conn := s.Dial()
		defer conn.Close()
		_, err := pb.NewKVClient(conn).Range(context.Background(), &pb.RangeRequest{Key: key(n)})
		return err
	})
	return []Figure{
		{"server CPU", "ms/connection", milliseconds(result.cpu) / float64(total)},
		{"p50", "ms", milliseconds(percentile(result.latencies, 50))},
		{"p99", "ms", milliseconds(percentile(result.latencies, 99))},
	}, err
}

// largeStore measures what a big list does, what it costs to hold the data, and to come back with it.
func largeStore(o Options) []Scenario {
	ctx := context.Background()
	all := []byte("/registry/pods/")
	end := []byte("/registry/pods0")
	timed := func(name string, times int, request *pb.RangeRequest) Scenario {
		return Scenario{Name: name, Run: func(s *Server) ([]Figure, error) {
			clients := Connect(s, 1, 1)
			defer clients.Close()
			result, err := clients.Run(s, times, func(conn *grpc.ClientConn, _, _ int) error {
				reply, err := pb.NewKVClient(conn).Range(ctx, request)
				if err == nil && reply.Count != int64(o.Keys) {
					return fmt.Errorf("count is %d", reply.Count)
				}
				return err
			})
			return []Figure{
				{"p50", "ms", milliseconds(percentile(result.latencies, 50))},
				{"server CPU", "µs/request", float64(result.cpu.Microseconds()) / float64(times)},
			}, err
		}}
	}
	memory := func(s *Server) []Figure {
		time.Sleep(2 * time.Second)
		return []Figure{{"resident", "MB", s.Memory("VmRSS") / 1e6}}
	}
	return []Scenario{
		{Name: "memory after load", Setup: true, Run: func(s *Server) ([]Figure, error) {
			err := fill(s, o.Keys)
			return memory(s), err
		}},
		timed("count_only of all", 50, &pb.RangeRequest{Key: all, RangeEnd: end, CountOnly: true}),
		timed("first 500 of all", 50, &pb.RangeRequest{Key: all, RangeEnd: end, Limit: 500}),
		{Name: "list of all", Run: func(s *Server) ([]Figure, error) { return fullList(s, o.Keys) }},
		{Name: "put beside lists of all", Run: func(s *Server) ([]Figure, error) { return putBesideList(s) }},
		{Name: "restart", Run: func(s *Server) ([]Figure, error) {
			took, err := s.Restart()
			if err != nil {
				return nil, err
			}
			return append([]Figure{{"time", "s", took.Seconds()}}, memory(s)...), nil
		}},
	}
}

// fullList reads everything in one reply, once to warm up and then measured. The reply is not decoded:
// what the client does with it is not what is measured.
func fullList(s *Server, keys int) ([]Figure, error) {
	before := s.Memory("VmRSS")
	s.ForgetPeak()
	var times []time.Duration
	for range 3 {
		at := time.Now()
		size, err := rawList(s)
		if err != nil {
			return nil, err
		}
		times = append(times, time.Since(at))
		if size < keys*576 {
			return nil, fmt.Errorf("the list has only %d bytes", size)
		}
	}
	return []Figure{
		{"time", "s", percentile(times, 50).Seconds()},
		{"extra memory", "MB", (s.Memory("VmHWM") - before) / 1e6},
	}, nil
}

// putBesideList measures puts of 4 clients while lists of everything follow one another.
func putBesideList(s *Server) ([]Figure, error) {
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
				if _, err := rawList(s); err != nil {
					ended <- err
					return
				}
			}
		}
	}()
	clients := Connect(s, 4, 4)
	defer clients.Close()
	v := value(256)
	result, err := clients.Run(s, 2_000, func(conn *grpc.ClientConn, _, n int) error {
		_, err := pb.NewKVClient(conn).Put(context.Background(), &pb.PutRequest{Key: fmt.Appendf(nil, "beside-%d", n%100), Value: v})
		return err
	})
	close(stop)
	if err == nil {
		err = <-ended
	}
	return []Figure{
		{"p50", "ms", milliseconds(percentile(result.latencies, 50))},
		{"p99", "ms", milliseconds(percentile(result.latencies, 99))},
	}, err
}
