package main

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"conformance/store"
)

// rootPassword is that of the one user who may do everything.
const rootPassword = "the root of it all"

// side is a running server and who asks it.
type side struct {
	server *store.Server
	conn   *grpc.ClientConn
	token  string
	kv     pb.KVClient
	lease  pb.LeaseClient
	watch  pb.WatchClient
	upkeep pb.MaintenanceClient
	auth   pb.AuthClient
}

// open starts a server on what is in dir/data, which may be nothing.
func open(binary, dir string, args ...string) (*side, error) {
	server, err := store.Start(store.Options{Binary: binary, Dir: dir, Args: args,
		StartLimit: 5 * time.Minute})
	if err != nil {
		return nil, err
	}
	conn, err := server.Dial()
	if err != nil {
		server.Kill()
		return nil, err
	}
	return &side{server: server, conn: conn, kv: pb.NewKVClient(conn), lease: pb.NewLeaseClient(conn),
		watch: pb.NewWatchClient(conn), upkeep: pb.NewMaintenanceClient(conn),
		auth: pb.NewAuthClient(conn)}, nil
}

// login makes every later request root's, if the server knows of users.
func (s *side) login() error {
	s.token = ""
	status, err := s.auth.AuthStatus(s.ctx(), &pb.AuthStatusRequest{})
	if err == nil && !status.Enabled {
		return nil
	}
	s.token, err = s.authenticate("root", rootPassword)
	return err
}

func (s *side) authenticate(name, password string) (string, error) {
	reply, err := s.auth.Authenticate(s.ctx(), &pb.AuthenticateRequest{Name: name, Password: password})
	if err != nil {
		return "", fmt.Errorf("login of %s: %w", name, err)
	}
	return reply.Token, nil
}

// ctx is for one request; what has not ended with it will not.
func (s *side) ctx() context.Context { return as(s.token) }

// as is a request's context with somebody's token. The process' end is its limit.
func as(token string) context.Context {
	if token == "" {
		return context.Background()
	}
	return metadata.AppendToOutgoingContext(context.Background(), "token", token)
}

// stop ends the server in order.
func (s *side) stop() error {
	s.conn.Close()
	return s.server.Stop()
}

// kill ends it without.
func (s *side) kill() {
	s.conn.Close()
	s.server.Kill()
}

// bounded gives a context that ends after limit.
func (s *side) bounded(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx(), limit)
}
