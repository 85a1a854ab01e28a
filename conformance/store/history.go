package store

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// OpenWatch asks for every event of every key from a revision on.
func OpenWatch(ctx context.Context, conn grpc.ClientConnInterface, from int64) (pb.Watch_WatchClient, error) {
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return nil, err
	}
	return stream, stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: from}}})
}

// History reads all events of the revisions from+1 to to.
func History(ctx context.Context, conn grpc.ClientConnInterface, from, to int64) ([]*mvccpb.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if from == to {
		return nil, nil
	}
	stream, err := OpenWatch(ctx, conn, from+1)
	if err != nil {
		return nil, err
	}
	var events []*mvccpb.Event
	for {
		reply, err := stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("history %d to %d ends after %d events: %w", from, to, len(events), err)
		}
		if reply.Canceled {
			return nil, fmt.Errorf("history from %d is refused: %v", from, reply)
		}
		for _, event := range reply.Events {
			if event.Kv.ModRevision > to {
				return events, nil
			}
			events = append(events, event)
		}
		// A revision may hold several events, and a reply never splits one.
		if len(events) > 0 && events[len(events)-1].Kv.ModRevision == to {
			return events, nil
		}
	}
}
