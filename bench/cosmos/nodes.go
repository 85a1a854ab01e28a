package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/cosmos/account"
)

const (
	// A kubelet renews its lease every ten seconds and tells its node's status every five minutes if nothing changes:
	// https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats
	leaseEvery  = 10 * time.Second
	statusEvery = 5 * time.Minute
	// What those objects take, as they are stored.
	leaseSize  = 400
	statusSize = 8 << 10
)

// watched are what each API server watches of what changes here.
var watched = []string{"/registry/leases/", "/registry/minions/"}

// fleet is the nodes of a cluster, as their API servers' requests.
type fleet struct {
	kv      []pb.KVClient
	updates atomic.Int64
	events  atomic.Int64
	seen    sync.Map
	count   int
}

// nodes counts what so many nodes cost in request units.
func nodes(ctx context.Context, o options) (string, error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return "", err
	}
	defer w.stop()
	f := &fleet{count: o.nodes}
	for _, endpoint := range w.endpoints {
		conn, err := dial(endpoint)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		f.kv = append(f.kv, pb.NewKVClient(conn))
		if err := f.watch(ctx, conn); err != nil {
			return "", err
		}
	}
	if err := f.join(ctx); err != nil {
		return "", err
	}
	log.Printf("%d nodes are there", o.nodes)
	began := time.Now()
	w.ResetCounts()
	f.updates.Store(0)
	f.events.Store(0)
	err = f.live(ctx, o.last)
	took, counts := time.Since(began), w.Counts()
	if err != nil {
		return "", err
	}
	return f.report(o, took, counts), nil
}

// watch is one API server's informers.
func (f *fleet) watch(ctx context.Context, conn *grpc.ClientConn) error {
	for _, prefix := range watched {
		stream, err := pb.NewWatchClient(conn).Watch(ctx)
		if err != nil {
			return err
		}
		end := []byte(prefix)
		end[len(end)-1]++
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
			CreateRequest: &pb.WatchCreateRequest{Key: []byte(prefix), RangeEnd: end, ProgressNotify: true, PrevKv: true}}}); err != nil {
			return err
		}
		go func() {
			for {
				reply, err := stream.Recv()
				if err != nil {
					return
				}
				f.events.Add(int64(len(reply.Events)))
			}
		}()
	}
	return nil
}

// join makes every node's objects.
func (f *fleet) join(ctx context.Context) error {
	for n := range f.count {
		for _, one := range []struct {
			key  string
			size int
		}{{leaseOf(n), leaseSize}, {statusOf(n), statusSize}} {
			reply, err := f.kv[n%len(f.kv)].Put(ctx, &pb.PutRequest{Key: []byte(one.key), Value: content(one.size)})
			if err != nil {
				return err
			}
			f.seen.Store(one.key, reply.Header.Revision)
		}
	}
	return nil
}

func leaseOf(n int) string  { return fmt.Sprintf("/registry/leases/kube-node-lease/node-%05d", n) }
func statusOf(n int) string { return fmt.Sprintf("/registry/minions/node-%05d", n) }

func content(size int) []byte { return bytes.Repeat([]byte("k"), size) }

// live has every node do what it does, evenly spread over its period, for a while.
func (f *fleet) live(ctx context.Context, length time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	failures := make(chan error, 2*f.count)
	var group sync.WaitGroup
	for n := range f.count {
		for _, one := range []struct {
			key   string
			size  int
			every time.Duration
		}{{leaseOf(n), leaseSize, leaseEvery}, {statusOf(n), statusSize, statusEvery}} {
			first := one.every * time.Duration(n) / time.Duration(f.count)
			group.Go(func() {
				for next := time.After(first); ; next = time.After(one.every) {
					select {
					case <-ctx.Done():
						return
					case <-next:
					}
					if err := f.update(n, one.key, one.size); err != nil {
						failures <- err
						return
					}
				}
			})
		}
	}
	group.Wait()
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}

// update is kube-apiserver's transaction: a put if nobody else has written since, a get otherwise.
func (f *fleet) update(n int, key string, size int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	seen, _ := f.seen.Load(key)
	revision, _ := seen.(int64)
	name := []byte(key)
	reply, err := f.kv[n%len(f.kv)].Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: name, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: revision}}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: name, Value: content(size)}}}},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: name}}}},
	})
	if err != nil {
		return err
	}
	if !reply.Succeeded {
		return errors.New(key + " was written by somebody else")
	}
	f.seen.Store(key, reply.Header.Revision)
	f.updates.Add(1)
	return nil
}

func (f *fleet) report(o options, took time.Duration, counts []account.Count) string {
	var b strings.Builder
	seconds := took.Seconds()
	fmt.Fprintf(&b, "%d nodes for %v: a lease of %d bytes each renewed every %v, a status of %d bytes told every %v, %d watches; "+
		"%.1f updates/s, %.0f events/s. %d × %s on an emulated account, Strong, %v away; %d cores shared by all. "+
		"Request units are the documented prices (conformance/cosmos/account/charge.go), not a bill.\n\n"+
		"| operation | requests/s | RU/s |\n|---|--:|--:|\n", o.nodes, took.Round(time.Second), leaseSize, leaseEvery, statusSize,
		statusEvery, len(watched)*len(f.kv), float64(f.updates.Load())/seconds, float64(f.events.Load())/seconds, o.replicas,
		version(o.meridian), o.delay, runtime.NumCPU())
	for _, operation := range operations(counts) {
		asked, charged := account.Sum(counts, operation)
		fmt.Fprintf(&b, "| %s | %s | %s |\n", operation, number(float64(asked)/seconds), number(charged/seconds))
	}
	fmt.Fprintf(&b, "| all that is paid for | | %s |\n", number(paid(counts)/seconds))
	return b.String()
}
