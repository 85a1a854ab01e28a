package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"conformance/store"
)

// Outcome is all that a client learns from one request.
type Outcome struct {
	Code  codes.Code
	Text  string
	Reply proto.Message
	// HTTP is the gateway's status, content type and the shape of its errors.
	HTTP string
	// Broken names rules that this side broke by itself, whatever the other side said.
	Broken []string
}

// Side is one of the two servers, with the client's connections to it.
type Side struct {
	Name string
	// doors are its servers: one, or the replicas of one store.
	doors   []*door
	streams map[int]*watchStream
	// aliases are ids of this side and what stands for them.
	aliases map[uint64]uint64
	// tokens are what this side gave to each caller.
	tokens map[int]string
	// tamper and tamperWatch are the tests' way to make this side wrong.
	tamper      func(Step, *Outcome)
	tamperWatch func(*pb.WatchResponse) *pb.WatchResponse
}

const requestLimit = 30 * time.Second

// startSide starts a fresh server and connects to it.
func startSide(name string, options store.Options) (*Side, error) {
	server, err := store.Start(options)
	if err != nil {
		return nil, err
	}
	first, err := openDoor(server)
	if err != nil {
		return nil, err
	}
	return &Side{Name: name, doors: []*door{first}, streams: map[int]*watchStream{},
		tokens: newTokens()}, nil
}

// close ends the connections and removes the servers.
func (s *Side) close() {
	for _, stream := range s.streams {
		stream.cancel()
	}
	for _, each := range s.doors {
		each.conn.Close()
		each.server.Remove()
	}
}

// ask sends one step, which is not a Watch, and waits for the whole answer.
func (s *Side) ask(step Step) Outcome {
	limit := requestLimit
	if step.Limit > 0 {
		limit = time.Duration(step.Limit) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(s.as(context.Background(), step), limit)
	defer cancel()
	if len(s.doors) > 1 && local(step) {
		if err := s.at(step).catchUp(); err != nil {
			return Outcome{Broken: []string{"the replica does not catch up: " + err.Error()}}
		}
	}
	var outcome Outcome
	switch {
	case strings.HasPrefix(step.Method, httpMethod):
		outcome = s.askRawHTTP(ctx, step)
	case step.Request == nil:
		outcome = s.askRaw(ctx, step)
	case step.Gateway > 0:
		outcome = s.askGateway(ctx, step)
	case step.Method == streamMethod:
		outcome = s.askRangeStream(ctx, step)
	case step.Method == observeMethod:
		outcome = s.askObserve(ctx, step)
	case step.Method == keepAliveMethod && step.As > 0:
		outcome = s.askKeepAliveAs(ctx, step)
	case step.Method == keepAliveMethod:
		outcome = s.at(step).askKeepAlive(step.Request.(*pb.LeaseKeepAliveRequest))
	default:
		outcome = s.askUnary(ctx, step)
	}
	s.revokeChosen(ctx, step, &outcome)
	s.asOne(outcome.Reply)
	s.learnToken(step, outcome)
	if s.tamper != nil {
		s.tamper(step, &outcome)
	}
	return outcome
}

// as puts into the metadata what a step says of its caller.
func (s *Side) as(ctx context.Context, step Step) context.Context {
	if step.HasLeader {
		ctx = metadata.AppendToOutgoingContext(ctx, "hasleader", "true")
	}
	if token := s.tokens[step.As]; token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "token", token)
	}
	return ctx
}

// askKeepAliveAs sends on a stream of its own, since a stream keeps its caller's token.
func (s *Side) askKeepAliveAs(ctx context.Context, step Step) Outcome {
	stream, err := pb.NewLeaseClient(s.at(step).conn).LeaseKeepAlive(ctx)
	if err != nil {
		return outcomeOf(nil, err)
	}
	if err := stream.Send(step.Request.(*pb.LeaseKeepAliveRequest)); err != nil && !errors.Is(err, io.EOF) {
		return outcomeOf(nil, err)
	}
	reply, err := stream.Recv()
	return outcomeOf(reply, err)
}

func (s *Side) askUnary(ctx context.Context, step Step) Outcome {
	_, reply, err := messages(step.Method)
	if err != nil {
		return Outcome{Code: codes.Unknown, Text: "harness: " + err.Error()}
	}
	err = s.at(step).conn.Invoke(ctx, step.Method, step.body(), reply)
	return outcomeOf(reply, err)
}

