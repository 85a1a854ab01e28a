package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
)

// thereAndBack goes from etcd's snapshot to Meridian and from Meridian's to a stock etcd.
func (j *journey) thereAndBack() error {
	if err := j.restoreHere(j.snapshot, "meridian"); err != nil {
		return err
	}
	s, err := j.start(j.meridian, "meridian")
	if err != nil {
		return err
	}
	defer func() { s.kill() }()
	if err := j.judged(s, "meridian", j.original); err != nil {
		return err
	}
	file, err := j.save(s, "meridian")
	if err != nil {
		return err
	}
	if err := j.next(s, "meridian"); err != nil {
		return err
	}
	if err := s.stop(); err != nil {
		return fmt.Errorf("meridian stops: %w", err)
	}
	if err := j.files(file); err != nil {
		return err
	}
	if err := j.restoreThere(file, "etcd-again"); err != nil {
		return err
	}
	back, err := j.start(j.etcd, "etcd-again")
	if err != nil {
		return err
	}
	defer back.kill()
	if err := j.judged(back, "etcd-again", j.original); err != nil {
		return err
	}
	return j.next(back, "etcd-again")
}

// files holds what etcdutl says of Meridian's snapshot against what it says of etcd's, and against what
// the first etcd said when it ran.
func (j *journey) files(file string) error {
	want, wantKeys, err := j.status(j.snapshot)
	if err != nil {
		return err
	}
	got, gotKeys, err := j.status(file)
	if err != nil {
		return err
	}
	j.same("revision of both files by etcdutl", fmt.Sprint(want), fmt.Sprint(got))
	j.say("records in etcd's file %d, in Meridian's %d", wantKeys, gotKeys)
	// The tool opens its file for writing.
	copied := j.path("hashed.db")
	if _, err := j.tool("copying the file", "cp", file, copied); err != nil {
		return err
	}
	defer os.Remove(copied)
	for _, revision := range j.plan.hashed {
		text, err := j.tool(fmt.Sprintf("etcdutl hashkv at %d", revision), j.etcdutl, "hashkv", copied,
			"--rev", fmt.Sprint(revision), "-w", "json")
		if err != nil {
			return err
		}
		var reply struct {
			Hash         uint32 `json:"hash"`
			HashRevision int64  `json:"hashRevision"`
		}
		if err := json.Unmarshal([]byte(text), &reply); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		question := fmt.Sprintf("HashKV at %d", revision)
		j.same(question+" by etcdutl", j.original.answers()[question],
			fmt.Sprintf("%d at %d, <nil>", reply.Hash, reply.HashRevision))
	}
	return nil
}

// bumped goes forward in revisions on the way, by both tools from the same file.
func (j *journey) bumped() error {
	flags := []string{"--bump-revision", "1000000000", "--mark-compacted"}
	if err := j.restoreThere(j.snapshot, "etcd-bumped", flags...); err != nil {
		return err
	}
	if err := j.restoreHere(j.snapshot, "meridian-bumped", flags...); err != nil {
		return err
	}
	etcd, err := j.start(j.etcd, "etcd-bumped")
	if err != nil {
		return err
	}
	defer etcd.kill()
	if err := etcd.login(); err != nil {
		return err
	}
	reply, err := etcd.upkeep.HashKV(etcd.ctx(), &pb.HashKVRequest{})
	if err != nil {
		return err
	}
	meridian, err := j.start(j.meridian, "meridian-bumped")
	if err != nil {
		return err
	}
	defer meridian.kill()
	return j.bumpedAlike(etcd, meridian, reply)
}

// bumpedAlike compares two stores of which nothing but the newest revision can be read. HashKV is left
// out: etcdutl marks the new revision with a record that has no key, and counts it.
func (j *journey) bumpedAlike(etcd, meridian *side, hash *pb.HashKVResponse) error {
	original := j.plan
	defer func() { j.plan = original }()
	newest := hash.HashRevision
	j.plan = plan{from: newest + 1, middle: newest + 1, sampled: []int64{newest, newest + 1, newest - 1, 0}, keys: original.keys,
		unhashed: true}
	var want, got *picture
	if err := j.picture(etcd, "etcd-bumped", &want); err != nil {
		return err
	}
	if err := j.picture(meridian, "meridian-bumped", &got); err != nil {
		return err
	}
	j.judge(want, got)
	after, err := etcd.nextWrite(original.keys[0])
	if err != nil {
		return err
	}
	also, err := meridian.nextWrite(original.keys[0])
	j.same("the next writes on meridian-bumped", after, also)
	return err
}

// alarmed moves a store with alarms: in a small one, since little can be asked of it.
func (j *journey) alarmed() error {
	for _, kind := range []pb.AlarmType{pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT} {
		if err := j.oneAlarm(kind); err != nil {
			return fmt.Errorf("%v: %w", kind, err)
		}
	}
	return nil
}

// roomAgain is underAlarm without one.
const roomAgain = `[{alarms []}] <nil>; put "", get ""`

// member is who raised the alarms: one that a move does not take along.
const member = 0x4d

func (j *journey) oneAlarm(kind pb.AlarmType) error {
	name := "alarm-" + kind.String()
	at, err := j.start(j.etcd, name)
	if err != nil {
		return err
	}
	defer func() { at.kill() }()
	if _, err := at.kv.Put(at.ctx(), &pb.PutRequest{Key: []byte("k"), Value: []byte("v")}); err != nil {
		return err
	}
	raise := &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: member, Alarm: kind}
	if _, err := at.upkeep.Alarm(at.ctx(), raise); err != nil {
		return err
	}
	want := at.underAlarm()
	j.say("%s: %s", name, want)
	if kind == pb.AlarmType_NOSPACE {
		// ADR 0002: with room to write, Meridian ends this alarm, and does not hand it on.
		want = roomAgain
	}
	for _, station := range []string{"meridian", "etcd-again"} {
		next, err := j.nextStation(at, name, station)
		if err != nil {
			return err
		}
		at = next
		j.same(name+"-"+station, want, at.underAlarm())
	}
	return nil
}

// nextStation moves a server without users into another and ends it.
func (j *journey) nextStation(from *side, name, station string) (*side, error) {
	defer from.kill()
	file, room := j.path(name+".db"), name+"-"+station
	_, err := j.tool("etcdctl snapshot save for "+room, j.etcdctl, "--endpoints="+from.server.Endpoint,
		"snapshot", "save", file)
	if err != nil {
		return nil, err
	}
	binary, restore := j.etcd, j.restoreThere
	if station == "meridian" {
		binary, restore = j.meridian, j.restoreHere
	}
	if err := restore(file, room); err != nil {
		return nil, err
	}
	return j.start(binary, room)
}

// underAlarm is what a server with an alarm answers.
func (s *side) underAlarm() string {
	var pic picture
	err := s.alarms(&pic, plan{})
	_, put := s.kv.Put(s.ctx(), &pb.PutRequest{Key: []byte("k"), Value: []byte("v")})
	_, read := s.kv.Range(s.ctx(), &pb.RangeRequest{Key: []byte("k")})
	return fmt.Sprintf("%v %v; put %q, get %q", pic.facts, err, status.Convert(put).Message(),
		status.Convert(read).Message())
}

// dataOf is the data directory of a room.
func (j *journey) dataOf(room string) string { return filepath.Join(j.path(room), "data") }
