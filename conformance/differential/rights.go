package main

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// etcd judges a watch when it is created and lets it go on whatever becomes of the rights. A
// server that ends it when they are taken is right too, but only then: so after each change, etcd
// is asked for every open watch anew, and one that it refuses may end.

const probeLimit = 2 * time.Second

// changesRights tells whether a step, if carried out, may have taken somebody's rights.
func changesRights(step Step) bool {
	switch step.Request.(type) {
	case *pb.AuthUserGetRequest, *pb.AuthUserListRequest, *pb.AuthRoleGetRequest,
		*pb.AuthRoleListRequest, *pb.AuthStatusRequest, *pb.AuthenticateRequest:
		return false
	}
	return strings.HasPrefix(step.Method, "/etcdserverpb.Auth/")
}

// probeWatches marks the open watches that etcd would not grant now.
func (p *Pair) probeWatches() {
	for number, stream := range p.want.streams {
		stream.mu.Lock()
		open := make(map[int]*watcher)
		for i, each := range stream.watchers {
			if each.canceled == nil && !each.created.Canceled && each.request != nil && !each.denied {
				open[i] = each
			}
		}
		stream.mu.Unlock()
		for i, each := range open {
			if !p.want.wouldWatch(stream.token, each.request) {
				each.denied = true
				if got := p.got.streams[number]; i < len(got.watchers) {
					got.watchers[i].denied = true
				}
			}
		}
	}
}

// wouldWatch asks for a watch on a stream of its own.
func (s *Side) wouldWatch(token string, request *pb.WatchCreateRequest) bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "token", token)
	}
	stream, err := pb.NewWatchClient(s.doors[0].conn).Watch(ctx)
	if err != nil {
		return false
	}
	create := &pb.WatchCreateRequest{Key: request.Key, RangeEnd: request.RangeEnd}
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})
	if err != nil {
		return false
	}
	reply, err := stream.Recv()
	return err == nil && !reply.Canceled
}

// cutOff takes the watches that only the other side has ended, after etcd refused them anew, out
// of the comparison, and ends them on etcd's side too.
func (p *Pair) cutOff() {
	for number, want := range p.want.streams {
		got := p.got.streams[number]
		want.mu.Lock()
		got.mu.Lock()
		for i := range min(len(want.watchers), len(got.watchers)) {
			a, b := want.watchers[i], got.watchers[i]
			if a.cut || a.canceled != nil || b.canceled == nil || !a.denied {
				continue
			}
			a.cut, b.cut = true, true
			p.explained["a watch ends when its rights are taken; etcd lets it go on"]++
			cancel := &pb.WatchCancelRequest{WatchId: a.created.WatchId}
			// A stream that has failed shows in the comparison.
			_ = want.client.Send(&pb.WatchRequest{
				RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: cancel}})
		}
		got.mu.Unlock()
		want.mu.Unlock()
	}
}
