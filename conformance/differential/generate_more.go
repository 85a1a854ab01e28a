package main

import (
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Leases live for longer than any run, except those with a TTL below the minimum, which etcd
// raises to 2 s: they are revoked at once. Expiry has its own phase.
const longTTL = 1_000_000

func (g *generator) lease() Step {
	id := g.leaseID()
	switch g.IntN(10) {
	case 0, 1, 2:
		return ask("Lease/LeaseGrant", &pb.LeaseGrantRequest{ID: id, TTL: longTTL + int64(g.IntN(9))})
	case 3:
		return g.oddGrant()
	case 4:
		return ask("Lease/LeaseRevoke", &pb.LeaseRevokeRequest{ID: id})
	case 5, 6:
		return ask("Lease/LeaseKeepAlive", &pb.LeaseKeepAliveRequest{ID: id})
	case 7, 8:
		return ask("Lease/LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: id, Keys: g.chance(70)})
	}
	return ask("Lease/LeaseLeases", &pb.LeaseLeasesRequest{})
}

func (g *generator) oddGrant() Step {
	switch g.IntN(3) {
	case 0:
		if g.mix.Auth {
			// Not everyone could revoke what the server has chosen.
			return ask("Lease/LeaseLeases", &pb.LeaseLeasesRequest{})
		}
		return ask("Lease/LeaseGrant", &pb.LeaseGrantRequest{TTL: longTTL})
	case 1:
		ttl := pick[int64](g, 9_000_000_001, 1<<62)
		return ask("Lease/LeaseGrant", &pb.LeaseGrantRequest{ID: g.leaseID(), TTL: ttl})
	}
	id := int64(1000 + g.IntN(3))
	g.queue = append(g.queue, ask("Lease/LeaseRevoke", &pb.LeaseRevokeRequest{ID: id}))
	return ask("Lease/LeaseGrant",
		&pb.LeaseGrantRequest{ID: id, TTL: pick[int64](g, 0, -5, 1, -1<<62)})
}

const watchStreams = 3

func (g *generator) watch() Step {
	step := Step{Method: watchMethod, Stream: g.IntN(watchStreams)}
	if g.mix.Auth && g.chance(15) {
		// A stream keeps its caller and token: new ones must come.
		step.Method = closeStream
		return step
	}
	request := &pb.WatchRequest{}
	switch g.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		id := pick[int64](g, 0, 1, 2, 3, 4, 5, 6, 99, -1, -2)
		request.RequestUnion = &pb.WatchRequest_CancelRequest{
			CancelRequest: &pb.WatchCancelRequest{WatchId: id}}
	case 6, 7, 8:
		request.RequestUnion = &pb.WatchRequest_ProgressRequest{
			ProgressRequest: &pb.WatchProgressRequest{}}
	case 9:
		if g.chance(60) {
			step.Method = closeStream
			return step
		}
		// No request at all: etcd ignores it.
	default:
		request.RequestUnion = &pb.WatchRequest_CreateRequest{CreateRequest: g.watchCreate()}
	}
	step.Request = request
	return step
}

func (g *generator) watchCreate() *pb.WatchCreateRequest {
	key := g.key()
	create := &pb.WatchCreateRequest{
		Key:      key,
		RangeEnd: g.rangeEnd(key),
		PrevKv:   g.chance(50),
		Fragment: g.chance(20),
	}
	if g.chance(25) {
		create.Key, create.RangeEnd = []byte{0}, []byte{0}
	}
	if g.chance(15) {
		create.ProgressNotify = true
	}
	switch g.IntN(10) {
	case 0, 1, 2, 3:
		create.StartRevision = g.watchStart()
	}
	if g.chance(20) {
		create.Filters = append(create.Filters, pb.WatchCreateRequest_FilterType(g.IntN(2)))
	}
	if g.chance(2) {
		create.Filters = append(create.Filters, pick[pb.WatchCreateRequest_FilterType](g, 0, 1, 2, -1))
	}
	if g.chance(25) {
		create.WatchId = pick[int64](g, 1, 2, 3, 4, 99, -1, -2)
	}
	return create
}

// watchStart stays off far futures: such a watcher would keep its stream without notices.
func (g *generator) watchStart() int64 {
	revision := g.nearby()
	if revision > g.pair.revision {
		return g.pair.revision + 1 + int64(g.IntN(40))
	}
	if g.chance(30) {
		return max(1, g.pair.revision-int64(g.IntN(300)))
	}
	return revision
}

func (g *generator) maintenance() Step {
	switch g.IntN(12) {
	case 0, 1, 2, 3:
		return ask("Cluster/MemberList", &pb.MemberListRequest{Linearizable: g.chance(50)})
	case 4, 5, 6, 7:
		return ask("Maintenance/Status", &pb.StatusRequest{})
	case 8:
		return ask("Maintenance/Hash", &pb.HashRequest{})
	case 9:
		return ask("Maintenance/Defragment", &pb.DefragmentRequest{})
	case 10:
		return ask("Maintenance/Alarm", &pb.AlarmRequest{Alarm: g.alarmType()})
	}
	return Step{Method: "/grpc.health.v1.Health/Check",
		Request: &grpc_health_v1.HealthCheckRequest{Service: pick(g, "", "", "etcdserverpb.KV", "x")}}
}

func (g *generator) alarmType() pb.AlarmType { return pb.AlarmType(g.IntN(3)) }

// alarm raises one, lets a few requests meet it, and then disarms all.
func (g *generator) alarm() Step {
	g.alarmed = 4 + g.IntN(20)
	return ask("Maintenance/Alarm", &pb.AlarmRequest{
		Action:   pb.AlarmRequest_ACTIVATE,
		MemberID: pick(g, g.member, g.member, 0, 42),
		Alarm:    pick(g, pb.AlarmType_NOSPACE, pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT, pb.AlarmType_NONE),
	})
}

func (g *generator) disarm() Step {
	var steps []Step
	for _, member := range []uint64{g.member, 0, 42} {
		for _, kind := range []pb.AlarmType{pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT} {
			steps = append(steps, ask("Maintenance/Alarm", &pb.AlarmRequest{
				Action: pb.AlarmRequest_DEACTIVATE, MemberID: member, Alarm: kind}))
		}
	}
	g.queue = append(g.queue, steps[1:]...)
	return steps[0]
}

// odd sends what no client library sends: unknown methods and services, malformed bodies.
func (g *generator) odd() Step {
	if g.chance(50) {
		return Step{Method: pick(g, "/etcdserverpb.KV/Nope", "/etcdserverpb.Nope/Range", "/nope/nope",
			"/etcdserverpb.KV/range", "/etcdserverpb.KV/"), Raw: []byte{}}
	}
	method := pick(g, "KV/Put", "KV/Range", "KV/Txn", "KV/DeleteRange", "Lease/LeaseRevoke")
	raw := pick(g, []byte{0x0a}, []byte{0x0a, 0x05, 'a'}, []byte{0xff, 0xff, 0xff}, []byte{0x07},
		[]byte{0x0a, 0x01, 'a', 0xf8, 0x07, 0x01}, []byte{0x0b, 0x0c}, []byte{0x00})
	return Step{Method: "/etcdserverpb." + method, Raw: raw}
}

// oversize puts a value around the limits of 1.5 MiB (the request) and 2 MiB (the message); at
// the first one etcd counts its own raft header too, so nothing is sent within 100 bytes of it.
func (g *generator) oversize() Step {
	const request, message = 1536 << 10, 2048 << 10
	pad := pick(g, request-200, request+200, request-50_000, message-12, message-11, message-10,
		message-9, message, message+1000, 3*message)
	g.queue = append(g.queue, ask("KV/DeleteRange", &pb.DeleteRangeRequest{Key: []byte("big")}))
	step := ask("KV/Put", &pb.PutRequest{Key: []byte("big")})
	step.Pad = pad
	return step
}
