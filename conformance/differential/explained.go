package main

import (
	"strings"

	"google.golang.org/grpc/codes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Explained is a difference that is no fault, with the reason why. Whatever no entry of the
// table explains fails the run.
type Explained struct {
	Name    string
	Reason  string
	Applies func(step Step, d Diff) bool
}

// explained is the whole list. Keep entries narrow: one field, one method, one direction.
var explained = []Explained{
	{
		Name:   "raft term",
		Reason: "counts elections in etcd and epochs elsewhere; only being set or not is compared",
		Applies: func(_ Step, d Diff) bool {
			return strings.HasSuffix(d.Path, "header.raft_term") && bothSet(d)
		},
	},
	{
		Name:   "status of the engine",
		Reason: "sizes on disk, raft term and indexes measure the engine, not the data",
		Applies: func(_ Step, d Diff) bool {
			if !strings.HasSuffix(d.Method, "/Status") {
				return false
			}
			switch d.Path {
			case "dbSize", "dbSizeInUse", "raftTerm", "raftIndex", "raftAppliedIndex":
				return bothSet(d)
			}
			return false
		},
	},
	{
		Name:   "hash of the backend",
		Reason: "Maintenance/Hash covers bbolt's every bucket, raft's index included; HashKV is compared",
		Applies: func(_ Step, d Diff) bool {
			return strings.HasSuffix(d.Method, "/Hash") && d.Path == "hash"
		},
	},
	{
		Name:   "lease id chosen by the server",
		Reason: "random in etcd; both must be positive, and the harness revokes them at once",
		Applies: func(step Step, d Diff) bool {
			grant, ok := step.Request.(*pb.LeaseGrantRequest)
			return ok && grant.ID == 0 && d.Path == "ID" && bothSet(d)
		},
	},
	{
		Name:   "time left of a lease",
		Reason: "whole seconds of two clocks; two seconds apart at most",
		Applies: func(_ Step, d Diff) bool {
			a, aok := d.Want.(int64)
			b, bok := d.Got.(int64)
			return strings.HasSuffix(d.Method, "/LeaseTimeToLive") && d.Path == "TTL" &&
				aok && bok && a > 2 && b > 2 && a-b <= 2 && b-a <= 2
		},
	},
	{
		Name: "time left of a session's lease",
		Reason: "etcd's Lock and Election start to keep the lease alive and stop at once, so that " +
			"whether a call renews it is a matter of chance",
		Applies: func(step Step, d Diff) bool {
			request, ok := step.Request.(*pb.LeaseTimeToLiveRequest)
			a, aok := d.Want.(int64)
			b, bok := d.Got.(int64)
			return ok && d.Renewed[request.ID] && d.Path == "TTL" && aok && bok && a > longTTL/2 && b > longTTL/2
		},
	},
	{
		Name:   "token",
		Reason: "it is random, or signed with the time in it; that one is given is compared",
		Applies: func(_ Step, d Diff) bool {
			return strings.HasSuffix(d.Method, "/Authenticate") && d.Path == "token" && bothSet(d)
		},
	},
	{
		Name: "keys_only keeps the lease",
		Reason: "etcd 3.7 answers keys_only from its index and forgets the lease (etcd #22209, " +
			"a regression); giving it, as 3.6 does, is right",
		Applies: func(_ Step, d Diff) bool {
			a, aok := d.Want.(int64)
			b, bok := d.Got.(int64)
			return d.Range != nil && d.Range.KeysOnly && strings.HasSuffix(d.Path, "].lease") &&
				aok && bok && a == 0 && b != 0
		},
	},
	{
		Name: "hash remembered from a compaction",
		Reason: "etcd answers HashKV at one of its last ten compaction revisions from memory: the hash " +
			"as of the compaction before it, even if the revision is compacted by now; after a restart, " +
			"or before the compaction's background part ends, it answers otherwise",
		Applies: func(step Step, d Diff) bool {
			request, ok := step.Request.(*pb.HashKVRequest)
			if !ok || !d.Compactions[request.Revision] {
				return false
			}
			compacted := "OutOfRange \"etcdserver: mvcc: required revision has been compacted\""
			if request.Revision == 0 && (d.Path == "hash" || d.Path == "hash_revision") {
				// Compact(0) makes etcd remember a hash "at 0", and 0 asks for the present.
				return true
			}
			switch d.Path {
			case "code":
				return request.Revision < d.Compacted && (d.Got == compacted || d.Want == compacted)
			case "compact_revision":
				return d.Got == d.Compacted || d.Want == d.Compacted
			case "hash":
				return request.Revision == d.Compacted
			}
			return false
		},
	},
	{
		Name: "progress beside a compacted watcher",
		Reason: "etcd keeps a watcher that a compaction canceled and counts it as behind for ever, so its " +
			"stream never gets a progress notice again; such a watcher waits for nothing",
		Applies: func(_ Step, d Diff) bool {
			return d.Path == "progress" && d.Silenced && d.Got == "<nil>"
		},
	},
	{
		Name: "a stream with a sort target and no order",
		Reason: "etcd sorts each chunk by the target and goes on behind the chunk's last key, so that its " +
			"stream skips keys and miscounts; the keys in their order, all of them, are right",
		Applies: func(step Step, d Diff) bool {
			request, ok := step.Request.(*pb.RangeRequest)
			return ok && strings.HasSuffix(d.Method, "/RangeStream") &&
				request.SortOrder == pb.RangeRequest_NONE && request.SortTarget != pb.RangeRequest_KEY &&
				d.Path != "code" && d.Path != "text"
		},
	},
	{
		Name: "a field of the wrong wire type",
		Reason: "Go's protobuf parser takes a known field that was sent as another type for an unknown one " +
			"and skips it; refusing the message as malformed is right, and no client sends one",
		Applies: func(step Step, d Diff) bool {
			got, ok := d.Got.(string)
			return ok && step.Request == nil && d.Path == "code" && strings.HasPrefix(got, "Internal") &&
				strings.Contains(got, "invalid wire type")
		},
	},
	{
		Name:   "a malformed message from one who may not call",
		Reason: "who calls is judged before the message is read, in etcd after; both refuse",
		Applies: func(step Step, d Diff) bool {
			want, wok := d.Want.(string)
			got, gok := d.Got.(string)
			return step.Request == nil && d.Path == "code" && wok && gok && strings.Contains(want, "unmarshal") &&
				(strings.Contains(got, "user name is empty") || strings.Contains(got, "permission denied") ||
					strings.Contains(got, "auth token"))
		},
	},
	{
		Name:   "text for a malformed message",
		Reason: "it is the Go protobuf parser's own, with random spacing; the code is compared",
		Applies: func(step Step, d Diff) bool {
			return step.Request == nil && d.Path == "text" &&
				strings.Contains(d.Want.(string), "unmarshal")
		},
	},
}

// explain finds the entry that explains a difference.
func explain(step Step, d Diff) (string, bool) {
	for _, entry := range explained {
		if entry.Applies(step, d) {
			return entry.Name, true
		}
	}
	return "", false
}

func bothSet(d Diff) bool {
	return isSet(d.Want) && isSet(d.Got)
}

func isSet(value any) bool {
	switch number := value.(type) {
	case int64:
		return number > 0
	case uint64:
		return number > 0
	case string:
		return number != ""
	}
	return false
}

// harnessGaveUp tells whether an outcome is the harness's own time-out rather than an answer.
func harnessGaveUp(o Outcome) bool {
	return o.Code == codes.DeadlineExceeded || strings.HasPrefix(o.Text, "harness: ")
}
