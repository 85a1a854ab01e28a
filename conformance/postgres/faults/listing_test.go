package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// listed is what a sound list at revision 6 shows.
func listed() *operation {
	events := soundEvents()
	return &operation{client: 6, kind: listing, call: 26 * ms, end: 29 * ms, known: true, revision: 6, counted: 2,
		listed: []*mvccpb.KeyValue{events[3].Kv, events[4].Kv}}
}

func TestPagesThatDoNotJoinAreSeen(t *testing.T) {
	cases := map[string]struct {
		forge func(*operation)
		about string
	}{
		"sound": {func(*operation) {}, ""},
		"sound, of another revision": {func(o *operation) {
			o.revision, o.call, o.end = 3, 6*ms, 7*ms
			o.listed = []*mvccpb.KeyValue{soundEvents()[1].Kv}
			o.counted = 1
		}, ""},
		"page lost":                {func(o *operation) { o.listed = o.listed[:1] }, "have 1 keys"},
		"key twice":                {func(o *operation) { o.listed = append(o.listed, o.listed[1]) }, "have 3 keys"},
		"order":                    {func(o *operation) { slices.Reverse(o.listed) }, "history has"},
		"page of a later revision": {func(o *operation) { o.listed[0] = putEvent("shared/0", "c", 5, 7, 2).Kv }, "history has"},
		"page of an old revision":  {func(o *operation) { o.listed[0] = soundEvents()[1].Kv }, "history has"},
		"count":                    {func(o *operation) { o.counted = 3 }, "count 3"},
		"old list":                 {func(o *operation) { o.revision = 3 }, "have 2 keys"},
		"stale list":               {func(o *operation) { o.revision = 5; o.listed = o.listed[:1]; o.counted = 1 }, "revision went back"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r, o := soundRecord(), listed()
			c.forge(o)
			r.operations = append(r.operations, o)
			err := verdict(t, r, soundEvents())
			if c.about == "" && err != nil {
				t.Fatal(err)
			}
			if c.about != "" && (err == nil || !strings.Contains(err.Error(), c.about)) {
				t.Fatalf("want %q, got %v", c.about, err)
			}
		})
	}
}

func TestCompactionsAreHeldToWhatWasAsked(t *testing.T) {
	cases := map[string]struct {
		s     *compactions
		now   int64
		about string
	}{
		"none":           {&compactions{}, 0, ""},
		"acknowledged":   {&compactions{asked: 9, done: 9}, 9, ""},
		"without answer": {&compactions{asked: 9, done: 5, compacted: 5}, 9, ""},
		"did not land":   {&compactions{asked: 9, done: 5, compacted: 5}, 5, ""},
		"lost":           {&compactions{asked: 9, done: 9, compacted: 5}, 5, "LOST"},
		"invented":       {&compactions{asked: 9, done: 9}, 10, "nobody asked"},
		"went back":      {&compactions{asked: 9, done: 5, compacted: 9}, 7, "went back"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := c.s.check(c.now)
			if c.about == "" && (err != nil || c.s.compacted != c.now) {
				t.Fatalf("%v, at %d", err, c.s.compacted)
			}
			if c.about != "" && (err == nil || !strings.Contains(err.Error(), c.about)) {
				t.Fatalf("want %q, got %v", c.about, err)
			}
		})
	}
	if err := compactedRefused("m1", 5, nil); !errors.Is(err, errShownAgain) {
		t.Error(err)
	}
	if compactedRefused("m1", 5, errors.New("timeout")) == nil {
		t.Error("any error counts as a refusal")
	}
	if err := compactedRefused("m1", 5, errors.New("etcdserver: mvcc: required revision has been compacted")); err != nil {
		t.Error(err)
	}
}

// A deletion without an answer that history has must fit into the order, and one that history lacks need not.
func TestDeletionsWithoutAnAnswerAreResolvedByHistory(t *testing.T) {
	r := soundRecord()
	r.operations = append(r.operations, &operation{client: 7, kind: remove, key: "shared/1", call: 1 * ms})
	if err := verdict(t, r, soundEvents()); err != nil {
		t.Fatal(err)
	}
	h, err := newHistory(1, 6, nil, soundEvents())
	if err != nil {
		t.Fatal(err)
	}
	if got := h.unclaimed(r); len(got) != 1 || got[0] != (deletion{"shared/0", 4, 10 * ms}) {
		t.Fatalf("%+v", got)
	}
	// It was shown gone before anybody asked for its end.
	r.operations[1] = &operation{client: 2, kind: get, key: "shared/0", call: 6 * ms, end: 7 * ms, known: true, revision: 4}
	if _, _, err := h.search(r, t.TempDir()+"/failure.html"); err == nil {
		t.Fatal("an order was found")
	}
}
