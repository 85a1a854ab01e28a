package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/status"
)

const (
	pageSize = 50_000
	samples  = 300
)

// entry is one key as the newest revision has it; of its value only a hash is kept.
type entry struct {
	key                         string
	create, mod, version, lease int64
	value                       uint64
}

// digest is what a long list comes down to.
type digest struct {
	count int64
	sum   [sha256.Size]byte
}

func (d digest) String() string { return fmt.Sprintf("%d, %x", d.count, d.sum[:6]) }

// picture is everything a client can learn of a store.
type picture struct {
	name     string
	revision int64
	compact  int64
	newest   []entry
	// facts are questions with one answer each, in the order they were asked.
	facts []fact
}

type fact struct{ question, answer string }

func (p *picture) note(question, answer string, arguments ...any) {
	p.facts = append(p.facts, fact{question, fmt.Sprintf(answer, arguments...)})
}

// plan is what every station is asked alike: chosen at the first, from its revisions.
type plan struct {
	whole, sampled, hashed []int64
	keys                   [][]byte
	// from and middle are where watches begin.
	from, middle int64
	// unhashed leaves HashKV out, where it differs for a known reason.
	unhashed bool
}

// newPlan chooses revisions between the compacted and the newest.
func newPlan(compact, newest int64, keys int, seed uint64) plan {
	at := func(share float64) int64 { return compact + int64(share*float64(newest-compact)) }
	p := plan{from: compact + 1, middle: at(0.9), whole: []int64{at(0), at(0.6)},
		sampled: []int64{at(0), at(0.1), at(0.33), at(0.5), at(0.75), at(0.99), newest},
		hashed:  []int64{at(0), at(0.001), at(0.25), at(0.5), at(0.8), newest - 1, newest, 0}}
	random := rand.New(rand.NewPCG(seed, 77))
	for range samples {
		p.keys = append(p.keys, keyOf(random.IntN(keys)))
	}
	slices.SortFunc(p.keys, bytes.Compare)
	p.keys = slices.CompactFunc(p.keys, bytes.Equal)
	return p
}

// take asks a server everything. The server must be at rest.
func (s *side) take(name string, p plan) (*picture, error) {
	if err := s.login(); err != nil {
		return nil, err
	}
	pic := &picture{name: name}
	for _, part := range []struct {
		what string
		do   func(*picture, plan) error
	}{
		{"hashes", s.hashes}, {"the newest revision", s.allNewest}, {"old revisions", s.old},
		{"refusals", s.refusals}, {"leases", s.leases}, {"alarms", s.alarms}, {"rights", s.allRights},
		{"watch", s.history},
	} {
		if err := part.do(pic, p); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, part.what, err)
		}
	}
	return pic, nil
}

func (s *side) hashes(pic *picture, p plan) error {
	reply, err := s.upkeep.HashKV(s.ctx(), &pb.HashKVRequest{})
	if err != nil {
		return err
	}
	pic.compact, pic.revision = reply.CompactRevision, reply.HashRevision
	pic.note("newest revision", "%d", reply.Header.Revision)
	pic.note("compacted revision", "%d", reply.CompactRevision)
	if p.unhashed {
		return nil
	}
	for _, revision := range p.hashed {
		reply, err := s.upkeep.HashKV(s.ctx(), &pb.HashKVRequest{Revision: revision})
		pic.note(fmt.Sprintf("HashKV at %d", revision), "%d at %d, %v", reply.GetHash(), reply.GetHashRevision(), err)
	}
	return nil
}

// everything calls see with each key at a revision, in order, page by page.
func (s *side) everything(revision int64, see func(*mvccpb.KeyValue)) error {
	key := []byte{0}
	for {
		reply, err := s.kv.Range(s.ctx(), &pb.RangeRequest{Key: key, RangeEnd: []byte{0}, Revision: revision,
			Limit: pageSize})
		if err != nil {
			return err
		}
		for _, kv := range reply.Kvs {
			see(kv)
		}
		if !reply.More {
			return nil
		}
		key = append(slices.Clone(reply.Kvs[len(reply.Kvs)-1].Key), 0)
	}
}

func (s *side) allNewest(pic *picture, _ plan) error {
	return s.everything(0, func(kv *mvccpb.KeyValue) {
		pic.newest = append(pic.newest, entry{string(kv.Key), kv.CreateRevision, kv.ModRevision, kv.Version,
			kv.Lease, hashOf(kv.Value)})
	})
}

