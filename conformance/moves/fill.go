package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	writers   = 8
	perTxn    = 100
	firstID   = 0x10000
	longTTL   = 100_000
	bigValue  = 200_000
	bigValues = 20
)

// history writes what a store of some age looks like: everything created, then in two halves with a
// compaction between them overwritten, deleted and created again, with leases.
type history struct {
	*side
	keys   int
	seed   uint64
	leases int
	say    func(string, ...any)
}

func keyOf(n int) []byte {
	return fmt.Appendf(nil, "/registry/kind-%02d/namespace-%03d/object-%08d", n%17, n%211, n)
}

func valueOf(random *rand.Rand) []byte {
	v := make([]byte, random.IntN(100))
	for i := range v {
		v[i] = byte(random.Uint32())
	}
	return v
}

// write is the whole history.
func (h *history) write() error {
	h.leases = max(h.keys/1000, 10)
	for _, part := range []struct {
		what string
		do   func() error
	}{
		{"created", h.create}, {"granted", h.grant}, {"changed", func() error { return h.change(1) }},
		{"compacted", h.compact}, {"changed again", func() error { return h.change(2) }},
		{"big values and corners", h.corners},
	} {
		if err := part.do(); err != nil {
			return fmt.Errorf("%s: %w", part.what, err)
		}
		revision, err := h.revision()
		if err != nil {
			return err
		}
		h.say("%s: revision %d", part.what, revision)
	}
	return nil
}

// spread calls do for every batch number below n, from several callers at once.
func spread(n int, do func(batch int) error) error {
	var next atomic.Int64
	var once sync.Once
	var failed error
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for {
				batch := int(next.Add(1)) - 1
				if batch >= n {
					return
				}
				if err := do(batch); err != nil {
					once.Do(func() { failed = err })
					next.Store(int64(n))
				}
			}
		})
	}
	group.Wait()
	return failed
}

func put(key, value []byte, lease int64) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{
		RequestPut: &pb.PutRequest{Key: key, Value: value, Lease: lease}}}
}

func remove(key, end []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: key, RangeEnd: end}}}
}

func (h *history) txn(ops []*pb.RequestOp) error {
	_, err := h.kv.Txn(h.ctx(), &pb.TxnRequest{Success: ops})
	return err
}

func (h *history) create() error {
	return spread((h.keys+perTxn-1)/perTxn, func(batch int) error {
		random := rand.New(rand.NewPCG(h.seed, uint64(batch)))
		var ops []*pb.RequestOp
		for n := batch * perTxn; n < min(h.keys, (batch+1)*perTxn); n++ {
			ops = append(ops, put(keyOf(n), valueOf(random), 0))
		}
		return h.txn(ops)
	})
}

func (h *history) grant() error {
	return spread(h.leases, func(n int) error {
		_, err := h.lease.LeaseGrant(h.ctx(), &pb.LeaseGrantRequest{ID: int64(firstID + n),
			TTL: int64(longTTL + n)})
		return err
	})
}

// change makes a tenth of the keys' number of transactions of four changes, each to another key;
// every fifth is a single request, so that revisions with and without companions mix.
func (h *history) change(round uint64) error {
	batches := h.keys / 10
	return spread(batches, func(batch int) error {
		random := rand.New(rand.NewPCG(h.seed+round, uint64(batch)))
		if batch%5 == 0 {
			return h.single(random)
		}
		var ops []*pb.RequestOp
		for i := range 4 {
			// Each key is of another quarter, since a transaction may put a key only once.
			ops = append(ops, h.op(random, i*(h.keys/4)+random.IntN(h.keys/4)))
		}
		return h.txn(ops)
	})
}

func (h *history) op(random *rand.Rand, n int) *pb.RequestOp {
	switch random.IntN(10) {
	case 0, 1, 2:
		return remove(keyOf(n), nil)
	case 3:
		return put(keyOf(n), valueOf(random), int64(firstID+random.IntN(h.leases)))
	default:
		return put(keyOf(n), valueOf(random), 0)
	}
}

func (h *history) single(random *rand.Rand) error {
	op := h.op(random, random.IntN(h.keys))
	if one := op.GetRequestPut(); one != nil {
		_, err := h.kv.Put(h.ctx(), one)
		return err
	}
	_, err := h.kv.DeleteRange(h.ctx(), op.GetRequestDeleteRange())
	return err
}

// compact forgets what is older than half of the changes so far, and waits until it is gone.
func (h *history) compact() error {
	now, err := h.revision()
	if err != nil {
		return err
	}
	at := now - int64(h.keys/10)/2
	_, err = h.kv.Compact(h.ctx(), &pb.CompactionRequest{Revision: at, Physical: true})
	return err
}

// corners are what is rare and has its own ways: large values, keys that are no text, a range that goes at
// once, a key put and deleted by itself, a lease revoked with its keys.
func (h *history) corners() error {
	for n := range bigValues {
		ops := []*pb.RequestOp{put(fmt.Appendf(nil, "big/%d", n), bytes.Repeat([]byte{byte(n)}, bigValue), 0),
			put([]byte{0, byte(n)}, nil, 0), put([]byte{0xff, 0xff, byte(n)}, []byte{0}, firstID),
			put(fmt.Appendf(nil, "range/%d", n), nil, 0)}
		if err := h.txn(ops); err != nil {
			return err
		}
	}
	steps := [][]*pb.RequestOp{{remove([]byte("range/"), []byte("range0")), put([]byte("short"), nil, 0)},
		{remove([]byte("short"), nil)}, {put([]byte("short"), []byte("again"), firstID+1)},
		{put([]byte("with the lease"), nil, firstID+2)}}
	for _, ops := range steps {
		if err := h.txn(ops); err != nil {
			return err
		}
	}
	_, err := h.lease.LeaseRevoke(h.ctx(), &pb.LeaseRevokeRequest{ID: firstID + 2})
	return err
}

func (s *side) revision() (int64, error) {
	reply, err := s.kv.Range(s.ctx(), &pb.RangeRequest{Key: []byte("x"), CountOnly: true})
	if err != nil {
		return 0, err
	}
	return reply.Header.Revision, nil
}
