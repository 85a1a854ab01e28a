package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// scenario is one row group of the table.
type scenario struct {
	name string
	// not names the targets that cannot do it.
	not []string
	run func(context.Context, *target, time.Duration) ([]figure, error)
	// setup is done whatever is chosen.
	setup bool
}

const (
	// space is how many keys are read and overwritten.
	space     = 10_000
	valueSize = 256
	// keysEach is how many keys a caller updates by turns, alone.
	keysEach = 16
)

var scenarios = []scenario{
	inserts("put, 1 client", 1), inserts("put, 64 clients", 64), inserts("put, 256 clients", 256),
	{name: "fill", not: []string{"insert"}, run: fill, setup: true},
	loops("put, 1 client", 1, atWriter, putOnce),
	{name: "put and bare INSERT by turns, 1 client", not: []string{"insert", "etcd"}, run: byTurns},
	loops("put, 1 client, not at the writer", 1, notAtWriter, putOnce, "kine", "meridian-1"),
	loops("put, 64 clients", 64, everywhere, putOnce),
	loops("put, 256 clients", 256, everywhere, putOnce),
	loops("guaranteed update, 1 client", 1, atWriter, update),
	loops("guaranteed update, 64 clients", 64, everywhere, update),
	loops("guaranteed update, 256 clients", 256, everywhere, update),
	loops("linearizable get, 1 client", 1, atWriter, getOnce(false)),
	loops("linearizable get, 1 client, not at the writer", 1, notAtWriter, getOnce(false), "kine", "meridian-1"),
	loops("linearizable get, 64 clients", 64, everywhere, getOnce(false)),
	loops("linearizable get, 256 clients", 256, everywhere, getOnce(false)),
	loops("serializable get, 1 client", 1, atWriter, getOnce(true), "kine"),
	loops("serializable get, 256 clients", 256, everywhere, getOnce(true), "kine"),
	{name: "watch, 30 streams", not: []string{"insert"}, run: watchLatency},
}

func everywhere(t *target) []string  { return t.endpoints }
func atWriter(t *target) []string    { return t.endpoints[:1] }
func notAtWriter(t *target) []string { return t.endpoints[1:] }

func loops(name string, callers int, where func(*target) []string, call func(context.Context, *caller) error, not ...string) scenario {
	return scenario{name: name, not: append(not, "insert"), run: func(ctx context.Context, t *target, length time.Duration) ([]figure, error) {
		r, err := loop(ctx, t, where(t), callers, length, call)
		if err != nil {
			return nil, err
		}
		return r.figures(t), nil
	}}
}

// inserts is PostgreSQL's floor under a put: one row and its commit a request, a connection for each caller.
func inserts(name string, callers int) scenario {
	var slot atomic.Int64
	return scenario{name: name, not: []string{"etcd", "kine", "meridian-1", "meridian-3"},
		run: func(ctx context.Context, t *target, length time.Duration) ([]figure, error) {
			r, err := loop(ctx, t, nil, callers, length, insert(t, name, &slot))
			if err != nil {
				return nil, err
			}
			return r.figures(t), nil
		}}
}

func insert(t *target, log string, slot *atomic.Int64) func(context.Context, *caller) error {
	return func(ctx context.Context, _ *caller) error {
		_, err := t.pool.Exec(ctx, "INSERT INTO bare VALUES ($1, $2, $3)", log, slot.Add(1), body)
		return err
	}
}

// byTurns holds one client's puts against bare inserts of the same minute: how fast a disk syncs changes while one looks.
func byTurns(ctx context.Context, t *target, length time.Duration) ([]figure, error) {
	const turns = 4
	var slot atomic.Int64
	var puts, inserts result
	for range turns {
		for _, one := range []struct {
			into  *result
			where []string
			call  func(context.Context, *caller) error
		}{{&puts, atWriter(t), putOnce}, {&inserts, nil, insert(t, "by turns", &slot)}} {
			r, err := loop(ctx, t, one.where, 1, length/turns, one.call)
			if err != nil {
				return nil, err
			}
			one.into.latencies = append(one.into.latencies, r.latencies...)
		}
	}
	slices.Sort(puts.latencies)
	slices.Sort(inserts.latencies)
	put, bare := milliseconds(puts.percentile(50)), milliseconds(inserts.percentile(50))
	return []figure{{"put p50", "ms", put}, {"INSERT p50", "ms", bare}, {"put / INSERT", "×", put / bare}}, nil
}

