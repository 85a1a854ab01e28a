package main

import (
	"context"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/protobuf/proto"
)

func stand(name string, lease int64, value string) func(*side) func(context.Context) (proto.Message, error) {
	return func(s *side) func(context.Context) (proto.Message, error) {
		return func(ctx context.Context) (proto.Message, error) {
			return s.elections().Campaign(ctx, &v3electionpb.CampaignRequest{
				Name: []byte(name), Lease: lease, Value: []byte(value)})
		}
	}
}

// elected campaigns where nobody leads, and remembers what it was given.
func elected(name string, lease int64, value string) step {
	return step{"campaign " + name, func(s *side) string {
		ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
		defer cancel()
		reply, err := s.elections().Campaign(ctx, &v3electionpb.CampaignRequest{
			Name: []byte(name), Lease: lease, Value: []byte(value)})
		if err == nil {
			s.leader = reply.Leader
			if lease == 0 {
				s.choose(reply.Leader.Key)
			}
		}
		return s.said(reply, err)
	}}
}

// leaderKey says whose words a step speaks: a key of the script's, the last one elected, or none.
type leaderKey func(*side) *v3electionpb.LeaderKey

func last(s *side) *v3electionpb.LeaderKey { return s.leader }

func nobody(*side) *v3electionpb.LeaderKey { return nil }

func as(key string, rev, lease int64) leaderKey {
	return func(*side) *v3electionpb.LeaderKey {
		return &v3electionpb.LeaderKey{Name: []byte("e"), Key: []byte(key), Rev: rev, Lease: lease}
	}
}

func proclaim(name string, key leaderKey, value string) step {
	return step{"proclaim " + name, func(s *side) string {
		reply, err := s.elections().Proclaim(context.Background(),
			&v3electionpb.ProclaimRequest{Leader: key(s), Value: []byte(value)})
		return s.said(reply, err)
	}}
}

func resign(name string, key leaderKey) step {
	return step{"resign " + name, func(s *side) string {
		reply, err := s.elections().Resign(context.Background(),
			&v3electionpb.ResignRequest{Leader: key(s)})
		return s.said(reply, err)
	}}
}

func leader(name string) step {
	return step{"leader of " + name, func(s *side) string {
		reply, err := s.elections().Leader(context.Background(),
			&v3electionpb.LeaderRequest{Name: []byte(name)})
		return s.said(reply, err)
	}}
}

func electionSteps() []step {
	return append([]step{
		leader("e"),
		proclaim("for nobody", nobody, "x"),
		resign("for nobody", nobody),
		elected("e", 77, "no such lease"),
		grant(1, 600), grant(2, 600), grant(3, 600),
		elected("e", 1, "one"),
		leader("e"),
		elected("e", 1, "one"),       // again
		elected("e", 1, "one again"), // with other words
		leader("e"),
		everything(),
		proclaim("as the leader", last, "louder"),
		leader("e"),
		begin("two", stand("e", 2, "two")),
		begin("three", stand("e", 3, "three")),
		begin("two, with other words", stand("e", 2, "deux")),
		everything(),
		proclaim("as one that waits", as("e/2", 0, 2), "not made then"),
		proclaim("with another revision", as("e/1", 999, 1), "x"),
		proclaim("without a key", as("", 1, 1), "x"),
		proclaim("with a lease that is none", as("e/1", 5, 99), "x"),
		proclaim("on a key that is not there", as("e/none", 0, 1), "made"),
		remove("e/none"),
		resign("with another revision", as("e/1", 999, 1)),
		resign("without a key", as("", 1, 1)),
		resign("what is not there", as("e/zero", 5, 1)),
		resign("as the leader", last),
		ends("two"),
		ends("two, with other words"),
		waits("three"),
		leader("e"),
		revoke(2),
		ends("three"),
		leader("e"),
		everything(),
	}, electionLeaving()...)
}

func electionLeaving() []step {
	return []step{
		grant(11, 600), grant(12, 600), grant(13, 600),
		elected("l", 11, "eleven"),
		begin("impatient", stand("l", 12, "twelve")),
		begin("patient", stand("l", 13, "thirteen")),
		leaves("impatient"),
		everything(),
		waits("patient"),
		begin("expiring", stand("l", 12, "twelve")),
		revoke(12),
		waits("expiring"),
		remove("l/b"),
		ends("patient"),
		waits("expiring"),
		remove("l/d"),
		ends("expiring"),
		everything(),
		elected("s", 0, "session"),
		chosenTTL(),
		leader("s"),
		proclaim("as the session", last, "mine"),
		leaseCount(),
		proclaim("with a lease to be granted", as("s/none", 0, 0), "x"),
		resign("with a lease to be granted", as("s/none", 1, 0)),
		leaseCount(),
		resign("as the session", last),
		leader("s"),
	}
}

// observing follows an election; each look is what was heard since the last.
func observing(name string) step {
	return step{"observe " + name, func(s *side) string {
		ctx, cancel := context.WithCancel(context.Background())
		stream, err := s.elections().Observe(ctx, &v3electionpb.LeaderRequest{Name: []byte(name)})
		if err != nil {
			cancel()
			return s.said(nil, err)
		}
		call := &call{cancel: cancel, answer: make(chan answer, 64)}
		s.waiting[name] = call
		go func() {
			for {
				reply, err := stream.Recv()
				call.answer <- answer{reply, err}
				if err != nil {
					return
				}
			}
		}()
		return "observes"
	}}
}

func heard(name string) step {
	return step{"heard of " + name, func(s *side) string { return s.idle(name) }}
}

func observeSteps() []step {
	return []step{
		observing("o"),
		heard("o"),
		grant(1, 600), grant(2, 600),
		elected("o", 1, "one"),
		heard("o"),
		proclaim("one", last, "two"),
		heard("o"),
		begin("next", stand("o", 2, "three")),
		heard("o"),
		proclaim("one", last, "four"),
		heard("o"),
		compacted(),
		heard("o"),
		resign("one", last),
		ends("next"),
		heard("o"),
		put("o/other", "a stranger's", 0),
		heard("o"),
		remove("o/2"),
		heard("o"),
		remove("o/other"),
		heard("o"),
		put("o/1", "by hand", 0),
		heard("o"),
		heard("o"),
		observing("late"),
		put("late/x", "first", 0),
		heard("late"),
		leaves("o"),
	}
}
