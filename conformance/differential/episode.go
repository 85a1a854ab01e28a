package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/store"
)

// Targets are the two servers to compare.
type Targets struct {
	Want, Got store.Options
	// Journal is a database that the second server keeps its journal in; each start is a cluster of its own there.
	Journal string
	// Replicas is how many the second server is, if more than one; they need a Journal.
	Replicas int
	// Mix is what the episodes are drawn from.
	Mix Mix
	// Listen is told etcd's answers, if set.
	Listen func(Step, Outcome)
	// Tamper, in tests, falsifies answers of the second side.
	Tamper func(Step, *Outcome)
	// TamperWatch, in tests, falsifies its watch responses.
	TamperWatch func(*pb.WatchResponse) *pb.WatchResponse
}

// Mix says what is drawn beside the plain requests.
type Mix struct {
	// Auth turns authentication on and lets several users ask.
	Auth bool
	// Services is the weight of Lock and Election calls.
	Services int
	// Gateway is the percentage of requests that go as JSON over HTTP.
	Gateway int
	// Doors is how many replicas a request may go to, if there are several.
	Doors int
}

func (t Targets) start() (*Pair, error) {
	want, got := t.Want, t.Got
	if t.Journal != "" {
		// Member ids follow from the token, so both sides get it.
		token := fmt.Sprintf("--initial-cluster-token=conformance-%d", time.Now().UnixNano())
		want.Args = append(slices.Clone(want.Args), token)
		got.Args = append(slices.Clone(got.Args), token, "--journal="+t.Journal)
	}
	if t.Replicas > 1 {
		if err := reachable(&want, &got); err != nil {
			return nil, err
		}
	}
	pair, err := startPair(want, got)
	if err != nil {
		return nil, err
	}
	if t.Journal != "" {
		if err := pair.got.join(got, t.Replicas); err != nil {
			pair.close()
			return nil, fmt.Errorf("more replicas: %w", err)
		}
		pair.got.awaitVersion()
		if err := pair.got.nameLike(pair.want); err != nil {
			pair.close()
			return nil, err
		}
	}
	pair.listen = t.Listen
	pair.got.tamper = t.Tamper
	pair.got.tamperWatch = t.TamperWatch
	return pair, nil
}

// Result is how an episode or a repeated script ended.
type Result struct {
	// Script is what was asked, up to the first unexplained difference.
	Script []Step
	// Diffs are the differences found at its end; none is success.
	Diffs []Diff
	// Explained counts the differences that the table explains.
	Explained map[string]int
	// Answers counts what etcd answered.
	Answers map[string]int
}

// runEpisode draws and asks requests until one is answered differently.
func runEpisode(targets Targets, seed, episode uint64, requests int) (Result, error) {
	pair, err := targets.start()
	if err != nil {
		return Result{}, err
	}
	defer pair.close()
	member, err := memberID(pair.want)
	if err != nil {
		return Result{}, err
	}
	source := newGenerator(seed, episode, pair, member, targets.Mix)
	var script []Step
	for range requests {
		step := source.next()
		script = append(script, step)
		if diffs := pair.do(step); len(diffs) > 0 {
			return Result{Script: script, Diffs: diffs, Explained: pair.explained,
				Answers: pair.answers}, nil
		}
	}
	diffs := pair.finish()
	return Result{Script: script, Diffs: diffs, Explained: pair.explained,
		Answers: pair.answers}, nil
}

// runScript asks a fixed script of fresh servers.
func runScript(targets Targets, script []Step) (Result, error) {
	pair, err := targets.start()
	if err != nil {
		return Result{}, err
	}
	defer pair.close()
	for i, step := range script {
		if diffs := pair.do(step); len(diffs) > 0 {
			return Result{Script: script[:i+1], Diffs: diffs, Explained: pair.explained,
				Answers: pair.answers}, nil
		}
	}
	diffs := pair.finish()
	return Result{Script: script, Diffs: diffs, Explained: pair.explained,
		Answers: pair.answers}, nil
}

// finish waits for the last watch events, and looks for any that came too much.
func (p *Pair) finish() []Diff {
	p.dirty, p.catching = true, true
	return p.unexplained(Step{Method: watchMethod}, p.settle())
}

func memberID(side *Side) (uint64, error) {
	reply, err := pb.NewMaintenanceClient(side.doors[0].conn).Status(context.Background(), &pb.StatusRequest{})
	return reply.GetHeader().GetMemberId(), err
}
