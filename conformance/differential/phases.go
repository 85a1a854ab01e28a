package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// phases are the two parts of the surface that time and size decide, so that they cannot be
// drawn at random: leases that expire, and the quota.
func (j *judge) phases() error {
	expiry, err := j.expiryPhase()
	if err != nil {
		return err
	}
	j.finishPhase("lease expiry", expiry)
	quota, err := j.quotaPhase()
	if err != nil {
		return err
	}
	j.finishPhase("quota", quota)
	return nil
}

func (j *judge) finishPhase(name string, diffs []Diff) {
	fmt.Printf("phase %s: %d unexplained differences\n", name, len(diffs))
	for _, diff := range diffs {
		j.seen[name+": "+diff.signature()] = true
		fmt.Printf("  != %v\n", diff)
	}
}

// expiryPhase lets three leases of different length expire under watchers: each must end as one
// revision that deletes the lease's keys in order, not early, and a renewed one later.
func (j *judge) expiryPhase() ([]Diff, error) {
	pair, err := j.targets.start()
	if err != nil {
		return nil, err
	}
	defer pair.close()
	var diffs []Diff
	do := func(steps ...Step) {
		for _, step := range steps {
			diffs = append(diffs, pair.do(step)...)
		}
	}
	everything := ask("KV/Range", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	leases := ask("Lease/LeaseLeases", &pb.LeaseLeasesRequest{})
	do(watchAll())
	for id, ttl := range map[int64]int64{11: 2, 12: 5, 13: 8} {
		do(ask("Lease/LeaseGrant", &pb.LeaseGrantRequest{ID: id, TTL: ttl}))
	}
	for _, key := range []string{"3", "1", "2"} {
		for id := range int64(3) {
			do(ask("KV/Put", &pb.PutRequest{Key: fmt.Appendf(nil, "%d/%s", id, key), Lease: 11 + id}))
		}
	}
	// A key that leaves its lease in time stays.
	do(ask("KV/Put", &pb.PutRequest{Key: []byte("0/1"), Value: []byte("stays")}))
	time.Sleep(1300 * time.Millisecond)
	do(everything, leases)
	time.Sleep(2400 * time.Millisecond)
	do(everything, leases, ask("Lease/LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: 11, Keys: true}),
		ask("Lease/LeaseKeepAlive", &pb.LeaseKeepAliveRequest{ID: 11}),
		ask("Lease/LeaseKeepAlive", &pb.LeaseKeepAliveRequest{ID: 12}))
	// 12 was renewed at 3.7 s: it ends after 8.7 s; 13 ends at 8 s.
	time.Sleep(2800 * time.Millisecond)
	do(everything, leases)
	time.Sleep(4500 * time.Millisecond)
	do(everything, leases, ask("Maintenance/HashKV", &pb.HashKVRequest{}))
	diffs = append(diffs, pair.finish()...)
	return diffs, nil
}

func watchAll() Step {
	return Step{Method: watchMethod, Request: &pb.WatchRequest{
		RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
			Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true}}}}
}

const (
	quotaBytes = 16 << 20
	fillBytes  = 256 << 10
	fillLimit  = 400
	fillKeys   = 8
)

// quotaPhase fills both stores until they refuse, and then asks the same of both. How much
// fits is the engine's matter, so revisions differ and only codes, texts and alarms count.
func (j *judge) quotaPhase() ([]Diff, error) {
	targets := j.targets
	flag := fmt.Sprintf("--quota-backend-bytes=%d", quotaBytes)
	targets.Want.Args = append([]string{flag}, targets.Want.Args...)
	targets.Got.Args = append([]string{flag}, targets.Got.Args...)
	pair, err := targets.start()
	if err != nil {
		return nil, err
	}
	defer pair.close()
	var diffs []Diff
	wantFill, gotFill := fillUp(pair.want), fillUp(pair.got)
	fmt.Printf("  the quota of %d MiB took %d and %d MiB\n", quotaBytes>>20, wantFill>>20, gotFill>>20)
	if wantFill < 0 || gotFill < 0 {
		return []Diff{{Path: "the quota is never reached", Want: wantFill, Got: gotFill}}, nil
	}
	for i, step := range quotaScript() {
		want, got := pair.ask(step.Step)
		for _, diff := range compareOutcomes(step.Step, want, got) {
			revision := strings.HasSuffix(diff.Path, "header.revision")
			if revision || (step.deviation != "" && got.Code == 0) {
				continue
			}
			if _, ok := explain(step.Step, diff); !ok {
				diff.Step = i
				diff.Path = fmt.Sprintf("%s (%s)", diff.Path, step.about)
				diffs = append(diffs, diff)
			}
		}
	}
	return diffs, nil
}

