package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// Each watch stream has so many watchers, each connection so many streams, and so many watch all pods.
const (
	watchersOfStream = 10
	streamsOfClient  = 5
	watchersOfAll    = 4
)

// seen is one event as a watcher got it.
type seen struct {
	revision int64
	at       time.Time
}

// watching is one stream with its watchers; what each saw stands under its index.
type watching struct {
	stream    pb.Watch_WatchClient
	prefixes  []string
	seen      [][]seen
	delivered *atomic.Int64
}

// fleet is all the watchers of a measurement.
type fleet struct {
	streams   []*watching
	conns     []*grpc.ClientConn
	delivered atomic.Int64
	group     sync.WaitGroup
	failed    atomic.Pointer[error]
}

func namespaceOf(n int) string { return fmt.Sprintf("/registry/pods/namespace-%03d/", n%namespaces) }

// openFleet starts watchers at revision from: on every namespace in turn, and a few on all pods.
func openFleet(ctx context.Context, s *Server, watchers int, from int64) (*fleet, error) {
	f := &fleet{}
	var open []string
	for i := range watchers {
		open = append(open, namespaceOf(i))
	}
	groups := slices.Collect(slices.Chunk(open, watchersOfStream))
	for range watchersOfAll {
		groups = append(groups, []string{"/registry/pods/"})
	}
	for i, prefixes := range groups {
		if i%streamsOfClient == 0 {
			f.conns = append(f.conns, s.Dial())
		}
		stream, err := pb.NewWatchClient(f.conns[len(f.conns)-1]).Watch(ctx)
		if err != nil {
			return f, err
		}
		w := &watching{stream, prefixes, make([][]seen, len(prefixes)), &f.delivered}
		if err := w.create(from); err != nil {
			return f, err
		}
		f.streams = append(f.streams, w)
		f.group.Go(func() {
			if err := w.receive(); err != nil && ctx.Err() == nil {
				f.failed.Store(&err)
			}
		})
	}
	return f, nil
}

// create asks for the watchers as kube-apiserver does, with the previous values, and waits until they stand.
func (w *watching) create(from int64) error {
	for i, prefix := range w.prefixes {
		create := &pb.WatchCreateRequest{Key: []byte(prefix), RangeEnd: prefixEnd(prefix), StartRevision: from,
			PrevKv: true, ProgressNotify: true, WatchId: int64(i + 1)}
		request := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}
		if err := w.stream.Send(request); err != nil {
			return err
		}
		reply, err := w.stream.Recv()
		if err != nil {
			return err
		}
		if !reply.Created || reply.Canceled {
			return fmt.Errorf("a watcher was not created: %s", reply.CancelReason)
		}
	}
	return nil
}

func (w *watching) receive() error {
	for {
		reply, err := w.stream.Recv()
		if err != nil {
			return err
		}
		if reply.Canceled {
			return fmt.Errorf("a watcher was cancelled: %s", reply.CancelReason)
		}
		now, i := time.Now(), reply.WatchId-1
		for _, event := range reply.Events {
			w.seen[i] = append(w.seen[i], seen{event.Kv.ModRevision, now})
		}
		w.delivered.Add(int64(len(reply.Events)))
	}
}

// close ends the connections and waits for the receivers.
func (f *fleet) close() {
	for _, conn := range f.conns {
		conn.Close()
	}
	f.group.Wait()
}

// sendings are the updates of a watch measurement: what was written where, and when it was sent.
type sendings struct {
	sync.Mutex
	at         map[int64]time.Time
	namespaces map[string][]int64
}

func (s *sendings) add(n int, revision int64, at time.Time) {
	s.Lock()
	defer s.Unlock()
	s.at[revision] = at
	for _, prefix := range []string{namespaceOf(n), "/registry/pods/"} {
		s.namespaces[prefix] = append(s.namespaces[prefix], revision)
	}
}

// expected is how many events all watchers together have to get.
func (s *sendings) expected(f *fleet) (total int64) {
	for _, w := range f.streams {
		for _, prefix := range w.prefixes {
			total += int64(len(s.namespaces[prefix]))
		}
	}
	return total
}

// judge compares what every watcher saw with what was written: each revision once and in order. It returns
// the lags, and how many events were missed or came out of turn.
func (s *sendings) judge(f *fleet) (lags []time.Duration, wrong int) {
	for _, revisions := range s.namespaces {
		slices.Sort(revisions)
	}
	for _, w := range f.streams {
		for i, prefix := range w.prefixes {
			due := s.namespaces[prefix]
			wrong += max(0, len(due)-len(w.seen[i]))
			for at, event := range w.seen[i] {
				if at >= len(due) || due[at] != event.revision {
					wrong++
					continue
				}
				lags = append(lags, event.at.Sub(s.at[event.revision]))
			}
		}
	}
	return lags, wrong
}

// watched measures how late the events of paced pod updates reach every watcher, from the update's sending.
func (c *Climb) watched(ctx context.Context) error {
	now, err := c.revision(ctx)
	if err != nil {
		return err
	}
	streams, cancel := context.WithCancel(ctx)
	defer cancel()
	opened := time.Now()
	f, err := openFleet(streams, c.s, c.o.Watchers, now+1)
	defer f.close()
	if err != nil {
		return err
	}
	c.note("watch", "all watchers created", "s", time.Since(opened).Seconds())
	sent := &sendings{at: map[int64]time.Time{}, namespaces: map[string][]int64{}}
	cpu := c.s.CPU()
	_, err = Drive{callers: 16, lasts: 5 * time.Second, rate: 200}.Run(ctx, c.s, c.conns,
		func(ctx context.Context, conn *grpc.ClientConn, _ int) error {
			n, at := c.somePod(), time.Now()
			revision, err := c.update(ctx, conn, n)
			if err == nil {
				sent.add(n, revision, at)
			}
			return err
		})
	if err != nil {
		return err
	}
	due := sent.expected(f)
	for end := time.Now().Add(15 * time.Second); f.delivered.Load() < due && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	cpu = c.s.CPU() - cpu
	cancel()
	f.close()
	if err := f.failed.Load(); err != nil {
		return *err
	}
	lags, wrong := sent.judge(f)
	c.note("watch", "lag p50", "ms", milliseconds(percentile(lags, 50)))
	c.note("watch", "lag p99", "ms", milliseconds(percentile(lags, 99)))
	c.note("watch", "events missed or out of turn", "", float64(wrong))
	c.note("watch", "server CPU", "µs/event", float64(cpu.Microseconds())/float64(max(due, 1)))
	if wrong > 0 {
		return fmt.Errorf("%d of %d events were missed or came out of turn", wrong, due)
	}
	return nil
}

// somePage is a random start of a page in sorted keys, such that a full page follows.
func somePage(keys [][]byte, limit int) []byte {
	return keys[rand.IntN(max(len(keys)-limit, 1))]
}
