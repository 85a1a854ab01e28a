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

// Drive is how calls follow one another: each caller the next when its last has ended, or, with a rate,
// at fixed moments. With a rate a call's time counts from the moment it was due, so that a pause of the server
// is seen by all that were due in it.
type Drive struct {
	callers int
	lasts   time.Duration
	rate    float64
	// calls, if not 0, is how many there are.
	calls int
	// until ends it earlier, when closed.
	until <-chan struct{}
}

// Run makes the calls and returns their times.
func (d Drive) Run(ctx context.Context, s *Server, conns []*grpc.ClientConn, call func(context.Context, *grpc.ClientConn, int) error) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	all := make([][]time.Duration, d.callers)
	cpu, begin := s.CPU(), time.Now()
	var group sync.WaitGroup
	for caller := range d.callers {
		group.Go(func() {
			for ctx.Err() == nil && !d.over(begin) {
				n := int(next.Add(1)) - 1
				if d.calls > 0 && n >= d.calls {
					return
				}
				at := time.Now()
				if d.rate > 0 {
					at = begin.Add(time.Duration(float64(n) / d.rate * float64(time.Second)))
					if !d.wait(at) {
						return
					}
				}
				if err := call(ctx, conns[caller%len(conns)], n); err != nil {
					cancel(err)
					return
				}
				all[caller] = append(all[caller], time.Since(at))
			}
		})
	}
	group.Wait()
	latencies := slices.Concat(all...)
	result := Result{len(latencies), time.Since(begin), s.CPU() - cpu, latencies}
	return result, context.Cause(ctx)
}

func (d Drive) over(begin time.Time) bool {
	select {
	case <-d.until:
		return true
	default:
		return d.lasts > 0 && time.Since(begin) >= d.lasts
	}
}

// wait returns whether the moment came before the end.
func (d Drive) wait(at time.Time) bool {
	select {
	case <-d.until:
		return false
	case <-time.After(time.Until(at)):
		return true
	}
}

const opTimeout = 30 * time.Second

// update is kube-apiserver's guaranteed update: put if the revision is the one last seen, else get and try again.
// One in fifty begins with a stale revision. It returns the revision written.
func (c *Climb) update(ctx context.Context, conn *grpc.ClientConn, n int) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	key, seen := c.world.key(n), c.world.revisions[n].Load()
	if rand.IntN(50) == 0 {
		seen--
	}
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: c.world.value(n)}}}
	get := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key}}}
	for range 20 {
		reply, err := pb.NewKVClient(conn).Txn(ctx, &pb.TxnRequest{
			Compare: []*pb.Compare{modIs(key, seen)}, Success: []*pb.RequestOp{put}, Failure: []*pb.RequestOp{get}})
		if err != nil {
			return 0, err
		}
		if reply.Succeeded {
			c.put.Add(int64(len(key) + size(n)))
			c.world.written(n, reply.Header.Revision)
			return reply.Header.Revision, nil
		}
		found := reply.Responses[0].GetResponseRange().Kvs
		if len(found) != 1 {
			return 0, fmt.Errorf("%s was acknowledged and is lost", key)
		}
		seen = found[0].ModRevision
	}
	return 0, fmt.Errorf("%s: twenty conflicts in a row", key)
}

func modIs(key []byte, revision int64) *pb.Compare {
	return &pb.Compare{Key: key, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: revision}}
}

// updateAny updates a pod nine times of ten, otherwise any object.
func (c *Climb) updateAny(ctx context.Context, conn *grpc.ClientConn, _ int) error {
	n := rand.IntN(c.world.filled)
	if rand.IntN(10) != 0 {
		n = c.somePod()
	}
	_, err := c.update(ctx, conn, n)
	for end := time.Now().Add(3 * time.Minute); err != nil && c.patient.Load() && ctx.Err() == nil && time.Now().Before(end); {
		c.refused.Add(1)
		_, err = c.update(ctx, conn, n)
	}
	return err
}

func (c *Climb) somePod() int {
	pods := c.world.kinds[1]
	return pods.first + rand.IntN(c.world.extent(pods))
}

// createEvent creates one event with a lease that up to 1,000 others share, as kube-apiserver does.
func (c *Climb) createEvent(ctx context.Context, conn *grpc.ClientConn, _ int) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	n := c.events.Add(1)
	lease, err := c.shared.take(ctx, conn)
	if err != nil {
		return err
	}
	key := fmt.Appendf(nil, "/registry/events/namespace-%03d/workload-7d4b9c6f5.%016x", n%namespaces, n)
	put := &pb.PutRequest{Key: key, Value: c.world.value(0)[:1024], Lease: lease}
	reply, err := pb.NewKVClient(conn).Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{modIs(key, 0)},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: put}}}})
	c.put.Add(int64(len(key) + len(put.Value)))
	if err == nil && !reply.Succeeded {
		return fmt.Errorf("%s exists already", key)
	}
	return err
}

// sharedLease is the lease that new events get: one for up to 1,000 of them or ten seconds. It runs out while later
// phases are measured.
type sharedLease struct {
	sync.Mutex
	id, taken int64
	granted   time.Time
}

func (l *sharedLease) take(ctx context.Context, conn *grpc.ClientConn) (int64, error) {
	l.Lock()
	defer l.Unlock()
	if l.id == 0 || l.taken >= 1000 || time.Since(l.granted) > 10*time.Second {
		reply, err := pb.NewLeaseClient(conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 45})
		if err != nil {
			return 0, err
		}
		l.id, l.taken, l.granted = reply.ID, 0, time.Now()
	}
	l.taken++
	return l.id, nil
}
