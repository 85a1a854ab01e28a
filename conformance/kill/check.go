package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// replay applies the events to the state and checks that no revision is skipped and that
// every event carries the versions that follow from the ones before.
func (j *judge) replay(events []*mvccpb.Event, to int64) error {
	at := j.revision
	for _, event := range events {
		kv := event.Kv
		if kv.ModRevision != at && kv.ModRevision != at+1 {
			return fmt.Errorf("history goes from revision %d to %d", at, kv.ModRevision)
		}
		at = kv.ModRevision
		key := string(kv.Key)
		old := j.state[key]
		if event.Type == mvccpb.DELETE {
			if old == nil {
				return fmt.Errorf("revision %d deletes %q, which is not there", at, key)
			}
			delete(j.state, key)
			continue
		}
		created, version := at, int64(1)
		if old != nil {
			created, version = old.CreateRevision, old.Version+1
		}
		if kv.CreateRevision != created || kv.Version != version {
			return fmt.Errorf("revision %d: %q has create_revision %d, version %d; want %d, %d", at, key,
				kv.CreateRevision, kv.Version, created, version)
		}
		j.state[key] = kv
	}
	if at != to {
		return fmt.Errorf("history ends at %d, the store is at %d", at, to)
	}
	j.revision = to
	return nil
}

// compareState compares a full read with what history adds up to.
func (j *judge) compareState(now *pb.RangeResponse) error {
	if len(now.Kvs) != len(j.state) {
		return fmt.Errorf("the store has %d keys, history makes %d", len(now.Kvs), len(j.state))
	}
	for _, kv := range now.Kvs {
		if want := j.state[string(kv.Key)]; !proto.Equal(kv, want) {
			return fmt.Errorf("the store has {%v}, history makes {%v}", kv, want)
		}
	}
	return nil
}

// checkOperations looks for every operation in the history: acknowledged ones at their revision,
// others wholly or not at all, and nothing that nobody asked for.
func (j *judge) checkOperations(record *record, events []*mvccpb.Event) error {
	byValue := map[string]*operation{}
	removals := map[string][]*operation{}
	for _, op := range record.operations {
		for _, write := range op.writes {
			if write.remove {
				removals[write.key] = append(removals[write.key], op)
			} else {
				byValue[write.value] = op
			}
		}
	}
	found := map[*operation]int{}
	previous := map[string]int64{}
	for _, event := range events {
		op, err := j.author(event, byValue, removals)
		if err != nil {
			return err
		}
		if op == nil {
			j.score.expired++
			continue
		}
		revision := event.Kv.ModRevision
		if found[op] > 0 && op.landed != revision {
			return fmt.Errorf("%v is in history twice: %d and %d", op, op.landed, revision)
		}
		key := string(event.Kv.Key)
		if last, ok := previous[key]; ok && op.expected >= 0 && last != op.expected {
			return fmt.Errorf("%v took effect on revision %d of its key, not %d", op, last, op.expected)
		}
		previous[key] = revision
		op.landed = revision
		found[op]++
	}
	for _, op := range record.operations {
		if err := j.checkOperation(op, found[op]); err != nil {
			return err
		}
	}
	return nil
}

// author finds the operation that made an event; nil stands for the end of a lease.
func (j *judge) author(event *mvccpb.Event, byValue map[string]*operation,
	removals map[string][]*operation) (*operation, error) {
	key := string(event.Kv.Key)
	if event.Type == mvccpb.PUT {
		op := byValue[string(event.Kv.Value)]
		if op == nil {
			return nil, fmt.Errorf("revision %d puts %q = %q, which nobody asked for in this round",
				event.Kv.ModRevision, key, event.Kv.Value)
		}
		return op, nil
	}
	for _, op := range removals[key] {
		if op.known && op.revision == event.Kv.ModRevision {
			return op, nil
		}
	}
	for _, op := range removals[key] {
		if !op.known {
			return op, nil
		}
	}
	if strings.HasPrefix(key, "lease/") {
		return nil, nil
	}
	return nil, fmt.Errorf("revision %d deletes %q, which nobody asked for", event.Kv.ModRevision, key)
}

func (j *judge) checkOperation(op *operation, writes int) error {
	switch {
	case !op.known && writes == 0:
		j.score.undecided++
	case !op.known && writes == len(op.writes):
		j.score.undecided++
		j.score.landed++
	case writes != 0 && writes != len(op.writes):
		return fmt.Errorf("%v took effect by %d of %d writes", op, writes, len(op.writes))
	case op.known && op.revision == 0 && writes > 0:
		return fmt.Errorf("%v was refused but is in history", op)
	case op.known && op.revision > 0 && writes == 0:
		return fmt.Errorf("acknowledged and LOST: %v", op)
	case op.known && op.revision != op.landed:
		return fmt.Errorf("acknowledged at another revision: %v", op)
	default:
		j.score.acknowledged++
	}
	return nil
}

// checkWatched compares what each watcher saw with history: the same events, from the first
// on, without a gap.
func (j *judge) checkWatched(record *record, events []*mvccpb.Event, from int64) error {
	for me, seen := range record.watched {
		if len(seen) > len(events) {
			return fmt.Errorf("watcher %d saw %d events since %d, history has %d", me, len(seen), from,
				len(events))
		}
		for i, event := range seen {
			if !proto.Equal(event, events[i]) {
				return fmt.Errorf("watcher %d saw {%v}, history has {%v}", me, event, events[i])
			}
		}
		j.score.events += len(seen)
	}
	return nil
}

// checkSights looks for everything that reads showed.
func (j *judge) checkSights(record *record, events []*mvccpb.Event) error {
	type place struct {
		key      string
		revision int64
	}
	puts := map[place][]byte{}
	for _, event := range events {
		if event.Type == mvccpb.PUT {
			puts[place{string(event.Kv.Key), event.Kv.ModRevision}] = event.Kv.Value
		}
	}
	for _, seen := range record.sights {
		value, ok := puts[place{seen.key, seen.revision}]
		if !ok || !bytes.Equal(value, []byte(seen.value)) {
			return fmt.Errorf("a read showed %+v, history has %q there", seen, value)
		}
	}
	j.score.reads += len(record.sights)
	return nil
}

// checkHashes asks again for each hash that was given before the kill.
func (j *judge) checkHashes(record *record) error {
	for _, old := range record.hashes {
		if err := j.checkHash(old); err != nil {
			return err
		}
		j.score.hashes++
	}
	return nil
}

func (j *judge) checkHash(old hash) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := pb.NewMaintenanceClient(j.conn).HashKV(ctx, &pb.HashKVRequest{Revision: old.revision})
	if err != nil {
		return fmt.Errorf("hash at %d: %w", old.revision, err)
	}
	if reply.Hash != old.value || reply.CompactRevision != old.compacted {
		return fmt.Errorf("hash at %d was %+v before the kill, is %v", old.revision, old, reply)
	}
	return nil
}

// checkKept asks for every kept lease: none may be gone before its time.
func (j *judge) checkKept() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, one := range j.leases.kept() {
		reply, err := pb.NewLeaseClient(j.conn).LeaseTimeToLive(ctx,
			&pb.LeaseTimeToLiveRequest{ID: one.id, Keys: true})
		if err != nil {
			return err
		}
		age := time.Since(one.renewed)
		if reply.TTL < 0 && age < one.ttl {
			return fmt.Errorf("lease %d is gone %v after its renewal", one.id, age)
		}
	}
	return nil
}
