package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// history is what the store says happened in an episode, and what it had before.
type history struct {
	from, to int64
	before   map[string]*mvccpb.KeyValue
	events   []*mvccpb.Event
	// versions are each key's states in order; a deletion is one without a version.
	versions map[string][]*mvccpb.KeyValue
	byValue  map[string]*mvccpb.Event
}

// newHistory replays the events: no revision is skipped, and each carries the versions that follow from those before.
func newHistory(from, to int64, before []*mvccpb.KeyValue, events []*mvccpb.Event) (*history, error) {
	h := &history{from: from, to: to, before: map[string]*mvccpb.KeyValue{}, events: events,
		versions: map[string][]*mvccpb.KeyValue{}, byValue: map[string]*mvccpb.Event{}}
	for _, kv := range before {
		h.before[string(kv.Key)] = kv
		h.versions[string(kv.Key)] = []*mvccpb.KeyValue{kv}
	}
	at := from
	for _, event := range events {
		kv := event.Kv
		if kv.ModRevision != at && kv.ModRevision != at+1 {
			return nil, fmt.Errorf("history goes from revision %d to %d", at, kv.ModRevision)
		}
		at = kv.ModRevision
		old := h.at(string(kv.Key), at)
		created, version := at, int64(1)
		if old != nil {
			created, version = old.CreateRevision, old.Version+1
		}
		switch {
		case event.Type == mvccpb.DELETE && old == nil:
			return nil, fmt.Errorf("revision %d deletes %q, which is not there", at, kv.Key)
		case event.Type == mvccpb.DELETE:
		case kv.CreateRevision != created || kv.Version != version:
			return nil, fmt.Errorf("revision %d: %q has create_revision %d, version %d; want %d, %d", at, kv.Key,
				kv.CreateRevision, kv.Version, created, version)
		case h.byValue[string(kv.Value)] != nil:
			return nil, fmt.Errorf("%q is in history twice: at %d and %d", kv.Value,
				h.byValue[string(kv.Value)].Kv.ModRevision, at)
		default:
			h.byValue[string(kv.Value)] = event
		}
		h.versions[string(kv.Key)] = append(h.versions[string(kv.Key)], kv)
	}
	if at != to {
		return nil, fmt.Errorf("history ends at %d, the store is at %d", at, to)
	}
	return h, nil
}

// at is a key's state at a revision, nil if it was not there.
func (h *history) at(key string, revision int64) *mvccpb.KeyValue {
	all := h.versions[key]
	i, found := slices.BinarySearchFunc(all, revision, func(kv *mvccpb.KeyValue, revision int64) int {
		return cmp.Compare(kv.ModRevision, revision)
	})
	if !found {
		i--
	}
	if i < 0 || all[i].Version == 0 {
		return nil
	}
	return all[i]
}

// check holds everything that clients were told against history.
func (h *history) check(r *record) (tally, error) {
	var t tally
	failures := []error{h.checkAuthors(r), h.checkOperations(r, &t), checkOrder(r.operations)}
	for name, seen := range r.watched {
		failures = append(failures, h.checkWatched(name, seen))
		t.events += len(seen)
	}
	for _, fault := range r.faults {
		failures = append(failures, errors.New(fault))
	}
	return t, errors.Join(failures...)
}

// tally is what was checked.
type tally struct {
	writes, refused, undecided, landed, reads, glances, lists, compactions, events, searched int
	// unsearched are episodes with too many orders.
	unsearched int
}

func (t *tally) add(o tally) {
	t.writes += o.writes
	t.refused += o.refused
	t.undecided += o.undecided
	t.landed += o.landed
	t.reads += o.reads
	t.glances += o.glances
	t.lists += o.lists
	t.events += o.events
	t.searched += o.searched
	t.unsearched += o.unsearched
}

func (t tally) String() string {
	return fmt.Sprintf("%d acknowledged writes, %d refused, %d without an answer (of which %d landed), %d linearizable "+
		"and %d serializable reads, %d paged lists, %d compactions, %d watched events, %d operations searched (%d episodes had too "+
		"many orders)", t.writes, t.refused, t.undecided, t.landed, t.reads, t.glances, t.lists, t.compactions, t.events,
		t.searched, t.unsearched)
}

// checkAuthors looks for somebody who asked for each event.
func (h *history) checkAuthors(r *record) error {
	puts := map[string]bool{}
	removals := map[string]map[int64]bool{}
	unanswered := map[string]int{}
	for _, o := range r.operations {
		switch {
		case o.kind == put || o.kind == swap:
			puts[o.value] = true
		case o.kind != remove:
		case !o.known:
			unanswered[o.key]++
		case o.done:
			if removals[o.key] == nil {
				removals[o.key] = map[int64]bool{}
			}
			removals[o.key][o.revision] = true
		}
	}
	for _, event := range h.events {
		key := string(event.Kv.Key)
		switch {
		case event.Type == mvccpb.PUT && !puts[string(event.Kv.Value)]:
			return fmt.Errorf("revision %d puts %q = %q, which nobody asked for", event.Kv.ModRevision, key, event.Kv.Value)
		case event.Type == mvccpb.PUT || removals[key][event.Kv.ModRevision] || strings.HasPrefix(key, "lease/"):
		case unanswered[key] == 0:
			return fmt.Errorf("revision %d deletes %q, which nobody asked for, or not so often", event.Kv.ModRevision, key)
		default:
			unanswered[key]--
		}
	}
	return nil
}

