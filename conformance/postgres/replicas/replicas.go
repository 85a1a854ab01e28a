// Package replicas runs several members of one cluster on loopback: replicas of Meridian on a journal, or members of
// a real etcd, by which those who judge replicas are judged themselves. Each member's peer address is that of a proxy
// which can be cut, so that one is alive, has its journal, and cannot be reached by the others; on demand there are more
// of them, and disks and clocks of their own.
package replicas

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/postgres/clock"
	"conformance/postgres/disk"
	"conformance/store"
)

// Options say what is run.
type Options struct {
	// Binary is meridian's or etcd's.
	Binary string
	// Journal is Meridian's --journal; without it the members are asked to find their own consensus, as etcd's do.
	Journal string
	// Journals are those of the members in their order, if each has an address of its own.
	Journals []string
	// Token is the cluster's.
	Token string
	// Count is how many; three if zero.
	Count int
	// Dir holds everything; a new directory under store.TempDir if empty.
	Dir string
	// Args are added to every member's.
	Args []string
	// First are added to every member's until it becomes another program.
	First []string
	// Patience is how long a start may take; 60 s if zero.
	Patience time.Duration
	// Ways lays proxies before what clients connect to, and between each member and the journal.
	Ways bool
	// Clock is the library that sets a member's wall clock off.
	Clock string
	// Disk is the size of each member's data directory, a file system of its own; part of a larger one if zero.
	Disk int64
}

// Set is the members of one cluster.
type Set struct {
	Replicas []*Replica
	options  Options
}

// Replica is one member.
type Replica struct {
	*store.Server
	Name string
	set  *Set
	ways ways
}

// Start runs all members at once and waits until each answers a linearizable read.
func Start(options Options) (*Set, error) {
	if options.Count == 0 {
		options.Count = 3
	}
	if options.Patience == 0 {
		options.Patience = time.Minute
	}
	if options.Token == "" {
		options.Token = "conformance"
	}
	if options.Dir == "" {
		dir, err := os.MkdirTemp(store.TempDir(), "replicas-")
		if err != nil {
			return nil, err
		}
		options.Dir = dir
	}
	s := &Set{options: options}
	if err := s.prepare(); err != nil {
		s.Stop()
		return nil, err
	}
	if err := s.each((*Replica).Restart); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Set) prepare() error {
	var members, journals []string
	for i := range s.options.Count {
		r, err := s.make(fmt.Sprintf("m%d", i+1))
		if err != nil {
			return err
		}
		s.Replicas = append(s.Replicas, r)
		journal, err := r.lay()
		if err != nil {
			return err
		}
		members = append(members, r.Name+"="+r.peerURL())
		journals = append(journals, journal)
	}
	for i, r := range s.Replicas {
		r.Add("--name="+r.Name, "--initial-advertise-peer-urls="+r.peerURL(),
			"--initial-cluster="+strings.Join(members, ","), "--initial-cluster-token="+s.options.Token,
			"--initial-cluster-state=new")
		if i < len(s.options.Journals) {
			journals[i] = s.options.Journals[i]
		}
		if journals[i] != "" {
			r.Add("--journal=" + journals[i])
		}
		r.Add(s.options.Args...)
		r.Become(s.options.Binary, s.options.First...)
	}
	return nil
}

