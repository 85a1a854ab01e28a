package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/postgres/replicas"
	"conformance/store"
)

const (
	sharedKeys   = 4
	requestLimit = 5 * time.Second
	retryPause   = 5 * time.Millisecond
	cadence      = time.Millisecond
	late         = 10 * time.Millisecond
	probesOpen   = 600
	mixerPause   = 8 * time.Millisecond
	padding      = 2048
)

// load is the traffic of one episode: on every replica clients that share a few keys, probes that measure, a watcher.
type load struct {
	*record
	run    *run
	from   int64
	values string
	conns  []*grpc.ClientConn
	// clients end first; watchers go on until they have seen all.
	clients, watchers         sync.WaitGroup
	stopClients, stopWatchers context.CancelFunc
}

// startLoad begins the traffic; from is the revision at which the episode begins.
func (r *run) startLoad(parent context.Context, from int64) (*load, error) {
	r.episode++
	l := &load{record: newRecord(), run: r, from: from, values: fmt.Sprintf("%d.%d", r.seed, r.episode)}
	var ctx, eyes context.Context
	ctx, l.stopClients = context.WithCancel(parent)
	eyes, l.stopWatchers = context.WithCancel(parent)
	number := 0
	spawn := func(ctx context.Context, group *sync.WaitGroup, do func(context.Context, *client),
		through *replicas.Replica) error {
		conn, err := dial(through.ForClients())
		if err != nil {
			return err
		}
		l.conns = append(l.conns, conn)
		number++
		c := &client{load: l, number: number, through: through.Name, conn: conn, kv: pb.NewKVClient(conn),
			random: rand.New(rand.NewPCG(r.seed, uint64(r.episode*1000+number)))}
		group.Go(func() { do(ctx, c) })
		return nil
	}
	for _, replica := range r.set.Replicas {
		failed := spawn(eyes, &l.watchers, watch, replica)
		for _, do := range slices.Concat([]func(context.Context, *client){probeWrites, probeReads, probeGlances},
			slices.Repeat([]func(context.Context, *client){mix}, r.mixers)) {
			failed = errors.Join(failed, spawn(ctx, &l.clients, do, replica))
		}
		if failed != nil {
			l.finish()
			return nil, failed
		}
	}
	l.clients.Go(func() { r.leases.traffic(ctx, l) })
	for _, do := range []func(context.Context, *client){list, compact} {
		if err := spawn(ctx, &l.clients, do, r.set.Replicas[0]); err != nil {
			l.finish()
			return nil, err
		}
	}
	return l, nil
}

// end stops the traffic and waits for the last answers; watchers go on.
func (l *load) end() {
	l.stopClients()
	l.clients.Wait()
}

// finish ends the watchers too.
func (l *load) finish() {
	l.end()
	l.stopWatchers()
	l.watchers.Wait()
	for _, conn := range l.conns {
		conn.Close()
	}
}

// dial makes a connection that comes back at once when its server does: what a client's own patience adds is not what is
// measured here.
func dial(endpoint string) (*grpc.ClientConn, error) {
	return grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second, Backoff: backoff.Config{
			BaseDelay: 10 * time.Millisecond, Multiplier: 1.2, MaxDelay: 50 * time.Millisecond}}))
}

// client is one caller with a connection of its own, one request at a time.
type client struct {
	*load
	number  int
	through string
	conn    *grpc.ClientConn
	kv      pb.KVClient
	random  *rand.Rand
	count   atomic.Int64
}

// undecided tells what an error leaves open, and notes those that nothing explains.
func (c *client) undecided(ctx context.Context, err error) {
	switch status.Code(err) {
	case codes.Unavailable, codes.Unknown, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		pause(ctx, retryPause)
	default:
		c.fault("an answer that nothing explains, through %s: %v", c.through, err)
	}
}

func (c *client) operation(k kind, key string) *operation {
	return &operation{client: c.number, through: c.through, kind: k, key: key}
}

func (c *client) value() string {
	return fmt.Sprintf("%s.%d.%d", c.values, c.number, c.count.Add(1))
}

// mix does everything that changes shared keys.
func mix(ctx context.Context, c *client) {
	for ctx.Err() == nil {
		key := fmt.Sprintf("shared/%d", c.random.IntN(sharedKeys))
		switch n := c.random.IntN(10); {
		case n < 3:
			c.put(ctx, c.operation(put, key))
		case n < 6:
			c.read(ctx, c.operation(get, key))
		case n < 9:
			c.swap(ctx, key)
		default:
			c.remove(ctx, key)
		}
		pause(ctx, time.Duration(c.random.Int64N(int64(mixerPause))))
	}
}

// limited bounds one request. It outlives the episode's end, so that few answers are thrown away.
func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), requestLimit)
}