// key is one of 64 bytes in the shape of Kubernetes' own.
func key(n int) []byte {
	return fmt.Appendf(nil, "/registry/pods/namespace-%03d/workload-7d4b9c6f5-%025d", n%50, n)
}

func value() []byte {
	v := make([]byte, valueSize)
	for i := range v {
		v[i] = byte(32 + rand.IntN(90))
	}
	return v
}

// create is what kube-apiserver asks for a new object, which is all that kine takes for one.
func create(key, value []byte) *pb.TxnRequest {
	return &pb.TxnRequest{Compare: []*pb.Compare{modIs(key, 0)}, Success: []*pb.RequestOp{putOf(key, value)}}
}

func modIs(key []byte, revision int64) *pb.Compare {
	return &pb.Compare{Key: key, Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
		TargetUnion: &pb.Compare_ModRevision{ModRevision: revision}}
}

func putOf(key, value []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: value}}}
}

// fill creates all keys, so that every target has the same.
func fill(ctx context.Context, t *target, _ time.Duration) ([]figure, error) {
	const callers = 64
	all, closeAll, err := connect(t.endpoints, callers)
	defer closeAll()
	if err != nil {
		return nil, err
	}
	v := value()
	failures := make(chan error, callers)
	began := time.Now()
	for _, c := range all {
		go func() {
			for n := c.number; n < space; n += callers {
				if _, err := pb.NewKVClient(c.conn).Txn(ctx, create(key(n), v)); err != nil {
					failures <- err
					return
				}
			}
			failures <- nil
		}()
	}
	for range callers {
		if failed := <-failures; failed != nil {
			err = failed
		}
	}
	return []figure{{fmt.Sprintf("%d keys", space), "s", time.Since(began).Seconds()}}, err
}

var body = value()

func putOnce(ctx context.Context, c *caller) error {
	_, err := pb.NewKVClient(c.conn).Put(ctx, &pb.PutRequest{Key: key(rand.IntN(space)), Value: body})
	return err
}

// update is kube-apiserver's: put if the key is as it was seen last, get it otherwise, then again.
func update(ctx context.Context, c *caller) error {
	c.count++
	n := space + c.number*keysEach + c.count%keysEach
	for {
		get := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key(n)}}}
		reply, err := pb.NewKVClient(c.conn).Txn(ctx, &pb.TxnRequest{Compare: []*pb.Compare{modIs(key(n), c.revisions[n])},
			Success: []*pb.RequestOp{putOf(key(n), body)}, Failure: []*pb.RequestOp{get}})
		if err != nil {
			return err
		}
		if reply.Succeeded {
			c.revisions[n] = reply.Header.Revision
			return nil
		}
		found := reply.Responses[0].GetResponseRange().GetKvs()
		if len(found) != 1 {
			return fmt.Errorf("an update of %q was refused, and it is not there", key(n))
		}
		c.revisions[n] = found[0].ModRevision
	}
}

func getOnce(serializable bool) func(context.Context, *caller) error {
	return func(ctx context.Context, c *caller) error {
		asked := key(rand.IntN(space))
		reply, err := pb.NewKVClient(c.conn).Range(ctx, &pb.RangeRequest{Key: asked, Serializable: serializable})
		// A replica that lags may not have a key yet, but all were there long before.
		if err == nil && len(reply.Kvs) != 1 {
			err = fmt.Errorf("%q is not there", asked)
		}
		return err
	}
}
