package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// These tests hold the judge against a small sound history, and against everything that is made wrong with it on purpose.

const ms = time.Millisecond

func putEvent(key, value string, created, mod, version int64) *mvccpb.Event {
	return &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), CreateRevision: created,
		ModRevision: mod, Version: version}}
}

func removeEvent(key string, mod int64) *mvccpb.Event {
	return &mvccpb.Event{Type: mvccpb.DELETE, Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: mod}}
}

func soundEvents() []*mvccpb.Event {
	return []*mvccpb.Event{putEvent("shared/0", "a", 2, 2, 1), putEvent("shared/0", "b", 2, 3, 2),
		removeEvent("shared/0", 4), putEvent("shared/0", "c", 5, 5, 1), putEvent("shared/1", "d", 6, 6, 1)}
}

// soundRecord is what clients were told of soundEvents: among it a swap without an answer that landed, a deletion without
// one, and a put that did not land.
func soundRecord() *record {
	r := newRecord()
	r.began = time.Now().Add(-time.Second)
	events := soundEvents()
	r.operations = []*operation{
		{client: 1, kind: put, key: "shared/0", value: "a", call: 1 * ms, end: 2 * ms, known: true, done: true, revision: 2},
		{client: 2, kind: get, key: "shared/0", call: 3 * ms, end: 4 * ms, known: true, revision: 2, shown: events[0].Kv},
		{client: 1, kind: swap, key: "shared/0", value: "b", expected: 2, call: 5 * ms},
		{client: 2, kind: swap, key: "shared/0", value: "x", expected: 2, call: 8 * ms, end: 9 * ms, known: true, revision: 3},
		{client: 2, kind: remove, key: "shared/0", call: 10 * ms},
		{client: 3, kind: put, key: "shared/0", value: "c", call: 20 * ms, end: 21 * ms, known: true, done: true, revision: 5},
		{client: 3, kind: put, key: "shared/0", value: "never", call: 22 * ms},
		{client: 4, kind: put, key: "shared/1", value: "d", call: 23 * ms, end: 24 * ms, known: true, done: true, revision: 6},
		{client: 4, kind: remove, key: "shared/9", call: 25 * ms, end: 26 * ms, known: true, revision: 6},
		{client: 4, kind: glance, key: "shared/0", call: 27 * ms, end: 28 * ms, known: true, revision: 4},
	}
	for _, name := range []string{"m1", "m2"} {
		for i, event := range events {
			r.watched[name] = append(r.watched[name], arrival{event, time.Duration(30+i) * ms})
		}
	}
	return r
}

func verdict(t *testing.T, r *record, events []*mvccpb.Event) error {
	t.Helper()
	h, err := newHistory(1, 6, nil, events)
	if err != nil {
		return err
	}
	if _, err := h.check(r); err != nil {
		return err
	}
	_, _, err = h.search(r, filepath.Join(t.TempDir(), "failure.html"))
	return err
}

func TestASoundHistoryPasses(t *testing.T) {
	if err := verdict(t, soundRecord(), soundEvents()); err != nil {
		t.Fatal(err)
	}
}

