package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/store"
)

// With -replicas the second server is several, and each step is asked of one of them, drawn with it; etcd stays alone,
// as the one store that all of them must seem to be. What only tells them apart is made alike before it is compared:
// member ids, the members that etcd does not have, and the cluster's id, which on a journal follows from its token alone. etcd promises nothing about what a member that is behind says
// to who does not ask for the newest, so such questions are asked when the replica has caught up.

// door is one server of a side, and the client's connection to it.
type door struct {
	server *store.Server
	conn   *grpc.ClientConn
	alive  pb.Lease_LeaseKeepAliveClient
}

func openDoor(server *store.Server) (*door, error) {
	conn, err := server.Dial()
	if err != nil {
		server.Remove()
		return nil, err
	}
	return &door{server: server, conn: conn}, nil
}

// at is where a step is asked; all steps of a watch stream meet at one door.
func (s *Side) at(step Step) *door {
	number := step.Door
	if step.Method == watchMethod {
		number = step.Stream
	}
	return s.doors[number%len(s.doors)]
}

// reachable gives both sides the same peer URL, at which the second side's first replica really listens.
func reachable(want, got *store.Options) error {
	ports, err := store.FreePorts(1)
	if err != nil {
		return err
	}
	peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	same := []string{"--initial-advertise-peer-urls=" + peer, "--initial-cluster=conformance=" + peer}
	want.Args = append(slices.Clone(want.Args), same...)
	got.Args = append(append(slices.Clone(got.Args), same...), "--listen-peer-urls="+peer)
	return nil
}

// join starts more replicas beside the side's first.
func (s *Side) join(options store.Options, count int) error {
	options.SameIdentity = false
	for i := 1; i < count; i++ {
		server, err := store.New(options)
		if err != nil {
			return err
		}
		name, peer := fmt.Sprintf("replica%d", i), "http://"+server.Peer()
		server.Add("--name="+name, "--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer,
			"--initial-cluster="+name+"="+peer)
		if err := server.Restart(); err != nil {
			server.Remove()
			return err
		}
		next, err := openDoor(server)
		if err != nil {
			return err
		}
		s.doors = append(s.doors, next)
	}
	return nil
}

func (d *door) header() (*pb.ResponseHeader, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestLimit)
	defer cancel()
	reply, err := pb.NewMaintenanceClient(d.conn).Status(ctx, &pb.StatusRequest{})
	return reply.GetHeader(), err
}

// catchUp waits until the replica has all that was acknowledged anywhere; the page asks for no name.
func (d *door) catchUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), requestLimit)
	defer cancel()
	page := "http://" + d.server.Endpoint + "/readyz/linearizable_read"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	// Read to its end, the connection serves again.
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return err
}

// local tells whether etcd answers a step from what the asked member has.
func local(step Step) bool {
	switch request := step.Request.(type) {
	case *pb.RangeRequest:
		return request.Serializable
	case *pb.TxnRequest:
		return readsLocally(request)
	case *pb.MemberListRequest:
		return !request.Linearizable
	case *pb.WatchRequest, *pb.HashKVRequest, *pb.HashRequest, *pb.StatusRequest, *pb.LeaseLeasesRequest,
		*pb.LeaseTimeToLiveRequest, *pb.LeaseKeepAliveRequest, *pb.DefragmentRequest:
		return true
	}
	// What was written by hand may be a transaction that asks for nothing.
	return step.Request == nil && strings.HasSuffix(strings.ToLower(step.Method), "/txn")
}

// readsLocally is so for a transaction that writes nothing and insists on the newest nowhere.
func readsLocally(txn *pb.TxnRequest) bool {
	for _, op := range slices.Concat(txn.Success, txn.Failure) {
		read, inner := op.GetRequestRange(), op.GetRequestTxn()
		if read == nil && inner == nil || read != nil && !read.Serializable || inner != nil && !readsLocally(inner) {
			return false
		}
	}
	return true
}

// nameLike lets the side's ids pass for those of the other, which it must not have itself.
func (s *Side) nameLike(other *Side) error {
	theirs, err := other.doors[0].header()
	if err != nil {
		return err
	}
	aliases := map[uint64]uint64{}
	for _, each := range s.doors {
		header, err := each.header()
		if err != nil {
			return err
		}
		if header.ClusterId != theirs.ClusterId {
			aliases[header.ClusterId] = theirs.ClusterId
		}
		if each != s.doors[0] {
			aliases[header.MemberId] = theirs.MemberId
		}
	}
	s.aliases = aliases
	return nil
}

// asOne makes a message of any replica look like the first one's.
func (s *Side) asOne(message proto.Message) {
	if len(s.aliases) == 0 || message == nil || !message.ProtoReflect().IsValid() {
		return
	}
	if list, ok := message.(*pb.MemberListResponse); ok {
		list.Members = slices.DeleteFunc(list.Members, func(m *pb.Member) bool { return s.aliases[m.ID] != 0 })
	}
	rename(message.ProtoReflect(), s.aliases)
}

// rename puts ids of members and of the cluster for others, wherever there is one.
func rename(message protoreflect.Message, aliases map[uint64]uint64) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				rename(value.List().Get(i).Message(), aliases)
			}
		case field.IsList() || field.IsMap():
		case field.Message() != nil:
			rename(value.Message(), aliases)
		case field.Kind() == protoreflect.Uint64Kind && aliases[value.Uint()] != 0 && isID(field):
			message.Set(field, protoreflect.ValueOfUint64(aliases[value.Uint()]))
		}
		return true
	})
}

func isID(field protoreflect.FieldDescriptor) bool {
	name := strings.ToLower(string(field.Name()))
	return strings.HasPrefix(name, "member") || name == "cluster_id" || name == "leader"
}

// awaitVersion waits for every replica.
func (s *Side) awaitVersion() {
	for _, each := range s.doors {
		each.awaitVersion()
	}
}

// awaitVersion waits for the storage version, which etcd raises from 3.5.0 soon after it starts to
// serve. If it never comes right, the comparison of Status will say so.
func (d *door) awaitVersion() {
	for range 200 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		reply, err := pb.NewMaintenanceClient(d.conn).Status(ctx, &pb.StatusRequest{})
		cancel()
		if err == nil && reply.StorageVersion == "3.7.0" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
