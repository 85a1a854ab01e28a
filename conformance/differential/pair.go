package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"

	"conformance/store"
)

// Pair is etcd and the other server, fresh and asked the same, one step at a time.
type Pair struct {
	want, got *Side
	// steps counts what was asked; it is the Step of the next Diff.
	steps int
	// dirty tells that watch events may be under way; catching that a watcher may still be
	// reading history, which etcd does every 100 ms.
	dirty, catching bool
	// revision and compacted are what etcd has said last; the generator aims by them.
	revision, compacted int64
	compactions         map[int64]bool
	// passwords and stale are what learnAuth keeps.
	passwords map[string]string
	stale     map[int]bool
	// lockKey, leader and sessions are what learnService keeps.
	lockKey  []byte
	leader   *v3electionpb.LeaderKey
	sessions map[int64]bool
	// grants are the permissions that a role was given, as many as there may be at most.
	grants map[string]int
	// explained counts the differences that the table explains, by entry.
	explained map[string]int
	// answers counts etcd's answers by method and text, and the watch events compared.
	answers map[string]int
	listen  func(Step, Outcome)
}

const (
	quietAfterLive    = 5 * time.Millisecond
	quietAfterCatchUp = 160 * time.Millisecond
	settleLimit       = 4 * time.Second
	watchAnswerLimit  = 4 * time.Second
	progressLimit     = 300 * time.Millisecond
)

// startPair starts both servers with the same identity, so that ids agree.
func startPair(want, got store.Options) (*Pair, error) {
	want.SameIdentity, got.SameIdentity = true, true
	pair := &Pair{revision: 1, compactions: map[int64]bool{},
		passwords: map[string]string{}, stale: map[int]bool{}, sessions: map[int64]bool{}, grants: map[string]int{},
		explained: map[string]int{}, answers: map[string]int{}}
	var wantErr, gotErr error
	both(func() { pair.want, wantErr = startSide("etcd", want) },
		func() { pair.got, gotErr = startSide("other", got) })
	if wantErr != nil || gotErr != nil {
		pair.close()
		return nil, fmt.Errorf("etcd: %v; other: %v", wantErr, gotErr)
	}
	both(pair.want.awaitVersion, pair.got.awaitVersion)
	return pair, nil
}

func (p *Pair) close() {
	for _, side := range []*Side{p.want, p.got} {
		if side != nil {
			side.close()
		}
	}
}

// do asks one step of both sides and returns the differences that nothing explains.
func (p *Pair) do(step Step) []Diff {
	defer func() { p.steps++ }()
	switch step.Method {
	case watchMethod:
		return p.unexplained(step, p.doWatch(step))
	case closeStream:
		diffs := p.settle()
		for _, side := range []*Side{p.want, p.got} {
			if stream := side.streams[step.Stream]; stream != nil {
				stream.cancel()
				delete(side.streams, step.Stream)
			}
		}
		return p.unexplained(step, diffs)
	}
	var diffs []Diff
	if _, ok := step.Request.(*pb.CompactionRequest); ok {
		// What a watcher behind gets depends on whether it has read before the compaction.
		diffs = p.settle()
	}
	want, got := p.ask(step)
	if p.listen != nil {
		p.listen(step, want)
	}
	p.learn(step, want)
	p.answers[answerName(step, want)]++
	diffs = append(diffs, compareOutcomes(step, want, got)...)
	if changesRights(step) && want.Code == codes.OK && len(p.want.streams) > 0 {
		p.probeWatches()
	}
	if want.Code == codes.DeadlineExceeded || got.Code == codes.DeadlineExceeded {
		p.settleService(step)
	}
	for _, side := range []*Side{p.want, p.got} {
		for _, each := range side.doors {
			if !each.server.Alive() {
				diffs = append(diffs, Diff{Path: "process of " + side.Name, Want: "alive",
					Got: "ended: " + each.server.LastWords()})
			}
		}
	}
	return p.unexplained(step, diffs)
}

func (p *Pair) ask(step Step) (want, got Outcome) {
	both(func() { want = p.want.ask(step) }, func() { got = p.got.ask(step) })
	return want, got
}

// learn keeps etcd's newest revision and compaction from its reply.
func (p *Pair) learn(step Step, want Outcome) {
	p.learnAuth(step, want)
	if want.Code != codes.OK || want.Reply == nil {
		return
	}
	if with, ok := want.Reply.(interface{ GetHeader() *pb.ResponseHeader }); ok {
		if revision := with.GetHeader().GetRevision(); revision > p.revision {
			p.revision, p.dirty = revision, true
		}
	}
	switch request := step.Request.(type) {
	case *pb.AuthRoleGrantPermissionRequest:
		p.grants[request.Name]++
	case *pb.AuthRoleDeleteRequest:
		p.grants[request.Role] = 0
	}
	p.learnService(step, want)
	if compact, ok := step.Request.(*pb.CompactionRequest); ok {
		p.compacted = max(p.compacted, compact.Revision)
		p.compactions[compact.Revision] = true
	}
}

