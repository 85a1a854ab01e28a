package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

const (
	rounds         = 5
	contentionTime = 2 * time.Minute
)

// contender takes its turn: it returns the key it holds and what gives it up.
type contender func(ctx context.Context) (key string, release func() error, err error)

// arena sees that one holds at a time and that turns are taken in the order of create revisions.
type arena struct {
	client *clientv3.Client
	inside atomic.Int32
	mutex  sync.Mutex
	turns  []int64
	faults []string
}

func (a *arena) fault(format string, args ...any) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

// turn is one time of holding.
func (a *arena) turn(ctx context.Context, contend contender) error {
	key, release, err := contend(ctx)
	if err != nil {
		return err
	}
	if others := a.inside.Add(1); others != 1 {
		a.fault("%d hold at once", others)
	}
	found, err := a.client.Get(ctx, key)
	if err != nil {
		return err
	}
	if len(found.Kvs) != 1 {
		a.fault("the key %q of a holder is not there", key)
	} else {
		a.mutex.Lock()
		a.turns = append(a.turns, found.Kvs[0].CreateRevision)
		a.mutex.Unlock()
	}
	a.inside.Add(-1)
	return release()
}

// judge says what went wrong: in the order of turns, and in what was left behind.
func (a *arena) judge(prefix string, want int) []string {
	for i := 1; i < len(a.turns); i++ {
		if a.turns[i] <= a.turns[i-1] {
			a.fault("revision %d had its turn after %d", a.turns[i], a.turns[i-1])
		}
	}
	if len(a.turns) != want {
		a.fault("%d turns were taken, not %d", len(a.turns), want)
	}
	left, err := a.client.Get(context.Background(), prefix, clientv3.WithPrefix())
	if err != nil || left.Count != 0 {
		a.fault("%v keys are left, %v", left, err)
	}
	return a.faults
}

// contend has locks and elections contended for, by the services, by the official client, by both.
func contend(binary string, contenders int, args ...string) (int, error) {
	side, err := open(binary, args...)
	if err != nil {
		return 0, err
	}
	defer side.close()
	failed := 0
	for _, contest := range []struct {
		name string
		kind []func(*entrant, int) (contender, error)
	}{
		{"locks by the service", []func(*entrant, int) (contender, error){serviceLock}},
		{"locks by service and client", []func(*entrant, int) (contender, error){serviceLock, clientLock}},
		{"elections by the service", []func(*entrant, int) (contender, error){serviceElection}},
		{"elections by service and client", []func(*entrant, int) (contender, error){serviceElection, clientElection}},
	} {
		faults, took, err := contestOf(side, contest.name, contest.kind, contenders)
		if err != nil {
			return failed, fmt.Errorf("%s, %s: %w", filepath.Base(binary), contest.name, err)
		}
		for _, fault := range faults {
			fmt.Fprintf(os.Stderr, "WRONG %s, %s: %s\n", filepath.Base(binary), contest.name, fault)
		}
		failed += len(faults)
		fmt.Printf("%s: %s: %d turns of %d in %v\n", filepath.Base(binary), contest.name,
			contenders*rounds, contenders, took.Round(time.Millisecond))
	}
	return failed, nil
}

// entrant is one contender's own connection, lease and name.
type entrant struct {
	*side
	client *clientv3.Client
	lease  int64
	name   string
}

func contestOf(s *side, name string, kinds []func(*entrant, int) (contender, error),
	contenders int) ([]string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), contentionTime)
	defer cancel()
	judge, err := dial(s)
	if err != nil {
		return nil, 0, err
	}
	defer judge.Close()
	arena := &arena{client: judge}
	errs := make(chan error, contenders)
	began := time.Now()
	for i := range contenders {
		go func() { errs <- contest(ctx, s, arena, name, kinds[i%len(kinds)], i) }()
	}
	for range contenders {
		if err := <-errs; err != nil {
			return nil, 0, err
		}
	}
	return arena.judge(name+"/", contenders*rounds), time.Since(began), nil
}

// contest is one contender's part, over a connection of its own.
func contest(ctx context.Context, s *side, arena *arena, name string,
	kind func(*entrant, int) (contender, error), number int) error {
	client, err := dial(s)
	if err != nil {
		return err
	}
	defer client.Close()
	granted, err := client.Grant(ctx, 600)
	if err != nil {
		return err
	}
	own := &entrant{side: s, client: client, lease: int64(granted.ID), name: name}
	contend, err := kind(own, number)
	if err != nil {
		return err
	}
	for range rounds {
		if err := arena.turn(ctx, contend); err != nil {
			return err
		}
	}
	return nil
}

func dial(s *side) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{s.server.Endpoint},
		DialTimeout: 5 * time.Second})
}

func serviceLock(s *entrant, _ int) (contender, error) {
	locks := v3lockpb.NewLockClient(s.client.ActiveConnection())
	return func(ctx context.Context) (string, func() error, error) {
		reply, err := locks.Lock(ctx, &v3lockpb.LockRequest{Name: []byte(s.name), Lease: s.lease})
		if err != nil {
			return "", nil, err
		}
		return string(reply.Key), func() error {
			_, err := locks.Unlock(ctx, &v3lockpb.UnlockRequest{Key: reply.Key})
			return err
		}, nil
	}, nil
}

func session(s *entrant) (*concurrency.Session, error) {
	return concurrency.NewSession(s.client, concurrency.WithLease(clientv3.LeaseID(s.lease)))
}

func clientLock(s *entrant, _ int) (contender, error) {
	session, err := session(s)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, func() error, error) {
		mutex := concurrency.NewMutex(session, s.name)
		err := mutex.Lock(ctx)
		return mutex.Key(), func() error { return mutex.Unlock(ctx) }, err
	}, nil
}

func serviceElection(s *entrant, number int) (contender, error) {
	elections := v3electionpb.NewElectionClient(s.client.ActiveConnection())
	return func(ctx context.Context) (string, func() error, error) {
		reply, err := elections.Campaign(ctx, &v3electionpb.CampaignRequest{
			Name: []byte(s.name), Lease: s.lease, Value: fmt.Append(nil, number)})
		if err != nil {
			return "", nil, err
		}
		if err := leads(ctx, elections, s.name, reply.Leader.Key); err != nil {
			return "", nil, err
		}
		return string(reply.Leader.Key), func() error {
			_, err := elections.Resign(ctx, &v3electionpb.ResignRequest{Leader: reply.Leader})
			return err
		}, nil
	}, nil
}

// leads sees that the service names the holder of a key as leader.
func leads(ctx context.Context, elections v3electionpb.ElectionClient, name string, key []byte) error {
	found, err := elections.Leader(ctx, &v3electionpb.LeaderRequest{Name: []byte(name)})
	if err != nil {
		return err
	}
	if string(found.Kv.Key) != string(key) {
		return fmt.Errorf("%q leads, not %q, which was told so", found.Kv.Key, key)
	}
	return nil
}

func clientElection(s *entrant, number int) (contender, error) {
	session, err := session(s)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, func() error, error) {
		election := concurrency.NewElection(session, s.name)
		err := election.Campaign(ctx, fmt.Sprint(number))
		return election.Key(), func() error { return election.Resign(ctx) }, err
	}, nil
}
