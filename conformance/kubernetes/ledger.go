package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// ledgerLabel marks the config maps that only the ledger writes.
const ledgerLabel = "conformance"

// entry is one acknowledged write of one key (namespace/name).
type entry struct {
	key  string
	kind watch.EventType
}

// ledger makes writes and remembers what was acknowledged, so that lists, watches and informers
// can be held against it. A key whose write failed without an answer is doubtful: either outcome
// is right for that one write, and the key is not written again. Safe for concurrent use.
type ledger struct {
	mu         sync.Mutex
	acked      map[int64]entry
	last       map[string]int64
	removed    map[string]bool
	doubtful   map[string]watch.EventType
	greatest   int64
	violations []string
}

func newLedger() *ledger {
	return &ledger{acked: map[int64]entry{}, last: map[string]int64{}, removed: map[string]bool{},
		doubtful: map[string]watch.EventType{}}
}

func revisionOf(object metav1.Object) int64 {
	n, err := strconv.ParseInt(object.GetResourceVersion(), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func keyOf(object metav1.Object) string { return object.GetNamespace() + "/" + object.GetName() }

// configMap is the object that is written: about a kibibyte, different at each revision.
func (l *ledger) configMap(key, revision, data string) *corev1.ConfigMap {
	namespace, name, _ := strings.Cut(key, "/")
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, ResourceVersion: revision,
			Labels: map[string]string{ledgerLabel: "ledger"}},
		Data: map[string]string{"value": data, "padding": strings.Repeat("x", 1024)},
	}
}

// floor is the greatest revision acknowledged so far: a write that begins now must get a greater
// one.
func (l *ledger) floor() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.greatest
}

// settle records the outcome of one create or update that began when floor was the greatest.
func (l *ledger) settle(key string, kind watch.EventType, floor int64,
	object *corev1.ConfigMap, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.doubtful[key] = kind
		return err
	}
	revision := revisionOf(object)
	if other, taken := l.acked[revision]; taken {
		l.violations = append(l.violations, fmt.Sprintf("revision %d given to %s and %s",
			revision, other.key, key))
	}
	if revision <= floor {
		l.violations = append(l.violations, fmt.Sprintf("%s got %d after %d was acknowledged",
			key, revision, floor))
	}
	l.acked[revision] = entry{key, kind}
	l.last[key] = revision
	l.greatest = max(l.greatest, revision)
	return nil
}

func (l *ledger) create(ctx context.Context, c kubernetes.Interface, key string) error {
	floor := l.floor()
	object := l.configMap(key, "", "created")
	got, err := c.CoreV1().ConfigMaps(object.Namespace).Create(ctx, object, metav1.CreateOptions{})
	return l.settle(key, watch.Added, floor, got, err)
}

// update replaces the value, at the revision acknowledged last: any other state is a conflict.
func (l *ledger) update(ctx context.Context, c kubernetes.Interface, key, data string) error {
	floor := l.floor()
	l.mu.Lock()
	object := l.configMap(key, strconv.FormatInt(l.last[key], 10), data)
	l.mu.Unlock()
	got, err := c.CoreV1().ConfigMaps(object.Namespace).Update(ctx, object, metav1.UpdateOptions{})
	return l.settle(key, watch.Modified, floor, got, err)
}

func (l *ledger) remove(ctx context.Context, c kubernetes.Interface, key string) error {
	namespace, name, _ := strings.Cut(key, "/")
	err := c.CoreV1().ConfigMaps(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.doubtful[key] = watch.Deleted
		return err
	}
	l.removed[key] = true
	return nil
}

// note records a write that the ledger did not make itself.
func (l *ledger) note(object metav1.Object, kind watch.EventType) {
	l.mu.Lock()
	defer l.mu.Unlock()
	revision := revisionOf(object)
	l.acked[revision] = entry{keyOf(object), kind}
	l.last[keyOf(object)] = revision
	l.greatest = max(l.greatest, revision)
}

// noteRemoved records a deletion that the ledger did not make itself.
func (l *ledger) noteRemoved(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed[key] = true
}

// compare holds a full listing (key → revision) against what was acknowledged.
func (l *ledger) compare(listed map[string]int64) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wrong []string
	for key, revision := range l.last {
		got, there := listed[key]
		doubt, doubted := l.doubtful[key]
		switch {
		case doubted && there && got >= revision, doubted && !there && doubt == watch.Deleted:
		case doubted && there:
			wrong = append(wrong, fmt.Sprintf("%s went back from %d to %d", key, revision, got))
		case l.removed[key] && there:
			wrong = append(wrong, fmt.Sprintf("%s was deleted and is there at %d", key, got))
		case !l.removed[key] && !there:
			wrong = append(wrong, fmt.Sprintf("%s acknowledged at %d is missing", key, revision))
		case !l.removed[key] && got != revision:
			wrong = append(wrong, fmt.Sprintf("%s acknowledged at %d is at %d", key, revision, got))
		}
	}
	for key := range listed {
		_, known := l.last[key]
		if _, doubted := l.doubtful[key]; !known && !doubted {
			wrong = append(wrong, key+" is there and was never written")
		}
	}
	return wrong
}

func (l *ledger) counts() (acked, doubtful int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked), len(l.doubtful)
}

// settled tells whether a key is there for certain, so that it may be deleted.
func (l *ledger) settled(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, doubted := l.doubtful[key]
	return l.last[key] > 0 && !doubted && !l.removed[key]
}
