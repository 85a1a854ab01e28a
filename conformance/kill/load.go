package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/store"
)

const (
	putters     = 12
	swappers    = 4
	pairers     = 4
	readers     = 2
	watchers    = 3
	keysEach    = 40
	swapKeys    = 3
	shortTTL    = 3 * time.Second
	keptTTL     = 5 * time.Second
	leasesRound = 2
	// stubbornRest is how long a client that goes on after an error waits before.
	stubbornRest = 10 * time.Millisecond
)

// load is the traffic of one round, from its start to the kill.
type load struct {
	*record
	kv     pb.KVClient
	lease  pb.LeaseClient
	conn   *grpc.ClientConn
	upkeep pb.MaintenanceClient
	round  int
	start  int64
	judge  *judge
	// stubborn clients go on after errors, and their values are as long as padding says.
	stubborn bool
	padding  int
	// stopped makes the writers end after what they are asking now.
	stopped atomic.Bool
	writers sync.WaitGroup
}

// run starts all clients and returns a function that waits for their end, once ctx is done.
func (l *load) run(ctx context.Context) (wait func()) {
	var done sync.WaitGroup
	spawn := func(count int, client func(context.Context, int, *rand.Rand)) {
		for i := range count {
			random := rand.New(rand.NewPCG(l.judge.seed, uint64(l.round*1000+i)))
			done.Add(1)
			go func() {
				defer done.Done()
				client(ctx, i, random)
			}()
		}
	}
	write := func(count int, client func(context.Context, int, *rand.Rand)) {
		l.writers.Add(count)
		spawn(count, func(ctx context.Context, me int, random *rand.Rand) {
			defer l.writers.Done()
			client(ctx, me, random)
		})
	}
	l.watched = make([][]*mvccEvent, watchers)
	spawn(watchers, l.watcher)
	write(putters, l.putter)
	write(swappers, l.swapper)
	write(pairers, l.pairer)
	spawn(readers, l.reader)
	spawn(1, l.hasher)
	write(1, l.leaser)
	spawn(1, l.keeper)
	return done.Wait
}

// undecided tells whether an error leaves open if the request took effect.
func (l *load) undecided(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Unknown, codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	l.fault("an answer that nothing explains: %v", err)
	return false
}

// ends tells whether a client ends after an error. That there was no room is an answer: it did not happen.
func (l *load) ends(ctx context.Context, op *operation, err error) bool {
	if !l.stubborn {
		l.undecided(err)
		return true
	}
	if op != nil && isNoSpace(err) {
		l.answered(op, 0)
		l.mu.Lock()
		l.refused++
		l.mu.Unlock()
	} else if ctx.Err() == nil {
		l.undecided(err)
	}
	pause(ctx, stubbornRest)
	return ctx.Err() != nil
}

func (l *load) goesOn(ctx context.Context) bool { return ctx.Err() == nil && !l.stopped.Load() }

// settle has the writers finish what they have asked, so that nothing lands later.
func (l *load) settle() {
	l.stopped.Store(true)
	l.writers.Wait()
}

// value is one that no other operation writes.
func (l *load) value(form string, which ...any) string {
	value := fmt.Sprintf(form, which...)
	return value + strings.Repeat("~", max(0, l.padding-len(value)))
}

// rest is how long a client that asks for much waits before it asks again.
func (l *load) rest(length time.Duration) time.Duration {
	if l.stubborn {
		return 10 * length
	}
	return length
}

// putter puts and deletes its own keys, one request at a time.
func (l *load) putter(ctx context.Context, me int, random *rand.Rand) {
	for n := 0; l.goesOn(ctx); n++ {
		key := fmt.Sprintf("put/%d/%d", me, random.IntN(keysEach))
		op := &operation{expected: -1}
		var revision int64
		var err error
		if random.IntN(5) == 0 {
			op.writes = []write{{key: key, remove: true}}
			l.add(op)
			var reply *pb.DeleteRangeResponse
			reply, err = l.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte(key)})
			l.saw(reply.GetHeader().GetRevision(), "delete")
			if reply.GetDeleted() > 0 {
				revision = reply.Header.Revision
			}
		} else {
			value := l.value("%d.put%d.%d", l.round, me, n)
			op.writes = []write{{key: key, value: value}}
			l.add(op)
			var reply *pb.PutResponse
			reply, err = l.kv.Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
			revision = reply.GetHeader().GetRevision()
			l.saw(revision, "put")
		}
		if err != nil {
			if l.ends(ctx, op, err) {
				return
			}
			continue
		}
		l.answered(op, revision)
	}
}

