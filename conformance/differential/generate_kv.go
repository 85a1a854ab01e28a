package main

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func (g *generator) put() *pb.PutRequest {
	request := &pb.PutRequest{Key: g.key(), Lease: g.putLease(), PrevKv: g.chance(30)}
	if g.chance(10) {
		request.IgnoreValue = true
	}
	if !request.IgnoreValue || g.chance(10) {
		request.Value = g.value()
	}
	if g.chance(8) {
		request.IgnoreLease = true
		if g.chance(80) {
			request.Lease = 0
		}
	}
	return request
}

func (g *generator) deleteRange() *pb.DeleteRangeRequest {
	key := g.key()
	return &pb.DeleteRangeRequest{Key: key, RangeEnd: g.rangeEnd(key), PrevKv: g.chance(40)}
}

func (g *generator) rangeRequest() *pb.RangeRequest {
	key := g.key()
	request := &pb.RangeRequest{
		Key:          key,
		RangeEnd:     g.rangeEnd(key),
		Serializable: g.chance(20),
		KeysOnly:     g.chance(15),
		CountOnly:    g.chance(10),
	}
	if g.chance(10) {
		request.Key, request.RangeEnd = []byte{0}, []byte{0}
	}
	if g.chance(30) {
		request.Revision = g.nearby()
	}
	if g.chance(40) {
		request.Limit = pick[int64](g, 1, 1, 2, 3, 4, 5, 10, -1, 1<<62)
	}
	g.sort(request)
	for _, bound := range []*int64{&request.MinModRevision, &request.MaxModRevision,
		&request.MinCreateRevision, &request.MaxCreateRevision} {
		if g.chance(6) {
			*bound = g.nearby()
		}
	}
	return request
}

func (g *generator) sort(request *pb.RangeRequest) {
	if g.chance(30) {
		request.SortOrder = pb.RangeRequest_SortOrder(g.IntN(3))
	}
	if g.chance(30) {
		request.SortTarget = pb.RangeRequest_SortTarget(g.IntN(5))
	}
	if g.chance(1) {
		request.SortOrder = pick[pb.RangeRequest_SortOrder](g, 3, -1)
	}
	if g.chance(1) {
		request.SortTarget = pick[pb.RangeRequest_SortTarget](g, 5, -1)
	}
}

// streamRange is a range that RangeStream mostly supports.
func (g *generator) streamRange() *pb.RangeRequest {
	request := g.rangeRequest()
	if g.chance(85) {
		request.SortOrder, request.SortTarget = 0, 0
		request.MinModRevision, request.MaxModRevision = 0, 0
		request.MinCreateRevision, request.MaxCreateRevision = 0, 0
	}
	if g.chance(10) {
		request.SortOrder = pb.RangeRequest_ASCEND
	}
	return request
}

const maxTxnDepth = 3

func (g *generator) txn(depth int) *pb.TxnRequest {
	request := &pb.TxnRequest{}
	for range g.IntN(4) {
		request.Compare = append(request.Compare, g.compare())
	}
	request.Success, request.Failure = g.ops(depth), g.ops(depth)
	if depth == 0 {
		spareEtcd(request)
	}
	if depth == 0 && g.chance(1) {
		// Around the limit of 128.
		compare := &pb.Compare{Key: []byte("a"), Target: pb.Compare_VERSION}
		request.Compare = slices.Repeat([]*pb.Compare{compare}, 127+g.IntN(3))
	}
	return request
}

// spareEtcd keeps a transaction from ending the reference: etcd 3.7.1 panics when a put that
// ignores its value or lease follows the deletion of its key in the same transaction. Its check
// for duplicate keys forbids that, but does not see a deletion up to "\x00" (everything above).
func spareEtcd(request *pb.TxnRequest) {
	var puts []*pb.PutRequest
	deletes := false
	var visit func(*pb.TxnRequest)
	visit = func(txn *pb.TxnRequest) {
		for _, op := range slices.Concat(txn.Success, txn.Failure) {
			switch {
			case op.GetRequestPut() != nil:
				puts = append(puts, op.GetRequestPut())
			case op.GetRequestDeleteRange() != nil:
				deletes = deletes || string(op.GetRequestDeleteRange().RangeEnd) == "\x00"
			case op.GetRequestTxn() != nil:
				visit(op.GetRequestTxn())
			}
		}
	}
	visit(request)
	if deletes {
		for _, put := range puts {
			put.IgnoreValue, put.IgnoreLease = false, false
		}
	}
}

func (g *generator) ops(depth int) []*pb.RequestOp {
	count := g.IntN(4)
	if g.chance(1) {
		count = 126 + g.IntN(5)
	}
	var ops []*pb.RequestOp
	for range count {
		ops = append(ops, g.op(depth))
	}
	return ops
}

func (g *generator) op(depth int) *pb.RequestOp {
	kind := g.IntN(100)
	switch {
	case kind < 35:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.put()}}
	case kind < 70:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: g.rangeRequest()}}
	case kind < 85:
		return &pb.RequestOp{
			Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: g.deleteRange()}}
	case kind < 98 && depth < maxTxnDepth:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: g.txn(depth + 1)}}
	case kind < 99:
		return &pb.RequestOp{}
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.put()}}
}

func (g *generator) compare() *pb.Compare {
	key := g.key()
	compare := &pb.Compare{
		Key:    key,
		Result: pb.Compare_CompareResult(g.IntN(4)),
		Target: pb.Compare_CompareTarget(g.IntN(5)),
	}
	if g.chance(25) {
		compare.RangeEnd = g.rangeEnd(key)
	}
	union := int(compare.Target)
	if g.chance(2) {
		union = g.IntN(6)
	}
	switch union {
	case 0:
		compare.TargetUnion = &pb.Compare_Version{Version: int64(g.IntN(4))}
	case 1:
		compare.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: g.zeroOrNearby()}
	case 2:
		compare.TargetUnion = &pb.Compare_ModRevision{ModRevision: g.zeroOrNearby()}
	case 3:
		compare.TargetUnion = &pb.Compare_Value{Value: g.value()}
	case 4:
		compare.TargetUnion = &pb.Compare_Lease{Lease: g.putLease()}
	}
	if g.chance(1) {
		compare.Result = pick[pb.Compare_CompareResult](g, 4, -1)
	}
	if g.chance(1) {
		compare.Target = pick[pb.Compare_CompareTarget](g, 5, -1)
	}
	return compare
}

func (g *generator) zeroOrNearby() int64 {
	if g.chance(30) {
		return 0
	}
	return g.nearby()
}