func hashOf(value []byte) uint64 {
	h := fnv.New64a()
	h.Write(value)
	return h.Sum64()
}

// old reads whole ranges and samples at revisions of the past.
func (s *side) old(pic *picture, p plan) error {
	for _, revision := range p.whole {
		d, sum := digest{}, sha256.New()
		if err := s.everything(revision, func(kv *mvccpb.KeyValue) { d.count++; addKV(sum, kv) }); err != nil {
			return err
		}
		d.sum = [sha256.Size]byte(sum.Sum(nil))
		pic.note(fmt.Sprintf("all keys at %d", revision), "%v", d)
	}
	for _, revision := range p.sampled {
		for _, key := range p.keys {
			reply, err := s.kv.Range(s.ctx(), &pb.RangeRequest{Key: key, Revision: revision})
			var kv *mvccpb.KeyValue
			if len(reply.GetKvs()) > 0 {
				kv = reply.Kvs[0]
			}
			pic.note(fmt.Sprintf("%s at %d", key, revision), "%s %v", line(kv), err)
		}
		for kind := range 17 {
			from, to := fmt.Appendf(nil, "/registry/kind-%02d/", kind), fmt.Appendf(nil, "/registry/kind-%02d0", kind)
			reply, err := s.kv.Range(s.ctx(), &pb.RangeRequest{Key: from, RangeEnd: to, Revision: revision, CountOnly: true})
			pic.note(fmt.Sprintf("count of %s at %d", from, revision), "%d %v", reply.GetCount(), err)
		}
	}
	return nil
}

func addKV(sum hash.Hash, kv *mvccpb.KeyValue) {
	if kv == nil {
		sum.Write([]byte{0})
		return
	}
	numbers := []int64{int64(len(kv.Key)), int64(len(kv.Value)), kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease}
	for _, n := range numbers {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	sum.Write(kv.Key)
	sum.Write(kv.Value)
}

// refusals are the answers on both sides of what can be read.
func (s *side) refusals(pic *picture, p plan) error {
	for _, revision := range []int64{1, pic.compact - 1, pic.revision + 1} {
		_, err := s.kv.Range(s.ctx(), &pb.RangeRequest{Key: p.keys[0], Revision: revision})
		pic.note(fmt.Sprintf("reading at %d", revision), "%s", status.Convert(err).Message())
	}
	_, err := s.kv.Compact(s.ctx(), &pb.CompactionRequest{Revision: pic.compact})
	pic.note("compacting again", "%s", status.Convert(err).Message())
	return nil
}

// leases asks each lease for its time and keys.
func (s *side) leases(pic *picture, _ plan) error {
	list, err := s.lease.LeaseLeases(s.ctx(), &pb.LeaseLeasesRequest{})
	if err != nil {
		return err
	}
	pic.note("leases", "%d", len(list.Leases))
	slices.SortFunc(list.Leases, func(a, b *pb.LeaseStatus) int { return int(a.ID - b.ID) })
	for _, l := range list.Leases {
		reply, err := s.lease.LeaseTimeToLive(s.ctx(), &pb.LeaseTimeToLiveRequest{ID: l.ID, Keys: true})
		if err != nil {
			return fmt.Errorf("lease %x: %w", l.ID, err)
		}
		slices.SortFunc(reply.Keys, bytes.Compare)
		alive := reply.TTL > 0 && reply.TTL <= reply.GrantedTTL
		pic.note(fmt.Sprintf("lease %x", l.ID), "granted %d, alive %v, %q", reply.GrantedTTL, alive, reply.Keys)
	}
	return nil
}

func (s *side) alarms(pic *picture, _ plan) error {
	reply, err := s.upkeep.Alarm(s.ctx(), &pb.AlarmRequest{Action: pb.AlarmRequest_GET})
	if err != nil {
		return err
	}
	var lines []string
	for _, alarm := range reply.Alarms {
		lines = append(lines, fmt.Sprintf("%x %v", alarm.MemberID, alarm.Alarm))
	}
	slices.Sort(lines)
	pic.note("alarms", "%q", lines)
	return nil
}

func (s *side) allRights(pic *picture, _ plan) error {
	lines, err := s.rights()
	for n, line := range lines {
		pic.note(fmt.Sprintf("rights, line %d", n), "%s", line)
	}
	return err
}
