package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/store"
)

// These tests judge the judge, with etcd on both sides: it must find nothing between two equal
// servers and everything that is made wrong on one.

const (
	testSeed     = 7
	testRequests = 1500
)

func etcdTargets(t *testing.T, extra ...string) Targets {
	t.Helper()
	binary, err := filepath.Abs(cmpOr(os.Getenv("ETCD"), "../bin/etcd"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("needs a real etcd (run build-tools.sh): %v", err)
	}
	fast := []string{"--unsafe-no-fsync"}
	return Targets{
		Want: store.Options{Binary: binary, Args: fast},
		Got:  store.Options{Binary: binary, Args: append(fast, extra...)},
	}
}

func cmpOr(value, other string) string {
	if value != "" {
		return value
	}
	return other
}

func mustDiffer(t *testing.T, targets Targets, about string) Result {
	t.Helper()
	result, err := runEpisode(targets, testSeed, 0, testRequests)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Diffs) == 0 {
		t.Fatalf("%d requests and the fault was not seen", len(result.Script))
	}
	if !strings.Contains(result.Diffs[0].signature(), about) {
		t.Fatalf("found %v, not something about %q", result.Diffs[0], about)
	}
	t.Logf("found after %d: %v", len(result.Script), result.Diffs[0])
	return result
}

func TestEqualServersDoNotDiffer(t *testing.T) {
	result, err := runEpisode(etcdTargets(t), testSeed, 0, testRequests)
	if err != nil {
		t.Fatal(err)
	}
	for _, diff := range result.Diffs {
		t.Error(diff)
	}
}

func TestOtherSettingIsSeenAndShrunk(t *testing.T) {
	targets := etcdTargets(t, "--max-txn-ops=3")
	result := mustDiffer(t, targets, "KV/Txn")
	small := shrink(targets, result, time.Minute, t.Logf)
	if len(small.Script) != 1 {
		t.Errorf("one transaction is enough, but %d steps are left", len(small.Script))
	}
	path := filepath.Join(t.TempDir(), "script")
	if err := writeScript(path, small.Script); err != nil {
		t.Fatal(err)
	}
	script, err := readScript(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := runScript(targets, script)
	if err != nil || len(again.Diffs) == 0 {
		t.Fatalf("the saved script does not repeat it: %v", err)
	}
}

// replies lets a test falsify each successful reply of one kind from the nth on.
func replies[T any](nth int, change func(T)) func(Step, *Outcome) {
	return func(_ Step, o *Outcome) {
		if reply, ok := any(o.Reply).(T); ok && o.Code == codes.OK {
			if nth--; nth < 0 {
				change(reply)
			}
		}
	}
}

func TestEachWrongReplyIsSeen(t *testing.T) {
	cases := map[string]struct {
		tamper func(Step, *Outcome)
		about  string
	}{
		"put revision": {replies(5, func(r *pb.PutResponse) { r.Header.Revision++ }), "Put header.revision"},
		"member":       {replies(5, func(r *pb.PutResponse) { r.Header.MemberId++ }), "member_id"},
		"no term":      {replies(5, func(r *pb.PutResponse) { r.Header.RaftTerm = 0 }), "raft_term"},
		"count":        {replies(5, func(r *pb.RangeResponse) { r.Count++ }), "Range count"},
		"lost prev":    {replies(0, func(r *pb.PutResponse) { r.PrevKv = nil }), "prev_kv"},
		"lost key": {replies(0, func(r *pb.RangeResponse) {
			r.Kvs = r.Kvs[:max(0, len(r.Kvs)-1)]
		}), "kvs"},
		"version": {replies(0, func(r *pb.RangeResponse) {
			for _, kv := range r.Kvs {
				kv.Version = 1
			}
		}), "kvs[].version"},
		"branch":       {replies(5, func(r *pb.TxnResponse) { r.Succeeded = !r.Succeeded }), "Txn"},
		"hash":         {replies(0, func(r *pb.HashKVResponse) { r.Hash ^= 1 }), "HashKV hash"},
		"lease ttl":    {replies(0, func(r *pb.LeaseTimeToLiveResponse) { r.TTL /= 2 }), "TTL"},
		"version text": {replies(0, func(r *pb.StatusResponse) { r.Version = "3.7.0" }), "version"},
		"error text": {func(_ Step, o *Outcome) {
			o.Text = strings.ReplaceAll(o.Text, "future", "later")
		}, "text"},
		"error code": {func(_ Step, o *Outcome) {
			if o.Code == codes.OutOfRange {
				o.Code = codes.InvalidArgument
			}
		}, "code"},
	}
	for name, each := range cases {
		t.Run(name, func(t *testing.T) {
			targets := etcdTargets(t)
			targets.Tamper = each.tamper
			mustDiffer(t, targets, each.about)
		})
	}
}

func TestEachWrongWatchIsSeen(t *testing.T) {
	var held *pb.WatchResponse
	cases := map[string]struct {
		tamper func(*pb.WatchResponse) *pb.WatchResponse
		about  string
	}{
		"lost": {func(r *pb.WatchResponse) *pb.WatchResponse {
			if len(r.Events) > 0 {
				return nil
			}
			return r
		}, "missing"},
		"order": {func(r *pb.WatchResponse) *pb.WatchResponse {
			if len(r.Events) > 1 {
				r.Events[0], r.Events[1] = r.Events[1], r.Events[0]
			}
			return r
		}, "stream[]"},
		"type": {func(r *pb.WatchResponse) *pb.WatchResponse {
			for _, event := range r.Events {
				event.Type = 1 - event.Type
			}
			return r
		}, "events[].type"},
		"previous": {func(r *pb.WatchResponse) *pb.WatchResponse {
			for _, event := range r.Events {
				event.PrevKv = nil
			}
			return r
		}, "prev_kv"},
		"late": {func(r *pb.WatchResponse) *pb.WatchResponse {
			if len(r.Events) == 0 {
				return r
			}
			r, held = held, r
			return r
		}, "events"},
		"notice": {func(r *pb.WatchResponse) *pb.WatchResponse {
			if r.WatchId == -1 && !r.Created {
				r.Header.Revision--
			}
			return r
		}, "progress"},
	}
	for name, each := range cases {
		t.Run(name, func(t *testing.T) {
			targets := etcdTargets(t)
			targets.TamperWatch = each.tamper
			mustDiffer(t, targets, each.about)
		})
	}
}
