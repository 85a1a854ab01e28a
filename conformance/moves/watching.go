package main

import (
	"crypto/sha256"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// watchLimit is how long a server may take for all events that it owes.
const watchLimit = 30 * time.Minute

// history watches everything from the first readable revision on until the newest;
// once more from the middle with previous values; and from a revision that is compacted.
func (s *side) history(pic *picture, p plan) error {
	d, err := s.events(p.from, pic.revision, false)
	pic.note(fmt.Sprintf("events from %d on", p.from), "%v", d)
	if err != nil {
		return err
	}
	d, err = s.events(p.middle, pic.revision, true)
	pic.note(fmt.Sprintf("events from %d on", p.middle), "%v", d)
	if err != nil {
		return err
	}
	stream, stop, err := s.watchAll(p.from-2, false)
	if err != nil {
		return err
	}
	defer stop()
	for {
		reply, err := stream.Recv()
		if err != nil {
			return err
		}
		if reply.Canceled || len(reply.Events) > 0 {
			pic.note("watch from a compacted revision", "canceled %v at %d, %d events", reply.Canceled,
				reply.CompactRevision, len(reply.Events))
			return nil
		}
	}
}

func (s *side) watchAll(from int64, previous bool) (pb.Watch_WatchClient, func(), error) {
	ctx, stop := s.bounded(watchLimit)
	stream, err := s.watch.Watch(ctx)
	if err == nil {
		err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
			CreateRequest: &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: from,
				PrevKv: previous, Fragment: true}}})
	}
	if err != nil {
		stop()
	}
	return stream, stop, err
}

// events are all from one revision to another, in the order they came.
func (s *side) events(from, to int64, previous bool) (digest, error) {
	d, sum := digest{}, sha256.New()
	if from > to {
		return d, nil
	}
	stream, stop, err := s.watchAll(from, previous)
	if err != nil {
		return d, err
	}
	defer stop()
	for at := int64(0); at < to; {
		reply, err := stream.Recv()
		if err != nil {
			return d, fmt.Errorf("at %d of %d: %w", at, to, err)
		}
		if reply.Canceled {
			return d, fmt.Errorf("canceled at %d: %s", at, reply.CancelReason)
		}
		for _, event := range reply.Events {
			d.count++
			sum.Write([]byte{byte(event.Type)})
			addKV(sum, event.Kv)
			addKV(sum, event.PrevKv)
			at = event.Kv.ModRevision
		}
		if reply.Fragment {
			// The last revision may have more events to come.
			at = min(at, to-1)
		}
	}
	d.sum = [sha256.Size]byte(sum.Sum(nil))
	return d, nil
}

// nextWrite puts a new key and an old one and says at which revisions. It is a station's last act.
func (s *side) nextWrite(old []byte) (string, error) {
	var all string
	for _, key := range [][]byte{[]byte("a key of its own"), old} {
		reply, err := s.kv.Put(s.ctx(), &pb.PutRequest{Key: key, Value: []byte("v"), PrevKv: true})
		if err != nil {
			return "", err
		}
		read, err := s.kv.Range(s.ctx(), &pb.RangeRequest{Key: key})
		if err != nil {
			return "", err
		}
		all += fmt.Sprintf("%d, before %s; ", reply.Header.Revision, line(reply.PrevKv)) + line(read.Kvs[0]) + "; "
	}
	return all, nil
}

func line(kv *mvccpb.KeyValue) string {
	if kv == nil {
		return "nothing"
	}
	return fmt.Sprintf("%q created %d, changed %d, version %d, lease %x, %x", kv.Key, kv.CreateRevision,
		kv.ModRevision, kv.Version, kv.Lease, hashOf(kv.Value))
}
