package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"conformance/store"
)

// side is one server, its clients, and the names by which replies know what it chose itself.
type side struct {
	server *store.Server
	conn   *grpc.ClientConn
	// chosen are the leases the server chose, in the order in which they were seen.
	chosen []int64
	// kept are replies that later steps need.
	leader *v3electionpb.LeaderKey
	key    []byte
	// masked hides the cluster's id, which on a journal follows from its token alone.
	masked bool
	// waiting are calls under way.
	waiting map[string]*call
}

// call is one that goes on while others are made.
type call struct {
	cancel context.CancelFunc
	answer chan answer
}

type answer struct {
	reply proto.Message
	err   error
}

const (
	stepLimit = 10 * time.Second
	// noAnswer is a fault of the side that gives it, even if the other gives it too.
	noAnswer = "no answer"
)

func (s *side) connect() error {
	conn, err := s.server.Dial()
	s.conn = conn
	s.waiting = map[string]*call{}
	return err
}

func (s *side) close() {
	for _, call := range s.waiting {
		call.cancel()
	}
	s.conn.Close()
	s.server.Remove()
}

func (s *side) restart() error {
	s.conn.Close()
	if err := s.server.Stop(); err != nil {
		return err
	}
	if err := s.server.Restart(); err != nil {
		return err
	}
	return s.connect()
}

func (s *side) kv() pb.KVClient                   { return pb.NewKVClient(s.conn) }
func (s *side) leases() pb.LeaseClient            { return pb.NewLeaseClient(s.conn) }
func (s *side) cluster() pb.ClusterClient         { return pb.NewClusterClient(s.conn) }
func (s *side) maintenance() pb.MaintenanceClient { return pb.NewMaintenanceClient(s.conn) }
func (s *side) locks() v3lockpb.LockClient        { return v3lockpb.NewLockClient(s.conn) }
func (s *side) elections() v3electionpb.ElectionClient {
	return v3electionpb.NewElectionClient(s.conn)
}

// start begins a call that may wait; finish takes its answer.
func (s *side) start(name string, ask func(context.Context) (proto.Message, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	call := &call{cancel: cancel, answer: make(chan answer, 1)}
	s.waiting[name] = call
	go func() {
		reply, err := ask(ctx)
		call.answer <- answer{reply, err}
	}()
}

func (s *side) finish(name string) string {
	call := s.waiting[name]
	delete(s.waiting, name)
	select {
	case answer := <-call.answer:
		return s.said(answer.reply, answer.err)
	case <-time.After(stepLimit):
		return noAnswer
	}
}

// idle says that a call still waits.
func (s *side) idle(name string) string {
	select {
	case answer := <-s.waiting[name].answer:
		return "answered: " + s.said(answer.reply, answer.err)
	case <-time.After(200 * time.Millisecond):
		return "waits"
	}
}

// said is a reply or an error as text, with what each server is free to choose named alike.
func (s *side) said(reply proto.Message, err error) string {
	if err != nil {
		status := status.Convert(err)
		return fmt.Sprintf("%s %q", status.Code(), status.Message())
	}
	text := protojson.Format(reply)
	text = regexp.MustCompile(`"raftTerm": *"\d+"`).ReplaceAllString(text, `"raftTerm": "T"`)
	if s.masked {
		text = regexp.MustCompile(`"clusterId": *"\d+"`).ReplaceAllString(text, `"clusterId": "C"`)
	}
	text = strings.Join(strings.Fields(text), " ")
	return s.named(text)
}

// named puts L1, L2, … for the leases that the server chose, in numbers and in base64 keys.
func (s *side) named(text string) string {
	text = decoded(text)
	for i, lease := range s.chosen {
		name := fmt.Sprintf("L%d", i+1)
		text = strings.ReplaceAll(text, strconv.FormatInt(lease, 16), name)
		text = strings.ReplaceAll(text, strconv.FormatInt(lease, 10), name)
	}
	// Of those that nobody has named, only that they are there.
	return otherLease.ReplaceAllString(text, `"lease": "L?"`)
}

var otherLease = regexp.MustCompile(`"lease": "\d{15,}"`)

// choose remembers the lease at the end of a key NAME/LEASE.
func (s *side) choose(key []byte) {
	text := string(key)
	lease, err := strconv.ParseInt(text[strings.LastIndex(text, "/")+1:], 16, 64)
	if err == nil {
		s.chosen = append(s.chosen, lease)
	}
}
