package main

import (
	"cmp"
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

	"conformance/cosmos/service"
	"conformance/postgres/clock"
	"conformance/postgres/cluster"
	"conformance/postgres/disk"
	"conformance/postgres/replicas"
	"conformance/store"
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
	version string
	real    bool
	// database and azure are what the journal is in, if it is ours to strike: one of them, or none.
	database *cluster.Cluster
	azure    *service.Service
	set      *replicas.Set
	leases   leases
	episode  int
	first    int64
	rows     []row
	tally    tally
	failed   bool
	// owned tells that mounts and the network are this program's own.
	owned bool
	// clock is the library that sets a replica's clock off; empty if it cannot be made.
	clock        string
	passwordFile string
	passwords    int
	compactions  compactions
	// drawn is what became of each fault that was drawn, and losses what judgement found meanwhile.
	drawn  []*drawn
	losses []error
	// ended are replicas that ended though nobody struck them.
	ended []string
}

const (
	// A replica's disk has room for some checkpoints of what the load makes, a database's for its log and a base backup.
	replicaDisk  = 256 << 20
	databaseDisk = 1536 << 20
)

func newRun(ctx context.Context, s settings) (*run, error) {
	r := &run{settings: s, leases: leases{all: map[string]*lease{}}, owned: s.equipped() && disk.Own() == nil}
	var err error
	if r.version, r.real, err = versionOf(s.binary); err != nil {
		return nil, err
	}
	options := replicas.Options{Binary: s.binary, Journal: s.journal, Count: s.replicas, Args: strings.Fields(s.args),
		First: strings.Fields(s.before)}
	if options.Dir, err = os.MkdirTemp(cmp.Or(s.disk, store.TempDir()), "replicas-"); err != nil {
		return nil, err
	}
	if err := r.equip(&options); err != nil {
		return nil, err
	}
	switch {
	case s.cosmos != "":
		err = r.bringUpAzure(ctx, &options)
	case s.database || !r.real && s.journal == "":
		err = r.bringUp(ctx, &options)
	}
	if err != nil {
		r.close()
		return nil, err
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

// equip gives the replicas what can be taken from them: ways, disks, clocks.
func (r *run) equip(options *replicas.Options) error {
	if !r.equipped() || r.real {
		return nil
	}
	options.Ways = true
	if r.owned {
		options.Disk = replicaDisk
	}
	var err error
	if r.clock, err = clock.Build(options.Dir); err != nil {
		fmt.Printf("clocks stay as they are: %v\n", err)
	}
	options.Clock = r.clock
	r.passwordFile = filepath.Join(options.Dir, "password")
	return cluster.WritePassword(r.passwordFile, firstPassword)
}

const firstPassword = "secret 0"

// bringUp starts PostgreSQL.
func (r *run) bringUp(ctx context.Context, options *replicas.Options) (err error) {
	began := time.Now()
	database := cluster.Options{TempDir: r.disk}
	if options.Ways {
		database.Password = firstPassword
	}
	if options.Disk != 0 {
		database.Disk = databaseDisk
		database.Settings = map[string]string{"max_wal_size": "256MB", "wal_keep_size": "256MB"}
	}
	if r.database, err = cluster.Start(ctx, database); err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	fmt.Printf("PostgreSQL: %d nodes are healthy after %.0f s\n", len(r.database.Nodes), time.Since(began).Seconds())
	switch {
	case r.real:
	case options.Ways:
		options.Journal = r.database.JournalURL(r.passwordFile)
	default:
		options.Journal = r.database.URL()
	}
	return nil
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
	if r.azure != nil {
		r.azure.Stop()
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
	var struck *blow
	var times moments
	l, err := r.underLoad(ctx, func(l *load) (err error) {
		struck, times, err = r.strike(ctx, f, l)
		return err
	})
	if err != nil {
		return err
	}
	one := l.measure(f, struck, times)
	r.rows = append(r.rows, one)
	fmt.Println(one.line())
	return nil
}

// found is what judgement has to say; the cluster itself goes on.
type found struct{ error }

// underLoad has load on every replica while something happens, and judges it all.
func (r *run) underLoad(ctx context.Context, happen func(*load) error) (*load, error) {
	before, err := r.everything(ctx)
	if err != nil {
		return nil, err
	}
	from := before.Header.Revision
	l, err := r.startLoad(ctx, from)
	if err != nil {
		return nil, err
	}
	defer l.finish()
	err = happen(l)
	l.end()
	if err != nil {
		return nil, err
	}
	to, err := r.revision(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.awaitWatchers(ctx, l, to); err != nil {
		return l, found{err}
	}
	l.finish()
	t, err := r.judge(ctx, l, before.Kvs, from, to)
	r.tally.add(t)
	r.tally.compactions = r.compactions.count
	if err != nil {
		return l, found{err}
	}
	return l, nil
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
	if err := r.awaitService(ctx, l, r.set.Others(b.struck...)); err != nil {
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
		events, err = store.History(ctx, conn, from, to)
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
	searched, decided, err := h.search(l.record, failure)
	if err != nil {
		return t, err
	}
	if t.searched = searched; !decided {
		t.unsearched++
	}
	compacted, err := r.sameHashes(ctx, to)
	if err != nil {
		return t, err
	}
	return t, r.checkCompactions(ctx, compacted)
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
