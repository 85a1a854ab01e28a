package main

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestOnlyWhatTellsReplicasApartIsMadeAlike(t *testing.T) {
	side := &Side{aliases: map[uint64]uint64{20: 2, 9: 7}}
	status := &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: 9, MemberId: 20, RaftTerm: 20, Revision: 20},
		Leader: 20, RaftIndex: 20}
	side.asOne(status)
	if h := status.Header; h.ClusterId != 7 || h.MemberId != 2 || h.RaftTerm != 20 || h.Revision != 20 ||
		status.Leader != 2 || status.RaftIndex != 20 {
		t.Errorf("%v", status)
	}
	list := &pb.MemberListResponse{Header: &pb.ResponseHeader{MemberId: 3}, Members: []*pb.Member{{ID: 2}, {ID: 20}, {ID: 21}}}
	side.asOne(list)
	if len(list.Members) != 2 || list.Members[1].ID != 21 || list.Header.MemberId != 3 {
		t.Errorf("a member that nobody knows must stay: %v", list)
	}
	read := func(serializable bool) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Serializable: serializable}}}
	}
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{}}}
	for want, txns := range map[bool][]*pb.TxnRequest{
		true:  {{}, {Success: []*pb.RequestOp{read(true)}}},
		false: {{Success: []*pb.RequestOp{read(true)}, Failure: []*pb.RequestOp{read(false)}}, {Failure: []*pb.RequestOp{put}}},
	} {
		for _, txn := range txns {
			if local(Step{Request: txn}) != want {
				t.Errorf("%v", txn)
			}
		}
	}
}