func (p *Pair) doWatch(step Step) []Diff {
	request := step.Request.(*pb.WatchRequest)
	diffs := []Diff{}
	create := request.GetCreateRequest()
	if create == nil || p.catching {
		diffs = p.settle()
	}
	for _, side := range []*Side{p.want, p.got} {
		if len(side.doors) > 1 {
			if err := side.at(step).catchUp(); err != nil {
				return append(diffs, Diff{Path: "watch stream of " + side.Name, Got: err.Error()})
			}
		}
		if side.streams[step.Stream] == nil {
			stream, err := openWatch(side, step)
			if err != nil {
				return append(diffs, Diff{Path: "watch stream of " + side.Name, Got: err.Error()})
			}
			side.streams[step.Stream] = stream
		}
	}
	if request.GetProgressRequest() != nil {
		return append(diffs, p.progress(step)...)
	}
	var wantErr, gotErr error
	both(func() { wantErr = p.want.streams[step.Stream].send(request, watchAnswerLimit) },
		func() { gotErr = p.got.streams[step.Stream].send(request, watchAnswerLimit) })
	if fmt.Sprint(wantErr) != fmt.Sprint(gotErr) {
		diffs = append(diffs, Diff{Path: "answer", Want: fmt.Sprint(wantErr), Got: fmt.Sprint(gotErr)})
	}
	if create != nil && create.StartRevision > 0 && create.StartRevision <= p.revision {
		p.catching = true
	}
	p.dirty = true
	return diffs
}

// progress asks for a notice. etcd answers only if no watcher of the stream is behind or in the
// future, so that silence is an answer too; but when one side speaks, the other is waited for.
func (p *Pair) progress(step Step) []Diff {
	a, b := p.want.streams[step.Stream], p.got.streams[step.Stream]
	beforeA, beforeB := a.notices(), b.notices()
	request := step.Request.(*pb.WatchRequest)
	if err := errors.Join(a.client.Send(request), b.client.Send(request)); err != nil {
		return []Diff{{Path: "progress", Got: err.Error()}}
	}
	var wantErr, gotErr error
	hear := func(limit time.Duration) {
		both(func() { wantErr = a.wait(limit, func() bool { return len(a.progress) > beforeA }) },
			func() { gotErr = b.wait(limit, func() bool { return len(b.progress) > beforeB }) })
	}
	hear(progressLimit)
	if (wantErr == nil) != (gotErr == nil) {
		hear(watchAnswerLimit)
	}
	if wantErr != nil || gotErr != nil {
		if fmt.Sprint(wantErr) == fmt.Sprint(gotErr) {
			return nil
		}
		silenced := errors.Is(wantErr, errNoAnswer) && a.hasEnded()
		return []Diff{{Path: "progress", Want: fmt.Sprint(wantErr), Got: fmt.Sprint(gotErr), Silenced: silenced}}
	}
	return collect(func(emit emitDiff) {
		compareMessages("progress.", a.progress[beforeA].ProtoReflect(),
			b.progress[beforeB].ProtoReflect(), nil, emit)
	})
}

// settle waits until the streams are quiet and agree on how much came, then compares all that
// came since the last time.
func (p *Pair) settle() []Diff {
	p.cutOff()
	if !p.dirty || len(p.want.streams) == 0 {
		p.dirty, p.catching = false, false
		return nil
	}
	quiet := quietAfterLive
	if p.catching {
		quiet = quietAfterCatchUp
	}
	start := time.Now()
	for time.Since(start) < settleLimit {
		p.cutOff()
		idle, agree := p.traffic(start)
		if idle >= quiet && agree {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	p.dirty, p.catching = false, false
	var diffs []Diff
	for number, want := range p.want.streams {
		want.mu.Lock()
		for _, each := range want.watchers {
			p.answers["watch events"] += len(each.events)
		}
		want.mu.Unlock()
		diffs = append(diffs, compareStreams(number, want, p.got.streams[number])...)
	}
	return diffs
}

// traffic tells for how long nothing came on any stream, and if both sides got as much.
func (p *Pair) traffic(since time.Time) (idle time.Duration, agree bool) {
	latest, agree := since, true
	for number, want := range p.want.streams {
		a, seenA := want.counts()
		b, seenB := p.got.streams[number].counts()
		agree = agree && slices.Equal(a, b)
		for _, seen := range []time.Time{seenA, seenB} {
			if seen.After(latest) {
				latest = seen
			}
		}
	}
	return time.Since(latest), agree
}

func (p *Pair) unexplained(step Step, diffs []Diff) []Diff {
	var left []Diff
	for _, diff := range diffs {
		diff.Step = p.steps
		diff.Renewed = p.sessions
		diff.Compactions, diff.Compacted = p.compactions, p.compacted
		if diff.Method == "" {
			diff.Method = step.Method
		}
		if name, ok := explain(step, diff); ok {
			p.explained[name]++
			continue
		}
		left = append(left, diff)
	}
	return left
}

func answerName(step Step, want Outcome) string {
	method := step.Method[strings.LastIndex(step.Method, "/")+1:]
	if strings.HasPrefix(step.Method, httpMethod) {
		method = "raw HTTP"
	} else if step.Request == nil {
		method = "malformed or unknown"
	}
	text := want.Text
	if strings.Contains(text, "larger than max") || strings.Contains(text, "unmarshal") {
		text = "…"
	}
	if want.HTTP != "" {
		method = "JSON " + method
	}
	return fmt.Sprintf("%s %v %s", method, want.Code, text)
}

func both(first, second func()) {
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		defer done.Done()
		second()
	}()
	first()
	done.Wait()
}

func collect(walk func(emitDiff)) []Diff {
	var diffs []Diff
	walk(func(path string, a, b any, within *pb.RangeRequest) {
		diffs = append(diffs, Diff{Method: watchMethod, Path: path, Want: a, Got: b, Range: within})
	})
	return diffs
}

func presenceText(message proto.Message) string {
	if message == nil || !message.ProtoReflect().IsValid() {
		return "absent"
	}
	return fmt.Sprintf("{%v}", message)
}
