package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// searchLimit bounds the search for one order of all operations; running out of it is a failure to judge.
const searchLimit = 2 * time.Minute

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
	// unknown is a deletion without an answer: it may have happened or not.
	unknown  bool
	done     bool
	revision int64
	shown    register
}

// model is one register a key, which deletions without an answer may have emptied.
func model(before map[string]register) porcupine.Model {
	nondeterministic := porcupine.NondeterministicModel{
		Partition: byKey,
		Init:      func() []any { return []any{keyState{}} },
		Step: func(was, asked, answered any) []any {
			state, q := was.(keyState), asked.(question)
			if !state.begun {
				state = keyState{register: before[q.key], begun: true}
			}
			var next []any
			for _, each := range step(state, q, answered.(answer)) {
				next = append(next, each)
			}
			return next
		},
	}
	return nondeterministic.ToModel()
}

// keyState begins with what the key held before the first operation, which only that operation's key tells.
type keyState struct {
	register
	begun bool
}

// step gives the states that a key may be in after an operation that was answered so; none if it cannot be.
func step(s keyState, q question, a answer) []keyState {
	empty := keyState{begun: true}
	written := keyState{register: register{q.value, a.revision}, begun: true}
	possible := false
	next := s
	switch q.kind {
	case put:
		possible, next = a.revision > s.mod, written
	case swap:
		possible = a.done == (s.mod == q.expected)
		if a.done {
			next = written
		}
	case remove:
		if a.unknown {
			return []keyState{s, empty}
		}
		possible, next = a.done == (s.mod != 0), empty
	case get:
		possible = a.shown == s.register
	}
	if !possible {
		return nil
	}
	return []keyState{next}
}

// search looks for an order of the operations on each shared key that explains all answers. Writes without an answer
// are resolved by history: what never landed did not happen, and what a watcher saw had happened by then.
func (h *history) search(r *record, failure string) (int, error) {
	before := map[string]register{}
	for key, kv := range h.before {
		before[key] = register{string(kv.Value), kv.ModRevision}
	}
	operations := h.operations(r)
	m := model(before)
	result, info := porcupine.CheckOperationsVerbose(m, operations, searchLimit)
	switch result {
	case porcupine.Ok:
		return len(operations), nil
	case porcupine.Unknown:
		// Requests without an answer multiply the orders. Order by revision has been judged all the same.
		fmt.Printf("  not searched: %d operations have too many orders for %v\n", len(operations), searchLimit)
		return 0, nil
	}
	if file, err := os.Create(failure); err == nil {
		defer file.Close()
		if err := porcupine.Visualize(m, info, file); err == nil {
			return 0, fmt.Errorf("no order explains the answers: %s shows them", failure)
		}
	}
	return 0, fmt.Errorf("no order explains the answers")
}

func (h *history) operations(r *record) []porcupine.Operation {
	shown := r.shown()
	end := int64(r.now())
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
			if !o.writes() || o.kind != remove && event == nil {
				continue
			}
			finished = end
			if o.kind == remove {
				a.unknown = true
			} else {
				a.done, a.revision = true, event.Kv.ModRevision
				if at, seen := shown[a.revision]; seen {
					finished = int64(at)
				}
			}
		}
		all = append(all, porcupine.Operation{ClientId: o.client, Input: question{o.kind, o.key, o.value, o.expected},
			Call: int64(o.call), Output: a, Return: finished})
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
