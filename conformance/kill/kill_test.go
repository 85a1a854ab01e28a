package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"conformance/store"
)

// These tests judge the judge against a real etcd: it must be content with it, and must see
// every kind of loss that is made on purpose.

func newTestJudge(t *testing.T) *judge {
	t.Helper()
	binary := os.Getenv("ETCD")
	if binary == "" {
		binary = "../bin/etcd"
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("needs a real etcd (run build-tools.sh): %v", err)
	}
	server, err := store.Start(store.Options{Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	j, err := newJudge(settings{seed: 1, load: 300 * time.Millisecond}, server)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestNothingIsWrongWithEtcd(t *testing.T) {
	j := newTestJudge(t)
	for range 3 {
		if err := j.round(); err != nil {
			t.Fatal(err)
		}
	}
	if j.score.acknowledged == 0 || j.score.events == 0 || j.score.hashes == 0 {
		t.Fatalf("nothing was tested: %v", j.score)
	}
}

func TestAnOlderStateIsSeen(t *testing.T) {
	j := newTestJudge(t)
	if err := j.round(); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(j.server.Dir, "data")
	saved := filepath.Join(t.TempDir(), "saved")
	j.server.Kill()
	if err := os.CopyFS(saved, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	if err := j.server.Restart(); err != nil {
		t.Fatal(err)
	}
	j.spoil = func() {
		os.RemoveAll(data)
		if err := os.CopyFS(data, os.DirFS(saved)); err != nil {
			t.Error(err)
		}
	}
	err := j.round()
	if err == nil || !strings.Contains(err.Error(), "revision went back") {
		t.Fatalf("the loss of a round was not seen: %v", err)
	}
}

func TestEachForgeryIsSeen(t *testing.T) {
	cases := map[string]struct {
		forge func(*record)
		about string
	}{
		"lost write": {func(r *record) {
			r.operations = append(r.operations, &operation{writes: []write{{key: "x", value: "x"}},
				known: true, revision: 3, expected: -1})
		}, "LOST"},
		"other revision": {func(r *record) { firstKnown(r).revision++ }, "another revision"},
		"refused":        {func(r *record) { firstKnown(r).revision = 0 }, "refused"},
		"torn":           {func(r *record) { pairOf(r).writes = append(pairOf(r).writes, write{}) }, "of 3 writes"},
		"event":          {func(r *record) { r.watched[0][0].Kv.Version += 7 }, "watcher 0 saw"},
		"gap":            {func(r *record) { r.watched[1] = r.watched[1][1:] }, "watcher 1 saw"},
		"read":           {func(r *record) { r.sights[0].value = "y" }, "a read showed"},
		"hash":           {func(r *record) { r.hashes[0].value++ }, "before the kill"},
		"revision":       {func(r *record) { r.highest = 1 << 40 }, "revision went back"},
		"invented": {func(r *record) {
			op := firstKnown(r)
			op.writes = []write{{key: op.writes[0].key, value: "z"}}
		}, "nobody asked for"},
	}
	for name, each := range cases {
		t.Run(name, func(t *testing.T) {
			j := newTestJudge(t)
			j.forge = each.forge
			if err := j.round(); err == nil || !strings.Contains(err.Error(), each.about) {
				t.Fatalf("not seen: %v", err)
			}
		})
	}
}

func TestAnEarlyEndOfALeaseIsSeen(t *testing.T) {
	known := leases{all: map[string]*lease{leaseKey(1): {id: 1, ttl: time.Hour, renewed: time.Now()}}}
	record := &record{}
	event := &mvccEvent{Type: mvccpb.DELETE, Kv: &mvccpb.KeyValue{Key: []byte(leaseKey(1))}}
	known.observe([]*mvccEvent{event}, record)
	if len(record.faults) == 0 {
		t.Fatal("not seen")
	}
}

func firstKnown(r *record) *operation {
	for _, op := range r.operations {
		if op.known && op.revision > 0 && !op.writes[0].remove {
			return op
		}
	}
	panic("no acknowledged operation")
}

func pairOf(r *record) *operation {
	for _, op := range r.operations {
		if len(op.writes) >= 2 && op.known {
			return op
		}
	}
	panic("no pair")
}
