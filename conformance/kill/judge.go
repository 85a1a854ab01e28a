package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/store"
)

// judge runs the rounds and knows what must be true after each.
type judge struct {
	settings
	server *store.Server
	conn   *grpc.ClientConn
	random *rand.Rand
	number int
	leases leases
	// state is the store's content as history tells it, at revision.
	state    map[string]*mvccpb.KeyValue
	revision int64
	score    score
	// spoil and forge are the tests' ways to make the server or the clients' memory wrong.
	spoil func()
	forge func(*record)
}

// longRound is which rounds wait for leases to end.
const longRound = 15

// score is what was checked.
type score struct {
	kills, acknowledged, undecided, landed, events, reads, hashes, expired int
}

func (s score) String() string {
	return fmt.Sprintf("%d kills, %d acknowledged writes, %d without an answer (of which %d landed), "+
		"%d watched events, %d reads, %d hashes, %d leases expired", s.kills, s.acknowledged,
		s.undecided, s.landed, s.events, s.reads, s.hashes, s.expired)
}

func newJudge(s settings, server *store.Server) (*judge, error) {
	j := &judge{settings: s, server: server, random: rand.New(rand.NewPCG(s.seed, 0)),
		leases: leases{all: map[string]*lease{}}, state: map[string]*mvccpb.KeyValue{}}
	return j, j.connect()
}

func (j *judge) connect() error {
	if j.conn != nil {
		j.conn.Close()
	}
	conn, err := j.server.Dial()
	j.conn = conn
	if err != nil {
		return err
	}
	reply, err := j.everything(0)
	if err == nil && j.revision == 0 {
		j.revision = reply.Header.Revision
	}
	return err
}

func (j *judge) close() {
	j.conn.Close()
	j.server.Remove()
}

// round loads, kills, restarts and checks, once.
func (j *judge) round() error {
	record := &record{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	traffic := &load{record: record, round: j.number, start: j.revision, judge: j,
		kv: pb.NewKVClient(j.conn), lease: pb.NewLeaseClient(j.conn),
		conn: j.conn, upkeep: pb.NewMaintenanceClient(j.conn)}
	wait := traffic.run(ctx)
	time.Sleep(j.length())
	j.server.Kill()
	cancel()
	wait()
	j.score.kills++
	if j.spoil != nil {
		j.spoil()
	}
	if err := j.restart(); err != nil {
		return err
	}
	if err := j.connect(); err != nil {
		return err
	}
	if j.forge != nil {
		j.forge(record)
	}
	if err := j.check(record); err != nil {
		return err
	}
	j.number++
	return nil
}

// length is how long the load lasts: long enough in some rounds for leases to end under it.
func (j *judge) length() time.Duration {
	length := 50*time.Millisecond + time.Duration(j.random.Int64N(int64(j.load)))
	if j.number%longRound == longRound-1 {
		length += shortTTL + 2*time.Second
	}
	return length
}

// restart starts the server again, in every fifth round only after a kill while it starts.
func (j *judge) restart() error {
	if j.random.IntN(5) == 0 {
		if err := j.server.Launch(); err != nil {
			return err
		}
		time.Sleep(time.Duration(j.random.Int64N(int64(200 * time.Millisecond))))
		j.server.Kill()
		j.score.kills++
	}
	return j.server.Restart()
}

func (j *judge) everything(revision int64) (*pb.RangeResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return pb.NewKVClient(j.conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0},
		Revision: revision})
}

// history reads all events of the revisions from+1 to to.
func (j *judge) history(from, to int64) ([]*mvccpb.Event, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return store.History(ctx, j.conn, from, to)
}

// check holds the round's record against what the restarted server says.
func (j *judge) check(record *record) error {
	now, err := j.everything(0)
	if err != nil {
		return err
	}
	revision := now.Header.Revision
	if revision < record.highest {
		return fmt.Errorf("revision went back: a %s showed %d, now %d", record.highestBy,
			record.highest, revision)
	}
	events, err := j.history(j.revision, revision)
	if err != nil {
		return err
	}
	j.leases.observe(events, record)
	before := j.revision
	checks := []error{
		j.replay(events, revision),
		j.compareState(now),
		j.checkOperations(record, events),
		j.checkWatched(record, events, before),
		j.checkSights(record, events),
		j.checkHashes(record),
		j.checkKept(),
	}
	for _, fault := range record.faults {
		checks = append(checks, errors.New(fault))
	}
	if err := errors.Join(checks...); err != nil {
		return err
	}
	return j.maybeCompact()
}

// maybeCompact compacts in every fourth round, to a revision whose history was checked. Strikes do it themselves.
func (j *judge) maybeCompact() error {
	if j.disk || j.random.IntN(4) != 0 || j.revision < 10 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := pb.NewKVClient(j.conn).Compact(ctx, &pb.CompactionRequest{
		Revision: j.revision - j.random.Int64N(5), Physical: j.random.IntN(2) == 0})
	return err
}