func TestEachForgeryIsSeen(t *testing.T) {
	cases := map[string]struct {
		forge func(*record)
		about string
	}{
		"lost put": {func(r *record) {
			r.operations[6].known, r.operations[6].done, r.operations[6].revision, r.operations[6].end = true, true, 6, 23*ms
		}, "LOST"},
		"lost deletion":     {func(r *record) { r.operations[8].done = true }, "LOST"},
		"other revision":    {func(r *record) { r.operations[7].revision = 5 }, "another revision"},
		"refused and done":  {func(r *record) { r.operations[7].kind, r.operations[7].done = swap, false }, "refused, and yet"},
		"refused in vain":   {func(r *record) { r.operations[3].expected = 3 }, "as expected"},
		"found nothing":     {func(r *record) { r.operations[8].key = "shared/1" }, "found nothing"},
		"invented put":      {func(r *record) { r.operations[2].value = "other" }, "nobody asked for"},
		"invented deletion": {func(r *record) { r.operations[4].key = "shared/1" }, "nobody asked for"},
		"stale read":        {func(r *record) { r.operations[1].call, r.operations[1].end = 40*ms, 41*ms }, "revision went back"},
		"wrong read":        {func(r *record) { r.operations[1].shown = soundEvents()[1].Kv }, "not in history"},
		"wrong glance":      {func(r *record) { r.operations[9].shown = soundEvents()[0].Kv }, "not in history"},
		"late write":        {func(r *record) { r.operations[0].call, r.operations[0].end = 40*ms, 41*ms }, "revision went back"},
		"gap in a watch": {func(r *record) {
			r.watched["m2"] = append(r.watched["m2"][:1:1], r.watched["m2"][2:]...)
		}, "watcher of m2 saw"},
		"end of a watch":   {func(r *record) { r.watched["m1"] = r.watched["m1"][:4] }, "history has 5"},
		"event of its own": {func(r *record) { r.watched["m1"][4].event = putEvent("shared/1", "z", 6, 6, 1) }, "watcher of m1"},
		"explained by nobody": {func(r *record) {
			r.operations[2].kind = put
			r.operations = append(r.operations, &operation{client: 5, kind: swap, key: "shared/0", value: "y",
				expected: 4, call: 6 * ms, end: 7 * ms, known: true, revision: 2})
			r.operations[3].revision = 2
		}, "as expected"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := soundRecord()
			c.forge(r)
			if err := verdict(t, r, soundEvents()); err == nil || !strings.Contains(err.Error(), c.about) {
				t.Fatalf("want %q, got %v", c.about, err)
			}
		})
	}
}

// The search must see by itself what the check by revisions would see too.
func TestTheSearchSeesWhatCannotBeOrdered(t *testing.T) {
	cases := map[string]func(*record){
		"stale read":              func(r *record) { r.operations[1].call, r.operations[1].end = 40*ms, 41*ms },
		"swap against another":    func(r *record) { r.operations[2].expected = 1 },
		"read of a later write":   func(r *record) { r.operations[1].shown = soundEvents()[3].Kv },
		"writes in another order": func(r *record) { r.operations[5].call, r.operations[5].end = 0, 1*ms/2 },
		"landed before it was asked, by what a watcher saw": func(r *record) {
			r.watched["m1"][1].at, r.operations[2].call = 6*ms, 7*ms
			r.operations[1].shown, r.operations[1].call, r.operations[1].end = soundEvents()[1].Kv, 3*ms, 4*ms
		},
	}
	for name, forge := range cases {
		t.Run(name, func(t *testing.T) {
			r := soundRecord()
			forge(r)
			h, err := newHistory(1, 6, nil, soundEvents())
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := h.search(r, filepath.Join(t.TempDir(), "failure.html")); err == nil {
				t.Fatal("an order was found")
			}
		})
	}
}

func TestAHistoryThatDoesNotFollowIsSeen(t *testing.T) {
	cases := map[string]func([]*mvccpb.Event) []*mvccpb.Event{
		"skipped revision": func(e []*mvccpb.Event) []*mvccpb.Event { return e[1:] },
		"wrong version":    func(e []*mvccpb.Event) []*mvccpb.Event { e[1].Kv.Version = 3; return e },
		"wrong creation":   func(e []*mvccpb.Event) []*mvccpb.Event { e[3].Kv.CreateRevision = 2; return e },
		"early end":        func(e []*mvccpb.Event) []*mvccpb.Event { return e[:4] },
		"twice":            func(e []*mvccpb.Event) []*mvccpb.Event { e[4].Kv.Value = []byte("c"); return e },
		"deleted nothing":  func(e []*mvccpb.Event) []*mvccpb.Event { e[0] = removeEvent("shared/0", 2); return e },
	}
	for name, forge := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := newHistory(1, 6, nil, forge(soundEvents())); err == nil {
				t.Fatal("it was accepted")
			}
		})
	}
}

func TestPausesAreMeasuredWhole(t *testing.T) {
	signs := []time.Duration{1 * ms, 5 * ms, 40 * ms, 41 * ms}
	cases := []struct{ from, to, want time.Duration }{
		{0, 50 * ms, 35 * ms}, {10 * ms, 20 * ms, 35 * ms}, {41 * ms, 100 * ms, 59 * ms}, {0, 5 * ms, 4 * ms},
	}
	for _, c := range cases {
		if got, _ := longest(signs, c.from, c.to); got != c.want {
			t.Errorf("from %v to %v: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}
