package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// seen is one event of a watch.
type seen struct {
	revision int64
	key      string
	kind     watch.EventType
	written  bool
}

// recording is everything one raw watch of all config maps delivered, from one revision on. A watch
// that ends is taken up again where it stood, as every Kubernetes client does, and counted.
type recording struct {
	name     string
	mu       sync.Mutex
	events   []seen
	at       int64
	resumed  int
	problems []string
}

// follow watches until ctx ends.
func (r *recording) follow(ctx context.Context, client kubernetes.Interface) {
	for first := true; ctx.Err() == nil; first = false {
		r.mu.Lock()
		from := strconv.FormatInt(r.at, 10)
		if !first {
			r.resumed++
		}
		r.mu.Unlock()
		stream, err := client.CoreV1().ConfigMaps("").Watch(ctx,
			metav1.ListOptions{ResourceVersion: from, AllowWatchBookmarks: true})
		if err != nil {
			pause(ctx, 200*time.Millisecond)
			continue
		}
		for event := range stream.ResultChan() {
			r.take(event)
		}
		stream.Stop()
		pause(ctx, 50*time.Millisecond)
	}
}

// take records one event and holds it against the order of those before.
func (r *recording) take(event watch.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	object, ok := event.Object.(*corev1.ConfigMap)
	if !ok {
		r.problems = append(r.problems, fmt.Sprintf("%s %v", event.Type, event.Object))
		return
	}
	revision := revisionOf(object)
	if event.Type == watch.Bookmark {
		if revision < r.at {
			r.problems = append(r.problems, fmt.Sprintf("bookmark %d after %d", revision, r.at))
		}
		r.at = max(r.at, revision)
		return
	}
	if revision <= r.at {
		r.problems = append(r.problems, fmt.Sprintf("%s %s at %d after %d", event.Type,
			keyOf(object), revision, r.at))
	}
	r.at = max(r.at, revision)
	r.events = append(r.events, seen{revision, keyOf(object), event.Type,
		object.Labels[ledgerLabel] != ""})
}

// position is the revision of what was delivered last.
func (r *recording) position() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// judge holds the events against the ledger: each acknowledged write after from exactly once and as
// what it was, each deletion exactly once, nothing else.
func (r *recording) judge(l *ledger, from int64) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	wrong := append([]string{}, r.problems...)
	found := map[int64]bool{}
	deleted := map[string]int{}
	for _, e := range r.events {
		if !e.written {
			continue
		}
		if e.kind == watch.Deleted {
			deleted[e.key]++
			continue
		}
		want, acked := l.acked[e.revision]
		_, doubted := l.doubtful[e.key]
		found[e.revision] = true
		if acked && want != (entry{e.key, e.kind}) {
			wrong = append(wrong, fmt.Sprintf("%d: %s %s, written as %s %s", e.revision, e.kind,
				e.key, want.kind, want.key))
		}
		if !acked && !doubted {
			wrong = append(wrong, fmt.Sprintf("%d: %s %s was never written", e.revision, e.kind,
				e.key))
		}
	}
	for revision, e := range l.acked {
		if revision > from && !found[revision] {
			wrong = append(wrong, fmt.Sprintf("%d: %s %s was not delivered", revision, e.kind,
				e.key))
		}
	}
	return append(wrong, judgeDeletions(l, deleted)...)
}

func judgeDeletions(l *ledger, deleted map[string]int) []string {
	var wrong []string
	for key := range l.removed {
		if deleted[key] != 1 {
			wrong = append(wrong, fmt.Sprintf("deletion of %s delivered %d times", key,
				deleted[key]))
		}
	}
	for key, times := range deleted {
		if doubt, doubted := l.doubtful[key]; doubted && doubt == watch.Deleted && times == 1 {
			continue
		}
		if !l.removed[key] {
			wrong = append(wrong, fmt.Sprintf("%s delivered as deleted and never was", key))
		}
	}
	return wrong
}
