package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// searchLimit bounds the search for one order of all operations.
const searchLimit = time.Minute

// register is what one key holds; mod is zero while it is not there.
type register struct {
	value string
	mod   int64
}

// question and answer are an operation as the search sees it.
type question struct {
	kind     kind
	key      string
	value    string
	expected int64
}

type answer struct {
	done     bool
	revision int64
	shown    register
}

// model is one register a key.
func model(before map[string]register) porcupine.Model {
	return porcupine.Model{
		Partition: byKey,
		Init:      func() any { return keyState{} },
		Step: func(was, asked, answered any) (bool, any) {
			state, q := was.(keyState), asked.(question)
			if !state.begun {
				state = keyState{register: before[q.key], begun: true}
				state.changed = state.mod
			}
			possible, next := step(state, q, answered.(answer))
			return possible, next
		},
	}
}

// keyState begins with what the key held before the first operation, which only that operation's key tells.
type keyState struct {
	register
	begun bool
	// changed is the revision of the newest change, which may be a deletion.
	changed int64
}

// step gives the state of a key after an operation that was answered so, if it can be.
func step(s keyState, q question, a answer) (possible bool, next keyState) {
	written := keyState{register: register{q.value, a.revision}, begun: true, changed: a.revision}
	switch {
	case q.kind == get:
		return a.shown == s.register, s
	case !a.done && q.kind == swap:
		return s.mod != q.expected, s
	case !a.done:
		return s.mod == 0, s
	case q.kind == put:
		return a.revision > s.changed, written
	case q.kind == swap:
		return a.revision > s.changed && s.mod == q.expected, written
	default:
		return a.revision > s.changed && s.mod != 0, keyState{begun: true, changed: a.revision}
	}
}

// search looks for an order of the operations on each shared key that explains all answers. Writes without an answer
// are resolved by history: what never landed did not happen, and what a watcher saw had happened by then. Too many
// orders are no verdict: order by revision is judged beside it.
func (h *history) search(r *record, failure string) (searched int, decided bool, err error) {
	before := map[string]register{}
	for key, kv := range h.before {
		before[key] = register{string(kv.Value), kv.ModRevision}
	}
	operations := h.operations(r)
	m := model(before)
	result, info := porcupine.CheckOperationsVerbose(m, operations, searchLimit)
	switch result {
	case porcupine.Ok:
		return len(operations), true, nil
	case porcupine.Unknown:
		fmt.Printf("  not searched: %d operations have too many orders for %v\n", len(operations), searchLimit)
		return 0, false, nil
	}
	if file, err := os.Create(failure); err == nil {
		defer file.Close()
		if err := porcupine.Visualize(m, info, file); err == nil {
			return 0, true, fmt.Errorf("no order explains the answers: %s shows them", failure)
		}
	}
	return 0, true, fmt.Errorf("no order explains the answers")
}

func (h *history) operations(r *record) []porcupine.Operation {
	shown := r.shown()
	end := int64(r.now())
	by := func(revision int64) int64 {
		if at, seen := shown[revision]; seen {
			return int64(at)
		}
		return end
	}
	var all []porcupine.Operation
	for _, o := range r.operations {
		if o.probe || o.kind == glance || !strings.HasPrefix(o.key, "shared/") {
			continue
		}
		a := answer{done: o.done, revision: o.revision}
		finished := int64(o.end)
		if o.shown != nil {
			a.shown = register{string(o.shown.Value), o.shown.ModRevision}
		}
		if !o.known {
			event := h.byValue[o.value]
			if o.kind != put && o.kind != swap || event == nil {
				continue
			}
			a.done, a.revision = true, event.Kv.ModRevision
			finished = by(a.revision)
		}
		all = append(all, porcupine.Operation{ClientId: o.client, Input: question{o.kind, o.key, o.value, o.expected},
			Call: int64(o.call), Output: a, Return: finished})
	}
	for _, d := range h.unclaimed(r) {
		// Whoever it was, it was asked for no sooner than the first deletion without an answer.
		all = append(all, porcupine.Operation{ClientId: nobody, Input: question{kind: remove, key: d.key}, Call: int64(d.call),
			Output: answer{done: true, revision: d.revision}, Return: by(d.revision)})
	}
	return all
}

// nobody is the client of what cannot be told apart.
const nobody = 1 << 20

// deletion is one that history has and nobody was told of.
type deletion struct {
	key      string
	revision int64
	call     time.Duration
}

// unclaimed are the deletions of shared keys that those without an answer made. One of these that made none found nothing,
// and changed nothing.
func (h *history) unclaimed(r *record) []deletion {
	claimed := map[int64]bool{}
	first := map[string]time.Duration{}
	for _, o := range r.operations {
		switch at, asked := first[o.key]; {
		case o.kind != remove:
		case o.known:
			claimed[o.revision] = claimed[o.revision] || o.done
		case !asked || o.call < at:
			first[o.key] = o.call
		}
	}
	var all []deletion
	for _, event := range h.events {
		key := string(event.Kv.Key)
		if event.Type == mvccpb.DELETE && strings.HasPrefix(key, "shared/") && !claimed[event.Kv.ModRevision] {
			all = append(all, deletion{key, event.Kv.ModRevision, first[key]})
		}
	}
	return all
}

// byKey takes the operations apart, since each key stands for itself.
func byKey(all []porcupine.Operation) [][]porcupine.Operation {
	keys := map[string][]porcupine.Operation{}
	for _, o := range all {
		key := o.Input.(question).key
		keys[key] = append(keys[key], o)
	}
	var parts [][]porcupine.Operation
	for _, part := range keys {
		parts = append(parts, part)
	}
	return parts
}
