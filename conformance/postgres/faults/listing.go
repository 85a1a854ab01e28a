package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	pageKeys     = 30
	pageSize     = 7
	listPause    = 150 * time.Millisecond
	compactPause = 5 * time.Second
)

// everywhere is a connection to each replica, for one client that asks all in turn.
func (c *client) everywhere() (all []pb.KVClient, end func()) {
	var conns []*grpc.ClientConn
	end = func() {
		for _, conn := range conns {
			conn.Close()
		}
	}
	for _, replica := range c.run.set.Replicas {
		conn, err := dial(replica.ForClients())
		if err != nil {
			c.fault("%v", err)
			return all, end
		}
		conns = append(conns, conn)
		all = append(all, pb.NewKVClient(conn))
	}
	return all, end
}

// list changes a key now and then and lists all, page by page, each through another replica, at the revision of the first.
func list(ctx context.Context, c *client) {
	all, end := c.everywhere()
	defer end()
	for turn := 0; ctx.Err() == nil; turn++ {
		c.kv = all[turn%len(all)]
		c.through = c.run.set.Replicas[turn%len(all)].Name
		key := fmt.Sprintf("page/%02d", c.random.IntN(pageKeys))
		if c.random.IntN(4) == 0 {
			c.remove(ctx, key)
		} else {
			c.put(ctx, c.operation(put, key))
		}
		c.list(ctx, all, turn)
		pause(ctx, listPause)
	}
}

func (c *client) list(ctx context.Context, all []pb.KVClient, turn int) {
	o := c.operation(listing, "")
	c.begin(o)
	request := &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Limit: pageSize}
	for ; ; turn++ {
		limited, cancel := limited()
		reply, err := all[turn%len(all)].Range(limited, request)
		cancel()
		if err != nil {
			c.undecided(ctx, err)
			return
		}
		if request.Revision == 0 {
			request.Revision, o.counted = reply.Header.Revision, reply.Count
		}
		o.listed = append(o.listed, reply.Kvs...)
		if !reply.More || len(reply.Kvs) == 0 {
			break
		}
		request.Key = append(bytes.Clone(reply.Kvs[len(reply.Kvs)-1].Key), 0)
	}
	c.answered(o, false, request.Revision, nil)
}

// checkList compares joined pages with all that history has at their revision.
func (h *history) checkList(o *operation) error {
	var want []*mvccpb.KeyValue
	for key := range h.versions {
		if kv := h.at(key, o.revision); kv != nil {
			want = append(want, kv)
		}
	}
	slices.SortFunc(want, func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
	if len(want) != len(o.listed) || o.counted != int64(len(want)) {
		return fmt.Errorf("the pages at revision %d have %d keys and count %d, history has %d: %v", o.revision, len(o.listed),
			o.counted, len(want), o)
	}
	for i := range want {
		if !proto.Equal(want[i], o.listed[i]) {
			return fmt.Errorf("the pages at revision %d have {%v}, history has {%v}", o.revision, o.listed[i], want[i])
		}
	}
	return nil
}

// compactions are what the run has asked for and was told of.
type compactions struct {
	mu sync.Mutex
	// asked is the newest that was sent, done the newest that was acknowledged.
	asked, done int64
	// compacted is what the replicas said after the last episode.
	compacted int64
	count     int
}

// compact asks now and then, through any replica, to forget what is older than a revision before this episode: its own
// history is still to be judged.
func compact(ctx context.Context, c *client) {
	all, end := c.everywhere()
	defer end()
	s := &c.run.compactions
	for turn := 0; ctx.Err() == nil; turn++ {
		s.mu.Lock()
		least := max(s.asked, 1)
		s.mu.Unlock()
		if c.from > least {
			c.compact(ctx, all[turn%len(all)], least+1+c.random.Int64N(c.from-least))
		}
		pause(ctx, compactPause)
	}
}

func (c *client) compact(ctx context.Context, kv pb.KVClient, revision int64) {
	s := &c.run.compactions
	s.mu.Lock()
	s.asked = revision
	s.mu.Unlock()
	limited, cancel := limited()
	defer cancel()
	_, err := kv.Compact(limited, &pb.CompactionRequest{Revision: revision, Physical: c.random.IntN(2) == 0})
	if err != nil {
		c.undecided(ctx, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = revision
	s.count++
}

// check holds what the replicas have compacted against what was asked for.
func (s *compactions) check(compacted int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case compacted < s.done:
		return fmt.Errorf("compaction at %d was acknowledged and is LOST: the replicas are at %d", s.done, compacted)
	case compacted > s.asked:
		return fmt.Errorf("the replicas have compacted to %d, nobody asked for more than %d", compacted, s.asked)
	case compacted < s.compacted:
		return fmt.Errorf("compaction went back from %d to %d", s.compacted, compacted)
	}
	s.compacted = compacted
	return nil
}

// checkCompactions judges them, and looks whether every replica refuses what is older.
func (r *run) checkCompactions(ctx context.Context, compacted int64) error {
	// Before the first one it is -1.
	compacted = max(compacted, 0)
	if err := r.compactions.check(compacted); err != nil || compacted < 2 {
		return err
	}
	for _, replica := range r.set.Replicas {
		conn, err := replica.Dial()
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, requestLimit)
		_, err = pb.NewKVClient(conn).Range(limited, &pb.RangeRequest{Key: []byte("old"), Revision: compacted - 1})
		cancel()
		conn.Close()
		if err := compactedRefused(replica.Name, compacted, err); err != nil {
			return err
		}
	}
	return nil
}

var errShownAgain = errors.New("a revision that was compacted is shown again")

func compactedRefused(name string, compacted int64, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("%w by %s: %d", errShownAgain, name, compacted-1)
	case !strings.Contains(err.Error(), "required revision has been compacted"):
		return fmt.Errorf("%s refuses revision %d, which is compacted, with %w", name, compacted-1, err)
	}
	return nil
}
