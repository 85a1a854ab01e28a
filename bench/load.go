package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// Figure is one measured number.
type Figure struct {
	Name, Unit string
	Value      float64
}

// Clients is a set of callers spread over a few connections, as etcd's benchmark does it.
type Clients struct {
	conns   []*grpc.ClientConn
	callers int
}

// Connect opens conns connections for callers callers.
func Connect(s *Server, conns, callers int) *Clients {
	c := &Clients{callers: callers}
	for range conns {
		c.conns = append(c.conns, s.Dial())
	}
	return c
}

// Close ends the connections.
func (c *Clients) Close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// Result is what a closed loop of callers saw.
type Result struct {
	total     int
	took      time.Duration
	cpu       time.Duration
	latencies []time.Duration
}

// Run makes total calls, each caller the next when its last has ended.
func (c *Clients) Run(s *Server, total int, call func(conn *grpc.ClientConn, caller, n int) error) (Result, error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	all := make([][]time.Duration, c.callers)
	cpu, begin := s.CPU(), time.Now()
	var group sync.WaitGroup
	for caller := range c.callers {
		group.Go(func() {
			conn := c.conns[caller%len(c.conns)]
			for {
				n := int(next.Add(1)) - 1
				if n >= total || failed.Load() != nil {
					return
				}
				at := time.Now()
				if err := call(conn, caller, n); err != nil {
					failed.Store(&err)
					return
				}
				all[caller] = append(all[caller], time.Since(at))
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return Result{}, *err
	}
	return Result{total, time.Since(begin), s.CPU() - cpu, slices.Concat(all...)}, nil
}

// Figures are the usual four.
func (r Result) Figures() []Figure {
	return []Figure{
		{"server CPU", "µs/request", float64(r.cpu.Microseconds()) / float64(r.total)},
		{"throughput", "/s", float64(r.total) / r.took.Seconds()},
		{"p50", "ms", milliseconds(percentile(r.latencies, 50))},
		{"p99", "ms", milliseconds(percentile(r.latencies, 99))},
	}
}

func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// key is a 64-byte key in the shape of Kubernetes' own, spread over 50 namespaces.
func key(n int) []byte {
	return fmt.Appendf(nil, "/registry/pods/namespace-%03d/workload-7d4b9c6f5-%025d", n%50, n)
}

// value is size bytes that do not compress to nothing.
func value(size int) []byte {
	v := make([]byte, size)
	for i := range v {
		v[i] = byte(32 + rand.IntN(90))
	}
	return v
}

// fill puts keys 0 to n-1.
func fill(s *Server, n int) error { return fillWith(s, n, 512) }

// fillWith puts keys 0 to n-1 with values of size bytes, 64 to a transaction.
func fillWith(s *Server, n, size int) error {
	const each = 64
	clients := Connect(s, 4, 16)
	defer clients.Close()
	v := value(size)
	_, err := clients.Run(s, (n+each-1)/each, func(conn *grpc.ClientConn, _, batch int) error {
		txn := &pb.TxnRequest{}
		for i := batch * each; i < min(n, (batch+1)*each); i++ {
			put := &pb.PutRequest{Key: key(i), Value: v}
			txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
		}
		_, err := pb.NewKVClient(conn).Txn(context.Background(), txn)
		return err
	})
	return err
}
