package main

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// script is a story that is told to a fresh server of each kind.
type script struct {
	name  string
	steps []step
}

// step does something to a server and says what came of it.
type step struct {
	name string
	do   func(*side) string
}

var scripts = []script{
	{"lock", lockSteps()},
	{"election", electionSteps()},
	{"observe", observeSteps()},
	{"cluster", clusterSteps()},
	{"downgrade", downgradeSteps()},
}

// unary is a step that asks once.
func unary[Q any, R proto.Message](name string,
	method func(*side) func(context.Context, Q) (R, error), request Q) step {
	return step{name, func(s *side) string {
		ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
		defer cancel()
		reply, err := method(s)(ctx, request)
		return s.said(reply, err)
	}}
}

// grant makes a lease of a chosen number.
func grant(id, ttl int64) step {
	return step{fmt.Sprintf("grant %d", id), func(s *side) string {
		reply, err := s.leases().LeaseGrant(context.Background(),
			&pb.LeaseGrantRequest{ID: id, TTL: ttl})
		return s.said(reply, err)
	}}
}

func revoke(id int64) step {
	return step{fmt.Sprintf("revoke %d", id), func(s *side) string {
		reply, err := s.leases().LeaseRevoke(context.Background(), &pb.LeaseRevokeRequest{ID: id})
		return s.said(reply, err)
	}}
}

func put(key, value string, lease int64) step {
	return step{fmt.Sprintf("put %q", key), func(s *side) string {
		reply, err := s.kv().Put(context.Background(),
			&pb.PutRequest{Key: []byte(key), Value: []byte(value), Lease: lease})
		return s.said(reply, err)
	}}
}

func remove(key string) step {
	return step{fmt.Sprintf("delete %q", key), func(s *side) string {
		reply, err := s.kv().DeleteRange(context.Background(),
			&pb.DeleteRangeRequest{Key: []byte(key)})
		return s.said(reply, err)
	}}
}

// everything lists all keys.
func everything() step {
	return step{"everything", func(s *side) string {
		reply, err := s.kv().Range(context.Background(),
			&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		return s.said(reply, err)
	}}
}

// leaseCount says how many leases there are, without their numbers.
func leaseCount() step {
	return step{"how many leases", func(s *side) string {
		reply, err := s.leases().LeaseLeases(context.Background(), &pb.LeaseLeasesRequest{})
		if err != nil {
			return s.said(nil, err)
		}
		return fmt.Sprint(len(reply.Leases))
	}}
}

// chosenTTL says what time the newest lease that the server chose was granted.
func chosenTTL() step {
	return step{"the chosen lease's time", func(s *side) string {
		if len(s.chosen) == 0 {
			return "none was chosen"
		}
		id := s.chosen[len(s.chosen)-1]
		reply, err := s.leases().LeaseTimeToLive(context.Background(),
			&pb.LeaseTimeToLiveRequest{ID: id})
		if err != nil {
			return s.said(nil, err)
		}
		return fmt.Sprintf("granted %d, nearly all left: %t", reply.GrantedTTL,
			reply.TTL > reply.GrantedTTL-10)
	}}
}

// restart stops the server in good order and starts it again.
func restart() step {
	return step{"restart", func(s *side) string {
		if err := s.restart(); err != nil {
			return err.Error()
		}
		return "restarted"
	}}
}

// begin starts a call, sees that it waits, and leaves it waiting.
func begin(call string, ask func(*side) func(context.Context) (proto.Message, error)) step {
	return step{call + " begins", func(s *side) string {
		s.start(call, ask(s))
		return s.idle(call)
	}}
}

func waits(call string) step {
	return step{call + " waits", func(s *side) string { return s.idle(call) }}
}

func ends(call string) step {
	return step{call + " ends", func(s *side) string { return s.finish(call) }}
}

// leaves has the caller give up; what that leaves behind is settled soon after.
func leaves(call string) step {
	return step{call + " is given up", func(s *side) string {
		s.waiting[call].cancel()
		said := s.finish(call)
		time.Sleep(300 * time.Millisecond)
		return said
	}}
}