// make chooses a member's ports and makes its directory.
func (s *Set) make(name string) (*Replica, error) {
	dir := filepath.Join(s.options.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	r := &Replica{Name: name, set: s}
	options := store.Options{Binary: s.options.Binary, Dir: dir, StartLimit: s.options.Patience}
	if s.options.Clock != "" {
		options.Env = clock.Environment(s.options.Clock, filepath.Join(dir, clockName))
	}
	var err error
	if r.Server, err = store.New(options); err != nil {
		return nil, err
	}
	if s.options.Clock != "" {
		if err := r.Skew(0); err != nil {
			return nil, err
		}
	}
	if s.options.Disk != 0 {
		return r, disk.Mount(r.Data(), s.options.Disk)
	}
	return r, nil
}

// Data is the member's data directory.
func (r *Replica) Data() string { return filepath.Join(r.Dir, "data") }

func (r *Replica) peerURL() string { return "http://" + r.ways.peers.Address() }

// each does the same to all members at once.
func (s *Set) each(do func(*Replica) error) error {
	failures := make([]error, len(s.Replicas))
	var done sync.WaitGroup
	for i, r := range s.Replicas {
		done.Go(func() {
			if err := do(r); err != nil {
				failures[i] = fmt.Errorf("%s: %w", r.Name, err)
			}
		})
	}
	done.Wait()
	return errors.Join(failures...)
}

// Stop kills all members and deletes their directory.
func (s *Set) Stop() error {
	s.halt()
	if s.options.Disk != 0 {
		for _, r := range s.Replicas {
			if err := disk.Unmount(r.Data()); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(s.options.Dir)
}

// Halt kills all members and keeps their directory, whose path it returns.
func (s *Set) Halt() string {
	s.halt()
	return s.options.Dir
}

func (s *Set) halt() {
	for _, r := range s.Replicas {
		r.Kill()
		for _, way := range r.ways.all() {
			way.Close()
		}
	}
}

// Endpoints are host:port of all members' client listeners.
func (s *Set) Endpoints() []string {
	var all []string
	for _, r := range s.Replicas {
		all = append(all, r.Endpoint)
	}
	return all
}

// Status asks the member itself.
func (r *Replica) Status(ctx context.Context) (*pb.StatusResponse, error) {
	conn, err := r.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
}

// Writer is the member that the newest term's Status calls leader; it is waited for.
func (s *Set) Writer(ctx context.Context) (*Replica, error) {
	for {
		if r := s.writerNow(ctx); r != nil {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("nobody leads: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Set) writerNow(ctx context.Context) *Replica {
	members := map[uint64]*Replica{}
	var leader, term uint64
	for _, r := range s.Replicas {
		if !r.Alive() {
			continue
		}
		status, err := r.Status(ctx)
		if err != nil {
			continue
		}
		members[status.Header.MemberId] = r
		if status.Leader != 0 && status.RaftTerm >= term {
			leader, term = status.Leader, status.RaftTerm
		}
	}
	return members[leader]
}

// Others are all members but the given ones.
func (s *Set) Others(than ...*Replica) []*Replica {
	return slices.DeleteFunc(slices.Clone(s.Replicas), func(r *Replica) bool { return slices.Contains(than, r) })
}

// HandOver asks the writer to let another one lead.
func (s *Set) HandOver(ctx context.Context, from, to *Replica) error {
	target, err := to.Status(ctx)
	if err != nil {
		return err
	}
	conn, err := from.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = pb.NewMaintenanceClient(conn).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: target.Header.MemberId})
	return err
}

// Pause stops the process where it stands, with its connections open.
func (r *Replica) Pause() error { return r.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (r *Replica) Resume() error { return r.Signal(syscall.SIGCONT) }

// Empty deletes what a killed member kept. Members of an etcd vote by what they keep, so an emptied one has to be
// taken out and added again; a replica on a journal just reads it.
func (r *Replica) Empty(ctx context.Context) error {
	if r.set.options.Journal == "" && len(r.set.options.Journals) == 0 {
		if err := r.readmit(ctx); err != nil {
			return err
		}
		r.Add("--initial-cluster-state=existing")
	}
	// The directory itself may be a file system of its own.
	inside, err := os.ReadDir(r.Data())
	for _, each := range inside {
		err = errors.Join(err, os.RemoveAll(filepath.Join(r.Data(), each.Name())))
	}
	return err
}

func (r *Replica) readmit(ctx context.Context) error {
	conn, err := r.set.Others(r)[0].Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	members := pb.NewClusterClient(conn)
	list, err := members.MemberList(ctx, &pb.MemberListRequest{})
	if err != nil {
		return err
	}
	for _, member := range list.Members {
		if member.Name == r.Name {
			if _, err := members.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: member.ID}); err != nil {
				return err
			}
		}
	}
	_, err = members.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{r.peerURL()}})
	return err
}
