package main

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	loadBeforeKill = 3 * time.Second
	killWriters    = 16
)

// acknowledged is a write that somebody was told is done.
type acknowledged struct {
	key, value string
	revision   int64
}

// killed takes the directory of an etcd that was killed under writes: what was acknowledged is there, and
// nothing differs from what an etcd makes of the same directory.
func (j *journey) killed() error {
	if err := j.restoreThere(j.snapshot, "etcd-killed"); err != nil {
		return err
	}
	etcd, err := j.start(j.etcd, "etcd-killed")
	if err != nil {
		return err
	}
	writes, err := etcd.writeUntilKilled()
	if err != nil {
		return err
	}
	j.say("etcd killed with -9 after %d acknowledged writes", len(writes))
	if len(writes) < 100 {
		return fmt.Errorf("only %d writes before the kill", len(writes))
	}
	if err := j.restoreHere(j.dataOf("etcd-killed"), "meridian-killed"); err != nil {
		return err
	}
	meridian, err := j.start(j.meridian, "meridian-killed")
	if err != nil {
		return err
	}
	defer meridian.kill()
	if etcd, err = j.start(j.etcd, "etcd-killed"); err != nil {
		return err
	}
	defer etcd.kill()
	if err := meridian.login(); err != nil {
		return err
	}
	j.lost(meridian, writes)
	return j.killedAlike(etcd, meridian)
}

// killedAlike compares both servers on the same directory.
func (j *journey) killedAlike(etcd, meridian *side) error {
	original := j.plan
	defer func() { j.plan = original }()
	if err := etcd.login(); err != nil {
		return err
	}
	reply, err := etcd.upkeep.HashKV(etcd.ctx(), &pb.HashKVRequest{})
	if err != nil {
		return err
	}
	j.plan = newPlan(reply.CompactRevision, reply.HashRevision, j.keys, j.seed)
	var want *picture
	if err := j.picture(etcd, "etcd-killed", &want); err != nil {
		return err
	}
	if err := j.judged(meridian, "meridian-killed", want); err != nil {
		return err
	}
	after, err := etcd.nextWrite(original.keys[0])
	if err != nil {
		return err
	}
	also, err := meridian.nextWrite(original.keys[0])
	j.same("the next writes on meridian-killed", after, also)
	return err
}

// writeUntilKilled puts and deletes from many callers, kills the server among it, and gives what was
// acknowledged; a deletion has no value.
func (s *side) writeUntilKilled() ([]acknowledged, error) {
	if err := s.login(); err != nil {
		return nil, err
	}
	var all [killWriters][]acknowledged
	var stopped atomic.Bool
	var group sync.WaitGroup
	for me := range killWriters {
		group.Go(func() {
			for n := 0; !stopped.Load(); n++ {
				done, err := s.oneWrite(me, n)
				if err != nil {
					return
				}
				all[me] = append(all[me], done)
			}
		})
	}
	time.Sleep(loadBeforeKill)
	s.server.Kill()
	stopped.Store(true)
	group.Wait()
	s.conn.Close()
	var writes []acknowledged
	for _, mine := range all {
		writes = append(writes, mine...)
	}
	return writes, nil
}

func (s *side) oneWrite(me, n int) (acknowledged, error) {
	done := acknowledged{key: fmt.Sprintf("killed/%d/%d", me, n%50), value: fmt.Sprintf("%d.%d", me, n)}
	if n%50 == 49 {
		// This key is always there: the range before it was put in this round.
		done.key, done.value = fmt.Sprintf("killed/%d/0", me), ""
		reply, err := s.kv.DeleteRange(s.ctx(), &pb.DeleteRangeRequest{Key: []byte(done.key)})
		done.revision = reply.GetHeader().GetRevision()
		return done, err
	}
	reply, err := s.kv.Put(s.ctx(), &pb.PutRequest{Key: []byte(done.key), Value: []byte(done.value)})
	done.revision = reply.GetHeader().GetRevision()
	return done, err
}

// lost counts acknowledged writes that are not where they were acknowledged.
func (j *journey) lost(s *side, writes []acknowledged) {
	missing := 0
	for _, w := range writes {
		reply, err := s.kv.Range(s.ctx(), &pb.RangeRequest{Key: []byte(w.key), Revision: w.revision})
		there := err == nil && len(reply.Kvs) == 1 && string(reply.Kvs[0].Value) == w.value &&
			reply.Kvs[0].ModRevision == w.revision
		if w.value == "" {
			there = err == nil && len(reply.Kvs) == 0
		}
		if !there {
			if missing++; missing == 1 {
				fmt.Fprintf(os.Stdout, "       %+v: %v %v\n", w, reply, err)
			}
		}
	}
	if missing > 0 {
		j.differ("%d of %d acknowledged writes are not there", missing, len(writes))
		return
	}
	j.say("all %d acknowledged writes are there", len(writes))
}