// checkOperations looks for each operation in history, and at what it says of itself.
func (h *history) checkOperations(r *record, t *tally) error {
	var failures []error
	for _, o := range r.operations {
		var err error
		switch {
		case !o.known && o.writes():
			t.undecided++
			if o.kind != remove && h.byValue[o.value] != nil {
				t.landed++
			}
		case !o.known:
		case o.writes():
			err = h.checkWrite(o, t)
		default:
			err = h.checkRead(o, t)
		}
		if err != nil && len(failures) < 10 {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

func (h *history) checkWrite(o *operation, t *tally) error {
	before := h.at(o.key, o.revision-1)
	now := h.at(o.key, o.revision)
	if !o.done {
		t.refused++
		switch {
		case o.kind == swap && h.byValue[o.value] != nil:
			return fmt.Errorf("refused, and yet in history: %v", o)
		case o.kind == swap && now.GetModRevision() == o.expected:
			return fmt.Errorf("refused, though the key was as expected: %v", o)
		case o.kind == remove && now != nil:
			return fmt.Errorf("found nothing where there was {%v}: %v", now, o)
		}
		return nil
	}
	t.writes++
	switch {
	case o.kind == remove && (before == nil || now != nil):
		return fmt.Errorf("acknowledged and LOST: %v; history has {%v}, then {%v}", o, before, now)
	case o.kind == remove:
		return nil
	case h.byValue[o.value] == nil:
		return fmt.Errorf("acknowledged and LOST: %v", o)
	case now == nil || now.ModRevision != o.revision || string(now.Value) != o.value:
		return fmt.Errorf("acknowledged at another revision: %v; history has it at %d", o, h.byValue[o.value].Kv.ModRevision)
	case o.kind == swap && before.GetModRevision() != o.expected:
		return fmt.Errorf("swapped against {%v}: %v", before, o)
	}
	return nil
}

func (h *history) checkRead(o *operation, t *tally) error {
	switch o.kind {
	case glance:
		t.glances++
	case listing:
		t.lists++
	default:
		t.reads++
	}
	if o.revision < h.from {
		if o.kind == glance {
			// A replica that was away shows what was before this episode; history here does not go back so far.
			return nil
		}
		return fmt.Errorf("a linearizable read showed revision %d, the episode began at %d: %v", o.revision, h.from, o)
	}
	if o.kind == listing {
		return h.checkList(o)
	}
	if want := h.at(o.key, o.revision); !proto.Equal(want, o.shown) && (want != nil || o.shown != nil) {
		return fmt.Errorf("a read showed what is not in history ({%v}): %v", want, o)
	}
	return nil
}

// checkOrder is strict serializability by revision: whatever was answered before a request was sent, through any
// replica, is in the answer; two writes never have one revision.
func checkOrder(operations []*operation) error {
	var all []*operation
	for _, o := range operations {
		if o.known && o.kind != glance {
			all = append(all, o)
		}
	}
	ends := slices.SortedFunc(slices.Values(all), func(a, b *operation) int { return cmp.Compare(a.end, b.end) })
	calls := slices.SortedFunc(slices.Values(all), func(a, b *operation) int { return cmp.Compare(a.call, b.call) })
	var newest *operation
	next := 0
	wrote := map[int64]*operation{}
	for _, o := range calls {
		for ; next < len(ends) && ends[next].end < o.call; next++ {
			if newest == nil || ends[next].revision > newest.revision {
				newest = ends[next]
			}
		}
		if newest != nil && (o.revision < newest.revision || o.done && o.revision == newest.revision) {
			return fmt.Errorf("revision went back: %v was answered before this was asked: %v", newest, o)
		}
		if o.done {
			if other := wrote[o.revision]; other != nil {
				return fmt.Errorf("two writes at one revision: %v and %v", other, o)
			}
			wrote[o.revision] = o
		}
	}
	return nil
}

// checkWatched compares what a watcher saw with history: the same events, all of them.
func (h *history) checkWatched(name string, seen []arrival) error {
	for i, each := range seen {
		if i >= len(h.events) {
			return fmt.Errorf("the watcher of %s saw {%v} beyond the end of history", name, each.event)
		}
		if !proto.Equal(each.event, h.events[i]) {
			return fmt.Errorf("the watcher of %s saw {%v}, history has {%v}", name, each.event, h.events[i])
		}
	}
	if len(seen) != len(h.events) {
		return fmt.Errorf("the watcher of %s saw %d events, history has %d", name, len(seen), len(h.events))
	}
	return nil
}

// shown is the first moment at which a watcher saw a revision, if one did.
func (r *record) shown() map[int64]time.Duration {
	first := map[int64]time.Duration{}
	for _, seen := range r.watched {
		for _, each := range seen {
			at, ok := first[each.event.Kv.ModRevision]
			if !ok || each.at < at {
				first[each.event.Kv.ModRevision] = each.at
			}
		}
	}
	return first
}