// swapper changes shared keys by compare and swap, against its rivals.
func (l *load) swapper(ctx context.Context, me int, random *rand.Rand) {
	for n := 0; l.goesOn(ctx); n++ {
		key := []byte(fmt.Sprintf("swap/%d", random.IntN(swapKeys)))
		seen, err := l.kv.Range(ctx, &pb.RangeRequest{Key: key})
		if err != nil {
			if l.ends(ctx, nil, err) {
				return
			}
			continue
		}
		var expected int64
		if len(seen.Kvs) > 0 {
			expected = seen.Kvs[0].ModRevision
			l.look(seen)
		}
		value := l.value("%d.swap%d.%d", l.round, me, n)
		op := &operation{writes: []write{{key: string(key), value: value}}, expected: expected}
		l.add(op)
		reply, err := l.kv.Txn(ctx, &pb.TxnRequest{
			Compare: []*pb.Compare{{Key: key, Target: pb.Compare_MOD,
				TargetUnion: &pb.Compare_ModRevision{ModRevision: expected}}},
			Success: []*pb.RequestOp{putOp(string(key), value)},
		})
		if err != nil {
			if l.ends(ctx, op, err) {
				return
			}
			continue
		}
		l.saw(reply.Header.Revision, "txn")
		revision := reply.Header.Revision
		if !reply.Succeeded {
			revision = 0
		}
		l.answered(op, revision)
	}
}

// pairer writes two keys in one transaction, and deletes a third in it.
func (l *load) pairer(ctx context.Context, me int, _ *rand.Rand) {
	for n := 0; l.goesOn(ctx); n++ {
		value := l.value("%d.pair%d.%d", l.round, me, n)
		left, right := fmt.Sprintf("pair/%d/left", me), fmt.Sprintf("pair/%d/right", me)
		op := &operation{writes: []write{{key: left, value: value + ".left"},
			{key: right, value: value + ".right"}}, expected: -1}
		l.add(op)
		reply, err := l.kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
			putOp(left, value+".left"), putOp(right, value+".right")}})
		if err != nil {
			if l.ends(ctx, op, err) {
				return
			}
			continue
		}
		l.saw(reply.Header.Revision, "txn")
		l.answered(op, reply.Header.Revision)
	}
}

func putOp(key, value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{
		RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}
}

// reader lists everything but ballast: what a read showed may not be taken back either.
func (l *load) reader(ctx context.Context, me int, _ *rand.Rand) {
	for ctx.Err() == nil {
		reply, err := l.kv.Range(ctx, &pb.RangeRequest{Key: []byte("c"), RangeEnd: []byte{0},
			Serializable: me%2 == 1})
		if err != nil {
			if l.ends(ctx, nil, err) {
				return
			}
			continue
		}
		l.reads.beat()
		l.look(reply)
		pause(ctx, l.rest(5*time.Millisecond))
	}
}

// look notes the keys of a reply that were written in this round.
func (l *load) look(reply *pb.RangeResponse) {
	l.saw(reply.Header.Revision, "range")
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kv := range reply.Kvs {
		if kv.ModRevision > l.start {
			l.sights = append(l.sights, sight{string(kv.Key), string(kv.Value), kv.ModRevision})
		}
	}
}

// hasher asks for the hash at revisions that were just acknowledged.
func (l *load) hasher(ctx context.Context, _ int, _ *rand.Rand) {
	for ctx.Err() == nil {
		reply, err := l.upkeep.HashKV(ctx, &pb.HashKVRequest{})
		if err != nil {
			if l.ends(ctx, nil, err) {
				return
			}
			continue
		}
		l.saw(reply.HashRevision, "hash")
		l.mu.Lock()
		l.hashes = append(l.hashes, hash{reply.HashRevision, reply.CompactRevision, reply.Hash})
		l.mu.Unlock()
		pause(ctx, l.rest(30*time.Millisecond))
	}
}

// watcher records all events from the round's start on. A stubborn one begins again behind what it has.
func (l *load) watcher(ctx context.Context, me int, _ *rand.Rand) {
	from := l.start + 1
	for l.watchFrom(ctx, me, &from) && l.stubborn && ctx.Err() == nil {
		l.mu.Lock()
		l.watchesEnded++
		l.mu.Unlock()
		pause(ctx, stubbornRest)
	}
}

// watchFrom records events until its stream ends, and says if another may follow.
func (l *load) watchFrom(ctx context.Context, me int, from *int64) bool {
	stream, err := store.OpenWatch(ctx, l.conn, *from)
	if err != nil {
		return true
	}
	for {
		reply, err := stream.Recv()
		if err != nil {
			return true
		}
		if reply.Canceled {
			l.fault("watcher %d was canceled: %v", me, reply)
			return false
		}
		if !reply.Created {
			l.saw(reply.Header.Revision, "watch")
		}
		if len(reply.Events) > 0 {
			*from = reply.Events[len(reply.Events)-1].Kv.ModRevision + 1
		}
		l.mu.Lock()
		l.watched[me] = append(l.watched[me], reply.Events...)
		l.mu.Unlock()
		l.judge.leases.observe(reply.Events, l.record)
		if me == 0 && len(reply.Events) > 0 {
			// Progress notices are shown to clients too. Unanswered ones do no harm.
			_ = stream.Send(progressRequest)
		}
	}
}

var progressRequest = &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{
	ProgressRequest: &pb.WatchProgressRequest{}}}

func pause(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}
