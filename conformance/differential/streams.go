package main

import (
	"fmt"
	"time"
)

// counts gives, per watcher, the events that came and whether it was canceled, and when the
// stream was last heard.
func (w *watchStream) counts() ([]int64, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := make([]int64, 0, 2*len(w.watchers))
	for _, each := range w.watchers {
		if each.cut {
			counts = append(counts, 0, 0)
			continue
		}
		canceled := int64(0)
		if each.canceled != nil {
			canceled = 1
		}
		counts = append(counts, int64(len(each.events)), canceled)
	}
	return counts, w.lastSeen
}

// hasEnded tells whether a compaction has canceled a watcher that etcd still keeps.
func (w *watchStream) hasEnded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ended) > 0
}

// notices counts the progress notices for the whole stream.
func (w *watchStream) notices() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.progress)
}

// compareStreams compares two streams watcher by watcher: the created response, the events as
// one list (how they are batched is the server's choice) and the end. What was compared and
// found equal is dropped.
func compareStreams(number int, want, got *watchStream) []Diff {
	want.mu.Lock()
	defer want.mu.Unlock()
	got.mu.Lock()
	defer got.mu.Unlock()
	return collect(func(emit emitDiff) {
		prefix := fmt.Sprintf("stream[%d].", number)
		for _, rule := range want.broken {
			emit(prefix+"broken by etcd", rule, "", nil)
		}
		for _, rule := range got.broken {
			emit(prefix+"broken", "", rule, nil)
		}
		want.broken, got.broken = nil, nil
		if fmt.Sprint(want.end) != fmt.Sprint(got.end) {
			emit(prefix+"end", want.end, got.end, nil)
		}
		if len(want.watchers) != len(got.watchers) {
			emit(prefix+"watchers", len(want.watchers), len(got.watchers), nil)
		}
		for i := range min(len(want.watchers), len(got.watchers)) {
			place := fmt.Sprintf("%swatchers[%d].", prefix, i)
			compareWatchers(place, want.watchers[i], got.watchers[i], emit)
		}
	})
}

func compareWatchers(place string, want, got *watcher, emit emitDiff) {
	if got.cut {
		want.events, got.events = nil, nil
		return
	}
	compareMessages(place+"created.", want.created.ProtoReflect(), got.created.ProtoReflect(),
		nil, emit)
	same := min(len(want.events), len(got.events))
	for i := range same {
		compareMessages(fmt.Sprintf("%sevents[%d].", place, i), want.events[i].ProtoReflect(),
			got.events[i].ProtoReflect(), nil, emit)
	}
	if len(want.events) != len(got.events) {
		emit(place+"events missing or extra", fmt.Sprint(want.events[same:]),
			fmt.Sprint(got.events[same:]), nil)
	}
	want.events, got.events = nil, nil
	if (want.again == nil) != (got.again == nil) {
		emit(place+"canceled again", presenceText(want.again), presenceText(got.again), nil)
	}
	if (want.canceled == nil) != (got.canceled == nil) {
		emit(place+"canceled", presenceText(want.canceled), presenceText(got.canceled), nil)
	} else if want.canceled != nil {
		compareMessages(place+"canceled.", want.canceled.ProtoReflect(), got.canceled.ProtoReflect(), nil, emit)
	}
}
