package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// kind is a resource: objects under one prefix, those numbered first to first+most-1.
type kind struct {
	prefix      string
	first, most int
}

const namespaces = 200

// World is what the store is to hold: every object's key and size follow from its number, so that
// nothing but its newest revision is kept here.
type World struct {
	kinds     []kind
	filled    int
	live      int64
	revisions []atomic.Int64
	pool      []byte
}

// NewWorld plans objects for most bytes: 10,000 of a kind of fixed size, 100,000 pods, 400,000 of a large
// custom resource, and then as many kinds of 100,000 as are needed.
func NewWorld(most int64) *World {
	w := &World{pool: value(1 << 20)}
	n := 0
	add := func(prefix string, count int) {
		w.kinds = append(w.kinds, kind{prefix, n, count})
		n += count
	}
	add("/registry/deployments/", 10_000)
	add("/registry/pods/", 100_000)
	add("/registry/example.com/reports/", 400_000)
	for int64(n) < most/2_500 {
		add(fmt.Sprintf("/registry/example.com/kind-%02d/", len(w.kinds)), 100_000)
	}
	w.revisions = make([]atomic.Int64, n)
	return w
}

func (w *World) kindOf(n int) kind {
	i, _ := slices.BinarySearchFunc(w.kinds, n, func(k kind, n int) int {
		if k.first+k.most <= n {
			return -1
		}
		return 1
	})
	return w.kinds[i]
}

// key is prefix, namespace, name, about 75 bytes.
func (w *World) key(n int) []byte { return objectKey(w.kindOf(n), n) }

func objectKey(k kind, n int) []byte {
	return fmt.Appendf(nil, "%snamespace-%03d/workload-7d4b9c6f5-%08d", k.prefix, n%namespaces, n)
}

// size of an object's value, 1 to 4 KiB, the same for each of its versions.
func size(n int) int {
	return 1024 + int(uint64(n+1)*0x9e3779b97f4a7c15>>33%3073)
}

// value of an object as protobuf would be: a magic and then bytes that do not compress to nothing.
func (w *World) value(n int) []byte {
	v := make([]byte, size(n))
	copy(v, "k8s\x00")
	copy(v[4:], w.pool[rand.IntN(len(w.pool)-4096):])
	return v
}

// extent of a kind: how many objects it has by now.
func (w *World) extent(k kind) int { return min(max(w.filled-k.first, 0), k.most) }

// bytes a kind's objects have by now, keys included.
func (w *World) bytes(k kind) int64 { return w.sum(k.first, k.first+w.extent(k)) }

// sum of the bytes of objects first to end-1, keys included.
func (w *World) sum(first, end int) (total int64) {
	for n := first; n < end; n++ {
		total += int64(len(w.kindOf(n).prefix) + len("namespace-000/workload-7d4b9c6f5-00000000") + size(n))
	}
	return total
}

// upTo is the number of objects with which target bytes are live.
func (w *World) upTo(target int64) int {
	n := w.filled
	for live := w.live; live < target && n < len(w.revisions); n++ {
		live += w.sum(n, n+1)
	}
	return n
}

// largest is the kind with the most objects.
func (w *World) largest() kind {
	return slices.MaxFunc(w.kinds, func(a, b kind) int { return w.extent(a) - w.extent(b) })
}

// keys of a kind's objects in the store's order.
func (w *World) keys(k kind) [][]byte {
	all := make([][]byte, 0, w.extent(k))
	for n := k.first; n < k.first+w.extent(k); n++ {
		all = append(all, objectKey(k, n))
	}
	slices.SortFunc(all, slices.Compare)
	return all
}

// written notes the revision an object was written at.
func (w *World) written(n int, revision int64) {
	for {
		was := w.revisions[n].Load()
		if was >= revision || w.revisions[n].CompareAndSwap(was, revision) {
			return
		}
	}
}

// prefixEnd is the first key behind all that begin with prefix.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	end[len(end)-1]++
	return end
}
