package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/postgres/cluster"
	"conformance/postgres/replicas"
)

const (
	calm         = 4 * time.Second
	aftermath    = 3 * time.Second
	recoverLimit = 2 * time.Minute
	catchUpLimit = time.Minute
)

// run is one cluster and all that happens to it.
type run struct {
	settings
	version  string
	real     bool
	database *cluster.Cluster
	set      *replicas.Set
	leases   leases
	episode  int
	first    int64
	rows     []row
	tally    tally
	failed   bool
}

func newRun(ctx context.Context, s settings) (*run, error) {
	r := &run{settings: s, leases: leases{all: map[string]*lease{}}}
	var err error
	if r.version, r.real, err = versionOf(s.binary); err != nil {
		return nil, err
	}
	options := replicas.Options{Binary: s.binary, Journal: s.journal, Count: s.replicas, Args: strings.Fields(s.args),
		First: strings.Fields(s.before)}
	if s.disk != "" {
		if options.Dir, err = os.MkdirTemp(s.disk, "replicas-"); err != nil {
			return nil, err
		}
	}
	if s.database || !r.real && s.journal == "" {
		began := time.Now()
		if r.database, err = cluster.Start(ctx, cluster.Options{TempDir: s.disk}); err != nil {
			return nil, fmt.Errorf("PostgreSQL: %w", err)
		}
		fmt.Printf("PostgreSQL: %d nodes are healthy after %.0f s\n", len(r.database.Nodes), time.Since(began).Seconds())
		if !r.real {
			options.Journal = r.database.URL()
		}
	}
	if r.set, err = replicas.Start(options); err != nil {
		r.close()
		return nil, err
	}
	r.first, err = r.revision(ctx)
	if err != nil {
		r.close()
	}
	return r, err
}

// close ends everything; what failed is kept.
func (r *run) close() {
	if r.set != nil {
		if r.failed || r.keep {
			fmt.Printf("data and logs are kept in %s\n", r.set.Halt())
		} else {
			// What is left of a directory in memory is all that can go wrong.
			_ = r.set.Stop()
		}
	}
	if r.database != nil {
		_ = r.database.Stop()
	}
}

func (r *run) tails() string {
	var text strings.Builder
	for _, replica := range r.set.Replicas {
		fmt.Fprintf(&text, "%s (alive: %v) ends with\n%s\n", replica.Name, replica.Alive(), replica.LogTail(5))
	}
	return text.String()
}

// ask does one thing through any replica that answers.
func (r *run) ask(ctx context.Context, what func(context.Context, *grpc.ClientConn) error) error {
	var failures []error
	for _, replica := range r.set.Replicas {
		conn, err := replica.Dial()
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		err = what(limited, conn)
		cancel()
		conn.Close()
		if err == nil {
			return nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", replica.Name, err))
	}
	return errors.Join(failures...)
}

func (r *run) everything(ctx context.Context) (*pb.RangeResponse, error) {
	var reply *pb.RangeResponse
	err := r.ask(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		reply, err = pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		return err
	})
	return reply, err
}

func (r *run) revision(ctx context.Context) (int64, error) {
	reply, err := r.everything(ctx)
	return reply.GetHeader().GetRevision(), err
}

// perform is one episode: load, calm, the strike, recovery, and judgement.
func (r *run) perform(ctx context.Context, f fault) error {
	before, err := r.everything(ctx)
	if err != nil {
		return err
	}
	from := before.Header.Revision
	l, err := r.startLoad(ctx, from)
	if err != nil {
		return err
	}
	defer l.finish()
	struck, times, err := r.strike(ctx, f, l)
	l.end()
	if err != nil {
		return err
	}
	to, err := r.revision(ctx)
	if err != nil {
		return err
	}
	if err := r.awaitWatchers(ctx, l, to); err != nil {
		return err
	}
	l.finish()
	t, err := r.judge(ctx, l, before.Kvs, from, to)
	if err != nil {
		return err
	}
	r.tally.add(t)
	one := l.measure(f, struck, times)
	r.rows = append(r.rows, one)
	fmt.Println(one.line())
	return nil
}