// revokeChosen ends a lease whose id the server chose: since the two sides' ids differ, none may
// stay in the state.
func (s *Side) revokeChosen(ctx context.Context, step Step, outcome *Outcome) {
	grant, ok := step.Request.(*pb.LeaseGrantRequest)
	reply, replied := outcome.Reply.(*pb.LeaseGrantResponse)
	if !ok || !replied || grant.ID != 0 || outcome.Code != codes.OK {
		return
	}
	revoke := &pb.LeaseRevokeRequest{ID: reply.ID}
	if _, err := pb.NewLeaseClient(s.at(step).conn).LeaseRevoke(ctx, revoke); err != nil {
		outcome.Broken = append(outcome.Broken, "the granted id cannot be revoked: "+err.Error())
	}
}

// askRangeStream merges the chunks, which is what the protocol promises to equal Range's reply.
func (s *Side) askRangeStream(ctx context.Context, step Step) Outcome {
	stream, err := pb.NewKVClient(s.at(step).conn).RangeStream(ctx, step.Request.(*pb.RangeRequest))
	if err != nil {
		return outcomeOf(nil, err)
	}
	merged := &pb.RangeResponse{}
	var broken []string
	last := false
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			outcome := outcomeOf(nil, err)
			outcome.Broken = broken
			return outcome
		}
		part := chunk.GetRangeResponse()
		if last {
			broken = append(broken, "a chunk follows the one with the header")
		}
		last = part.GetHeader() != nil
		if !last && (part.GetMore() || part.GetCount() != 0) {
			broken = append(broken, "more or count before the last chunk")
		}
		proto.Merge(merged, part)
	}
	if !last {
		broken = append(broken, "the last chunk has no header")
	}
	return Outcome{Reply: merged, Broken: broken}
}

// askKeepAlive sends on one long-lived stream, as clients do, and opens it anew after an error.
func (d *door) askKeepAlive(request *pb.LeaseKeepAliveRequest) Outcome {
	if d.alive == nil {
		stream, err := pb.NewLeaseClient(d.conn).LeaseKeepAlive(context.Background())
		if err != nil {
			return outcomeOf(nil, err)
		}
		d.alive = stream
	}
	if err := d.alive.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return outcomeOf(nil, err)
	}
	type answer struct {
		reply *pb.LeaseKeepAliveResponse
		err   error
	}
	answers := make(chan answer, 1)
	stream := d.alive
	go func() {
		reply, err := stream.Recv()
		answers <- answer{reply, err}
	}()
	select {
	case got := <-answers:
		if got.err != nil {
			d.alive = nil
			return outcomeOf(nil, got.err)
		}
		return Outcome{Reply: got.reply}
	case <-time.After(requestLimit):
		d.alive = nil
		return Outcome{Code: codes.DeadlineExceeded, Text: "harness: no keep-alive reply"}
	}
}

func (s *Side) askRaw(ctx context.Context, step Step) Outcome {
	var reply []byte
	err := s.at(step).conn.Invoke(ctx, step.Method, step.Raw, &reply, grpc.ForceCodec(rawCodec{}))
	outcome := outcomeOf(nil, err)
	_, message, found := messages(step.Method)
	if err == nil && found == nil {
		if err := proto.Unmarshal(reply, message); err != nil {
			outcome.Broken = append(outcome.Broken, "the reply does not parse: "+err.Error())
		}
		outcome.Reply = message
	}
	return outcome
}

func outcomeOf(reply proto.Message, err error) Outcome {
	if err == nil {
		return Outcome{Reply: reply}
	}
	return Outcome{Code: status.Code(err), Text: status.Convert(err).Message()}
}

// rawCodec passes bytes through, so that malformed bodies can be sent.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(value any) ([]byte, error) {
	bytes, ok := value.([]byte)
	if !ok {
		return nil, fmt.Errorf("raw codec: not bytes but %T", value)
	}
	return bytes, nil
}

func (rawCodec) Unmarshal(data []byte, value any) error {
	target, ok := value.(*[]byte)
	if !ok {
		return fmt.Errorf("raw codec: not *[]byte but %T", value)
	}
	*target = append([]byte(nil), data...)
	return nil
}
