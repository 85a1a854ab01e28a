package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// Lock and Election calls may wait for others for ever, so each has a limit, and running into it
// on both sides is an answer. What such a call has queued is taken back by the server after
// its caller has gone; that is waited for.
const (
	serviceLimit  = 400
	serviceQuiet  = 100 * time.Millisecond
	serviceSettle = 3 * time.Second
	observeMethod = "/v3electionpb.Election/Observe"
)

// service draws a call to the Lock or the Election service. Few names and leases make them meet.
func (g *generator) service() Step {
	var step Step
	name := []byte(pick(g, "L", "L", "L", "E", "E", "E", "b", ""))
	lease := pick[int64](g, 1, 2, 3, 4, 5, 6, 77, -6)
	switch g.IntN(10) {
	case 0, 1, 2:
		step = Step{Method: "/v3lockpb.Lock/Lock",
			Request: &v3lockpb.LockRequest{Name: name, Lease: lease}}
	case 3, 4:
		step = Step{Method: "/v3lockpb.Lock/Unlock",
			Request: &v3lockpb.UnlockRequest{Key: pick(g, g.pair.lockKey, g.pair.lockKey, g.key())}}
	case 5, 6:
		step = Step{Method: "/v3electionpb.Election/Campaign",
			Request: &v3electionpb.CampaignRequest{Name: name, Lease: lease, Value: g.value()}}
	case 7:
		step = Step{Method: "/v3electionpb.Election/Proclaim",
			Request: &v3electionpb.ProclaimRequest{Leader: g.leaderKey(), Value: g.value()}}
	case 8:
		step = Step{Method: "/v3electionpb.Election/Resign",
			Request: &v3electionpb.ResignRequest{Leader: g.leaderKey()}}
	default:
		step = Step{Method: pick(g, "/v3electionpb.Election/Leader", "/v3electionpb.Election/Leader", observeMethod),
			Request: &v3electionpb.LeaderRequest{Name: name}}
	}
	step.Limit = serviceLimit
	return step
}

// leaderKey is mostly the one that was won last.
func (g *generator) leaderKey() *v3electionpb.LeaderKey {
	if g.pair.leader != nil && g.chance(80) {
		return g.pair.leader
	}
	if g.chance(30) {
		return nil
	}
	return &v3electionpb.LeaderKey{Name: []byte("E"), Key: pick(g, []byte("E/1"), nil, g.key()),
		Rev: g.nearby(), Lease: g.leaseID()}
}

// askObserve takes the first leader that the stream tells.
func (s *Side) askObserve(ctx context.Context, step Step) Outcome {
	client := v3electionpb.NewElectionClient(s.at(step).conn)
	stream, err := client.Observe(ctx, step.Request.(*v3electionpb.LeaderRequest))
	if err != nil {
		return outcomeOf(nil, err)
	}
	reply, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return Outcome{Code: codes.Unknown, Text: "the stream ends"}
	}
	return outcomeOf(reply, err)
}

// learnService keeps what the next calls aim at, and which leases these services have renewed.
func (p *Pair) learnService(step Step, want Outcome) {
	switch request := step.Request.(type) {
	case *v3lockpb.LockRequest:
		p.sessions[request.Lease] = true
		if reply, ok := want.Reply.(*v3lockpb.LockResponse); ok {
			p.lockKey = reply.Key
		}
	case *v3electionpb.CampaignRequest:
		p.sessions[request.Lease] = true
		if reply, ok := want.Reply.(*v3electionpb.CampaignResponse); ok {
			p.leader = reply.Leader
		}
	case *v3electionpb.ProclaimRequest:
		p.sessions[request.GetLeader().GetLease()] = true
	case *v3electionpb.ResignRequest:
		p.sessions[request.GetLeader().GetLease()] = true
	}
}

// settleService waits until both sides have taken back what a call without an answer had queued.
// AuthStatus tells the revision to everyone.
func (p *Pair) settleService(step Step) {
	p.dirty = true
	var last [2]int64
	for start, since := time.Now(), time.Now(); time.Since(start) < serviceSettle; {
		now := [2]int64{p.want.revisionNow(), p.got.revisionNow()}
		if now != last {
			last, since = now, time.Now()
		} else if time.Since(since) >= serviceQuiet && (now[0] == now[1] || p.takeBack(step, now)) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.revision = max(p.revision, last[0], last[1])
}

// takeBack deletes in etcd what its call has left behind. With authentication on, etcd takes it back
// in nobody's name, which is refused; Meridian does so in the caller's. True if it was done.
func (p *Pair) takeBack(step Step, now [2]int64) bool {
	if p.want.tokens[rootCaller] == "" || now[0]+1 != now[1] {
		return false
	}
	var name []byte
	var lease int64
	switch request := step.Request.(type) {
	case *v3lockpb.LockRequest:
		name, lease = request.Name, request.Lease
	case *v3electionpb.CampaignRequest:
		name, lease = request.Name, request.Lease
	default:
		return false
	}
	key := fmt.Appendf(nil, "%s/%x", name, lease)
	p.want.ask(Step{Method: "/etcdserverpb.KV/DeleteRange", As: rootCaller,
		Request: &pb.DeleteRangeRequest{Key: key}})
	p.explained["a queued call is taken back in its caller's name"]++
	return p.want.revisionNow() == now[1]
}

func (s *Side) revisionNow() int64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	reply, err := pb.NewAuthClient(s.doors[0].conn).AuthStatus(ctx, &pb.AuthStatusRequest{})
	if err != nil {
		return 0
	}
	return reply.GetHeader().GetRevision()
}
