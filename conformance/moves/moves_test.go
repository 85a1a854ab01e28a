package main

import (
	"os"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// etcdBinary is the real etcd; without it nothing here means anything.
func etcdBinary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("ETCD")
	if path == "" {
		path = "../bin/etcd"
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run build-tools.sh", err)
	}
	return path
}

// filled is an etcd with a small history and users.
func filled(t *testing.T) (*side, plan) {
	t.Helper()
	s, err := open(etcdBinary(t), t.TempDir(), "--unsafe-no-fsync", "--bcrypt-cost=4")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	h := &history{side: s, keys: 1000, seed: 3, say: t.Logf}
	if err := h.write(); err != nil {
		t.Fatal(err)
	}
	if err := s.grantRights(); err != nil {
		t.Fatal(err)
	}
	reply, err := s.upkeep.HashKV(s.ctx(), &pb.HashKVRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return s, newPlan(reply.CompactRevision, reply.HashRevision, h.keys, 3)
}

// Whatever is changed on purpose between two pictures of one store is found, and nothing else is.
func TestWhatIsChangedIsFound(t *testing.T) {
	s, p := filled(t)
	take := func() *picture {
		pic, err := s.take("etcd", p)
		if err != nil {
			t.Fatal(err)
		}
		return pic
	}
	last := take()
	if wrong := compare(last, take()); len(wrong) > 0 {
		t.Fatalf("two pictures of one store at rest differ: %q", wrong)
	}
	for _, planted := range []struct {
		what, found string
		do          func() error
	}{
		{"a lease is gone", "lease 10003", func() error {
			_, err := s.lease.LeaseRevoke(s.ctx(), &pb.LeaseRevokeRequest{ID: firstID + 3})
			return err
		}},
		{"a role has lost its user", "rights", func() error {
			_, err := s.auth.UserRevokeRole(s.ctx(), &pb.AuthUserRevokeRoleRequest{Name: userName(1), Role: "role-01"})
			return err
		}},
		{"a key is written again", "HashKV at 0", func() error {
			_, err := s.kv.Put(s.ctx(), &pb.PutRequest{Key: p.keys[0], IgnoreLease: false})
			return err
		}},
		{"an alarm is raised", "alarms", func() error {
			_, err := s.upkeep.Alarm(s.ctx(), &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 7,
				Alarm: pb.AlarmType_NOSPACE})
			return err
		}},
	} {
		if err := planted.do(); err != nil {
			t.Fatalf("%s: %v", planted.what, err)
		}
		now := take()
		if wrong := compare(last, now); !strings.Contains(strings.Join(wrong, "\n"), planted.found) {
			t.Errorf("%s: not found among %q", planted.what, wrong)
		}
		last = now
	}
}

// Keys that are missing, new or other are told apart.
func TestNewestKeysAreCompared(t *testing.T) {
	a := &picture{name: "a", newest: []entry{{key: "1"}, {key: "2", mod: 5}, {key: "3"}}}
	b := &picture{name: "b", newest: []entry{{key: "2", mod: 6}, {key: "3"}, {key: "4"}}}
	if wrong := compare(a, b); len(wrong) != 3 {
		t.Fatalf("three differences, found %q", wrong)
	}
	if wrong := compare(a, a); len(wrong) != 0 {
		t.Fatalf("no difference, found %q", wrong)
	}
}