// moments are when an episode's parts began and ended.
type moments struct{ strike, end time.Duration }

// strike does the fault and waits until every replica serves again.
func (r *run) strike(ctx context.Context, f fault, l *load) (*blow, moments, error) {
	if err := r.awaitService(ctx, l, r.set.Replicas); err != nil {
		return nil, moments{}, fmt.Errorf("before the fault: %w", err)
	}
	pause(ctx, calm)
	b := &blow{run: r, load: l}
	at := moments{strike: l.now()}
	if err := f.strike(ctx, b); err != nil {
		return nil, at, err
	}
	if err := r.awaitService(ctx, l, r.set.Others(b.struck)); err != nil {
		return nil, at, fmt.Errorf("while the fault lasts: %w", err)
	}
	pause(ctx, aftermath)
	if b.heal != nil {
		if err := b.heal(ctx); err != nil {
			return nil, at, fmt.Errorf("healing: %w", err)
		}
	}
	if err := r.awaitService(ctx, l, r.set.Replicas); err != nil {
		return nil, at, fmt.Errorf("after the fault: %w", err)
	}
	pause(ctx, aftermath)
	at.end = l.now()
	return b, at, nil
}

// awaitService waits until each of the replicas has answered everything since now.
func (r *run) awaitService(ctx context.Context, l *load, all []*replicas.Replica) error {
	since := l.now()
	began := time.Now()
	for _, replica := range all {
		for _, what := range []string{writing, reading, glancing, watching} {
			for l.last(what, replica.Name) <= since {
				pause(ctx, 5*time.Millisecond)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if time.Since(began) > recoverLimit {
					return fmt.Errorf("no %s through %s in %v", what, replica.Name, recoverLimit)
				}
			}
		}
	}
	return nil
}

// awaitWatchers waits until the watcher of each replica has seen everything.
func (r *run) awaitWatchers(ctx context.Context, l *load, to int64) error {
	deadline := time.Now().Add(catchUpLimit)
	for _, replica := range r.set.Replicas {
		for l.reached(replica.Name) < to {
			if pause(ctx, 5*time.Millisecond); ctx.Err() != nil {
				return ctx.Err()
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("the watcher of %s stays at revision %d of %d", replica.Name, l.reached(replica.Name), to)
			}
		}
	}
	return nil
}

// judge holds an episode against history, and the replicas against one another.
func (r *run) judge(ctx context.Context, l *load, before []*mvccpb.KeyValue, from, to int64) (tally, error) {
	// Leases may end meanwhile: history is asked for up to the revision that was read.
	var events []*mvccpb.Event
	err := r.ask(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		events, err = eventsOf(ctx, conn, from, to)
		return err
	})
	if err != nil {
		return tally{}, err
	}
	h, err := newHistory(from, to, before, events)
	if err != nil {
		return tally{}, err
	}
	l.cutOff(to)
	t, err := h.check(l.record)
	if err != nil {
		return t, err
	}
	failure := filepath.Join(os.TempDir(), fmt.Sprintf("faults-%d-%d.html", r.seed, r.episode))
	if t.searched, err = h.search(l.record, failure); err != nil {
		return t, err
	}
	return t, r.sameHashes(ctx, to)
}

// cutOff forgets what watchers saw of leases that ended after the last request.
func (l *load) cutOff(to int64) {
	for name, seen := range l.watched {
		for len(seen) > 0 && seen[len(seen)-1].event.Kv.ModRevision > to {
			seen = seen[:len(seen)-1]
		}
		l.watched[name] = seen
	}
}

// eventsOf reads all events of the revisions from+1 to to.
func eventsOf(ctx context.Context, conn *grpc.ClientConn, from, to int64) ([]*mvccpb.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var events []*mvccpb.Event
	if from == to {
		return nil, nil
	}
	stream, err := openWatch(ctx, conn, from+1)
	if err != nil {
		return nil, err
	}
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
		// A revision may hold several events, but none of ours does, and a reply never splits one.
		if len(events) > 0 && events[len(events)-1].Kv.ModRevision == to {
			return events, nil
		}
	}
}