// fillUp puts until the first refusal and returns the bytes that went in, or -1.
func fillUp(side *Side) int {
	value := bytes.Repeat([]byte{'v'}, fillBytes)
	for i := range fillLimit {
		key := fmt.Appendf(nil, "fill/%d", i%fillKeys)
		outcome := side.ask(ask("KV/Put", &pb.PutRequest{Key: key, Value: value}))
		if outcome.Text == "etcdserver: mvcc: database space exceeded" {
			return i * fillBytes
		}
	}
	return -1
}

// quotaStep is a request to a full store. A deviation is a reason why the other server may
// answer it with success, and with other contents, where etcd does not.
type quotaStep struct {
	Step
	about     string
	deviation string
}

const oneStep = "here the alarm ends when there is room again, without disarming (etcd #20753)"

func quotaScript() []quotaStep {
	put := &pb.PutRequest{Key: []byte("a"), Value: bytes.Repeat([]byte{'v'}, fillBytes)}
	op := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}}
	get := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{
		RequestRange: &pb.RangeRequest{Key: []byte("a")}}}
	status := ask("Maintenance/Status", &pb.StatusRequest{})
	alarms := ask("Maintenance/Alarm", &pb.AlarmRequest{})
	disarm := ask("Maintenance/Alarm", &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE,
		Alarm: pb.AlarmType_NOSPACE, MemberID: 0})
	return []quotaStep{
		{Step: alarms, about: "alarms when full"},
		{Step: status, about: "status when full"},
		{Step: ask("KV/Put", put), about: "put when full"},
		{Step: ask("KV/Put", &pb.PutRequest{Value: put.Value}), about: "put of no key when full"},
		{Step: ask("KV/Txn", &pb.TxnRequest{Success: []*pb.RequestOp{op}}), about: "txn that puts"},
		{Step: ask("KV/Txn", &pb.TxnRequest{Failure: []*pb.RequestOp{op}}), about: "txn that does not"},
		{Step: ask("KV/Txn", &pb.TxnRequest{Success: []*pb.RequestOp{get}}), about: "txn that reads"},
		{Step: ask("Lease/LeaseGrant", &pb.LeaseGrantRequest{ID: 5, TTL: 1000}), about: "grant when full"},
		{Step: ask("Lease/LeaseRevoke", &pb.LeaseRevokeRequest{ID: 5}), about: "revoke when full"},
		{Step: ask("KV/Range", &pb.RangeRequest{Key: []byte("a")}), about: "read when full"},
		{Step: disarm, about: "disarm nobody's alarm"},
		{Step: alarms, about: "alarms before the deletion"},
		{Step: ask("KV/DeleteRange", &pb.DeleteRangeRequest{Key: []byte("fill/"),
			RangeEnd: []byte("fill0")}), about: "delete when full"},
		{Step: ask("KV/Compact", &pb.CompactionRequest{Revision: 8, Physical: true}),
			about: "compaction when full"},
		{Step: ask("Maintenance/Defragment", &pb.DefragmentRequest{}), about: "defragment"},
		{Step: alarms, about: "alarms with room again", deviation: oneStep},
		{Step: status, about: "status with room again", deviation: oneStep},
		{Step: ask("KV/Put", put), about: "put with room but alarmed", deviation: oneStep},
	}
}