func (c *client) put(ctx context.Context, o *operation) bool {
	o.value = c.value()
	if o.probe && c.run.draw > 0 {
		// So much that the replicas write checkpoints and trim the journal while they are struck.
		o.value += strings.Repeat(".", padding)
	}
	c.begin(o)
	request, cancel := limited()
	defer cancel()
	reply, err := c.kv.Put(request, &pb.PutRequest{Key: []byte(o.key), Value: []byte(o.value)})
	if err != nil {
		c.undecided(ctx, err)
		return false
	}
	c.answered(o, true, reply.Header.Revision, nil)
	return true
}

func (c *client) read(ctx context.Context, o *operation) (*mvccpb.KeyValue, bool) {
	c.begin(o)
	request, cancel := limited()
	defer cancel()
	reply, err := c.kv.Range(request, &pb.RangeRequest{Key: []byte(o.key), Serializable: o.kind == glance})
	if err != nil {
		c.undecided(ctx, err)
		return nil, false
	}
	var shown *mvccpb.KeyValue
	if len(reply.Kvs) > 0 {
		shown = reply.Kvs[0]
	}
	c.answered(o, false, reply.Header.Revision, shown)
	return shown, true
}

// swap reads a key and changes it if nobody else has.
func (c *client) swap(ctx context.Context, key string) {
	seen, ok := c.read(ctx, c.operation(get, key))
	if !ok {
		return
	}
	o := c.operation(swap, key)
	o.value, o.expected = c.value(), seen.GetModRevision()
	c.begin(o)
	request, cancel := limited()
	defer cancel()
	reply, err := c.kv.Txn(request, &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte(key), Target: pb.Compare_MOD,
			TargetUnion: &pb.Compare_ModRevision{ModRevision: o.expected}}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{
			RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(o.value)}}}},
	})
	if err != nil {
		c.undecided(ctx, err)
		return
	}
	c.answered(o, reply.Succeeded, reply.Header.Revision, nil)
}

func (c *client) remove(ctx context.Context, key string) {
	o := c.operation(remove, key)
	c.begin(o)
	request, cancel := limited()
	defer cancel()
	reply, err := c.kv.DeleteRange(request, &pb.DeleteRangeRequest{Key: []byte(key)})
	if err != nil {
		c.undecided(ctx, err)
		return
	}
	c.answered(o, reply.Deleted > 0, reply.Header.Revision, nil)
}

// probeWrites puts a key of its own.
func probeWrites(ctx context.Context, c *client) {
	c.probe(ctx, writing, func() bool {
		o := c.operation(put, "probe/"+c.through)
		o.probe = true
		return c.put(ctx, o)
	})
}

func probeReads(ctx context.Context, c *client) { c.probeReads(ctx, reading, get) }

func probeGlances(ctx context.Context, c *client) { c.probeReads(ctx, glancing, glance) }

func (c *client) probeReads(ctx context.Context, what string, k kind) {
	c.probe(ctx, what, func() bool {
		o := c.operation(k, fmt.Sprintf("shared/%d", c.count.Add(1)%sharedKeys))
		o.probe = true
		_, ok := c.read(ctx, o)
		return ok
	})
}

// probe asks once a millisecond, or as soon as the last answer is there. When an answer is late the next request is sent
// beside it, so that one lost request does not hide that others are served again.
func (c *client) probe(ctx context.Context, what string, once func() bool) {
	open := make(chan struct{}, probesOpen)
	var group sync.WaitGroup
	defer group.Wait()
	for ctx.Err() == nil {
		next := time.Now().Add(cadence)
		open <- struct{}{}
		answered := make(chan struct{})
		group.Go(func() {
			if once() {
				c.sign(what, c.through)
			}
			<-open
			close(answered)
		})
		select {
		case <-answered:
		case <-time.After(late):
		}
		pause(ctx, time.Until(next))
	}
}

// watch records every event since the episode's beginning, through one replica, and goes on where it was whenever
// that replica comes back.
func watch(ctx context.Context, c *client) {
	for ctx.Err() == nil {
		from := max(c.from, c.reached(c.through)) + 1
		err := c.watchFrom(ctx, from)
		if ctx.Err() == nil && err != nil {
			c.undecided(ctx, err)
		}
	}
}

func (c *client) watchFrom(ctx context.Context, from int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := store.OpenWatch(ctx, c.conn, from)
	if err != nil {
		return err
	}
	for {
		reply, err := stream.Recv()
		if err != nil {
			return err
		}
		if reply.Canceled {
			c.fault("the watch from %d through %s was canceled: %v", from, c.through, reply)
			pause(ctx, 100*time.Millisecond)
			return nil
		}
		c.run.leases.observe(reply.Events, c.record)
		c.saw(c.through, reply.Events)
	}
}

func pause(ctx context.Context, length time.Duration) {
	if length <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}
