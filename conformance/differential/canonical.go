package main

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// canonical puts what etcd leaves unordered into one order, on a copy, so that only what the
// protocol promises is compared. Each case here is one promise that etcd does not make:
//
//   - keys of equal rank in a sorted range: Go's sort is not stable;
//   - which of them a limit cuts off;
//   - the leases of LeaseLeases (by time left) and the keys of LeaseTimeToLive (a hash set);
//   - the spacing in Status.errors: protobuf's text form varies it on purpose.
func canonical(step Step, reply proto.Message) proto.Message {
	copied := proto.Clone(reply)
	switch typed := copied.(type) {
	case *pb.RangeResponse:
		if request, ok := step.Request.(*pb.RangeRequest); ok {
			orderTies(request, typed)
		}
	case *pb.TxnResponse:
		if request, ok := step.Request.(*pb.TxnRequest); ok {
			orderTxnTies(request, typed)
		}
	case *pb.LeaseLeasesResponse:
		slices.SortFunc(typed.Leases, func(a, b *pb.LeaseStatus) int { return cmp.Compare(a.ID, b.ID) })
	case *pb.LeaseTimeToLiveResponse:
		slices.SortFunc(typed.Keys, bytes.Compare)
	case *pb.StatusResponse:
		for i, text := range typed.Errors {
			typed.Errors[i] = strings.Join(strings.Fields(text), " ")
		}
	}
	return copied
}

func orderTxnTies(request *pb.TxnRequest, response *pb.TxnResponse) {
	ops := request.Success
	if !response.Succeeded {
		ops = request.Failure
	}
	if len(ops) != len(response.Responses) {
		return
	}
	for i, op := range ops {
		inner := response.Responses[i]
		if request := op.GetRequestRange(); request != nil && inner.GetResponseRange() != nil {
			orderTies(request, inner.GetResponseRange())
		}
		if request := op.GetRequestTxn(); request != nil && inner.GetResponseTxn() != nil {
			orderTxnTies(request, inner.GetResponseTxn())
		}
	}
}

// orderTies sorts runs of equal rank by key. A last run that the limit may have cut keeps only
// its rank, since any of its members could have been left out.
func orderTies(request *pb.RangeRequest, response *pb.RangeResponse) {
	rank := rankOf(request.SortTarget)
	if rank == nil {
		return
	}
	kvs := response.Kvs
	for start := 0; start < len(kvs); {
		end := start + 1
		for end < len(kvs) && rank(kvs[start], kvs[end]) == 0 {
			end++
		}
		run := kvs[start:end]
		cut := end == len(kvs) && response.More &&
			(request.SortOrder != pb.RangeRequest_NONE || filters(request))
		if cut {
			blur(request.SortTarget, run)
		}
		slices.SortFunc(run, func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
		start = end
	}
}

// filters tells whether everything is fetched and sorted before the limit cuts, whatever the order.
func filters(r *pb.RangeRequest) bool {
	return r.MinModRevision|r.MaxModRevision|r.MinCreateRevision|r.MaxCreateRevision != 0
}

func rankOf(target pb.RangeRequest_SortTarget) func(a, b *mvccpb.KeyValue) int {
	switch target {
	case pb.RangeRequest_VERSION:
		return func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.Version, b.Version) }
	case pb.RangeRequest_CREATE:
		return func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.CreateRevision, b.CreateRevision) }
	case pb.RangeRequest_MOD:
		return func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.ModRevision, b.ModRevision) }
	case pb.RangeRequest_VALUE:
		return func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Value, b.Value) }
	}
	return nil
}

func blur(target pb.RangeRequest_SortTarget, run []*mvccpb.KeyValue) {
	for i, kv := range run {
		kept := &mvccpb.KeyValue{}
		switch target {
		case pb.RangeRequest_VERSION:
			kept.Version = kv.Version
		case pb.RangeRequest_CREATE:
			kept.CreateRevision = kv.CreateRevision
		case pb.RangeRequest_MOD:
			kept.ModRevision = kv.ModRevision
		case pb.RangeRequest_VALUE:
			kept.Value = kv.Value
		}
		run[i] = kept
	}
}
