package main

import (
	"context"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/proto"
)

func takeLock(name string, lease int64) func(*side) func(context.Context) (proto.Message, error) {
	return func(s *side) func(context.Context) (proto.Message, error) {
		return func(ctx context.Context) (proto.Message, error) {
			return s.locks().Lock(ctx, &v3lockpb.LockRequest{Name: []byte(name), Lease: lease})
		}
	}
}

// locked takes a lock that is free and remembers its key.
func locked(name string, lease int64) step {
	return step{"lock " + short(name), func(s *side) string {
		ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
		defer cancel()
		reply, err := s.locks().Lock(ctx, &v3lockpb.LockRequest{Name: []byte(name), Lease: lease})
		if err == nil {
			s.key = reply.Key
			if lease == 0 {
				s.choose(reply.Key)
			}
		}
		return s.said(reply, err)
	}}
}

func unlock(name string, key func(*side) []byte) step {
	return step{"unlock " + name, func(s *side) string {
		reply, err := s.locks().Unlock(context.Background(), &v3lockpb.UnlockRequest{Key: key(s)})
		return s.said(reply, err)
	}}
}

func lastKey(s *side) []byte { return s.key }

func named(key string) func(*side) []byte {
	return func(*side) []byte { return []byte(key) }
}

func short(name string) string {
	if len(name) > 20 {
		return name[:20] + "..."
	}
	return name
}

func lockSteps() []step {
	steps := []step{
		unlock("nothing", named("")),
		unlock("what is not there", named("none")),
		locked("a", 77), // no such lease
		everything(),
		grant(1, 600), grant(2, 600), grant(3, 600), grant(-5, 600),
		locked("a", 1),
		locked("a", 1), // again
		everything(),
		begin("second", takeLock("a", 2)),
		begin("third", takeLock("a", 3)),
		everything(),
		locked("b", 2), // another name
		locked("", 2),
		locked("a\xff\x00", 2),
		locked("neg", -5),
		locked("neg", -1),
		unlock("a", named("a/1")),
		ends("second"),
		waits("third"),
		begin("again", takeLock("a", 1)),
		everything(),
		unlock("a", named("a/2")),
		ends("third"),
		waits("again"),
		revoke(3),
		ends("again"),
		everything(),
	}
	steps = append(steps, leaving()...)
	return append(steps, sessions()...)
}

// leaving: callers that give up, and waiters whose lease ends.
func leaving() []step {
	return []step{
		grant(11, 600), grant(12, 600), grant(13, 600),
		locked("l", 11),
		begin("impatient", takeLock("l", 12)),
		begin("patient", takeLock("l", 13)),
		leaves("impatient"),
		everything(),
		waits("patient"),
		begin("impatient again", takeLock("l", 12)),
		leaves("impatient again"),
		unlock("l", named("l/b")),
		ends("patient"),
		begin("expiring", takeLock("l", 12)),
		revoke(12),
		waits("expiring"),
		unlock("l", named("l/d")),
		ends("expiring"),
		everything(),
		put("l/f", "in the way", 0),
		begin("behind a stranger", takeLock("l", 11)),
		put("l/f", "still", 0),
		waits("behind a stranger"),
		remove("l/f"),
		ends("behind a stranger"),
		compacted(),
		everything(),
	}
}

// sessions: leases that the server grants, and what it refuses.
func sessions() []step {
	large := strings.Repeat("x", 800_000)
	return []step{
		locked("s", 0),
		chosenTTL(),
		leaseCount(),
		unlock("s", lastKey),
		leaseCount(),
		locked(large, 1),
		locked(large, 0),
		leaseCount(),
		everything(),
		alarm(pb.AlarmType_NOSPACE, pb.AlarmRequest_ACTIVATE),
		locked("n", 0),
		locked("n", 1),
		unlock("n", named("a/1")),
		alarm(pb.AlarmType_NOSPACE, pb.AlarmRequest_DEACTIVATE),
		alarm(pb.AlarmType_CORRUPT, pb.AlarmRequest_ACTIVATE),
		locked("n", 0),
		locked("n", 1),
		unlock("n", named("n/1")),
		alarm(pb.AlarmType_CORRUPT, pb.AlarmRequest_DEACTIVATE),
		leaseCount(),
		everything(),
	}
}

func alarm(kind pb.AlarmType, action pb.AlarmRequest_AlarmAction) step {
	return step{action.String() + " " + kind.String(), func(s *side) string {
		reply, err := s.maintenance().Alarm(context.Background(),
			&pb.AlarmRequest{Action: action, Alarm: kind, MemberID: 1})
		return s.said(reply, err)
	}}
}

// compacted forgets all history.
func compacted() step {
	return step{"compact", func(s *side) string {
		all, err := s.kv().Range(context.Background(), &pb.RangeRequest{Key: []byte("k")})
		if err != nil {
			return s.said(nil, err)
		}
		reply, err := s.kv().Compact(context.Background(),
			&pb.CompactionRequest{Revision: all.Header.Revision})
		return s.said(reply, err)
	}}
}
