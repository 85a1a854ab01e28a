package main

import (
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// write is one key that an operation changes. Values are unique over the whole run, so that
// an event tells which operation made it.
type write struct {
	key    string
	value  string
	remove bool
}

// operation is what a client asked and what it was told.
type operation struct {
	writes []write
	// known is set by an answer; without one the operation may or may not have happened.
	known bool
	// revision is what the answer said; zero means that it was told that nothing happened.
	revision int64
	// expected is the mod_revision a compare demanded of the key, -1 if none.
	expected int64
	// landed is the revision at which history has it.
	landed int64
}

func (o *operation) String() string {
	return fmt.Sprintf("%+v (answered %v, revision %d, landed %d)", o.writes, o.known, o.revision, o.landed)
}

// sight is a key as a read showed it.
type sight struct {
	key, value string
	revision   int64
}

// lease is one lease of the run, kept alive or left to expire.
type lease struct {
	id   int64
	ttl  time.Duration
	kept bool
	// renewed is when the newest answered grant or keep-alive was sent: it cannot end sooner
	// than ttl after that.
	renewed time.Time
	gone    bool
}

// record is all that the clients of one round were told.
type record struct {
	mu         sync.Mutex
	operations []*operation
	sights     []sight
	watched    [][]*mvccpb.Event
	highest    int64
	highestBy  string
	hashes     []hash
	faults     []string
	// writes and reads are when they were last answered, and the longest that they were not.
	writes, reads pulse
	// refused counts the operations for which there was no room, watchesEnded the watches that ended.
	refused, watchesEnded int
}

// pulse is the rhythm of answers.
type pulse struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
}

// beat notes an answer.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.After(p.last) {
		if !p.last.IsZero() {
			p.longest = max(p.longest, now.Sub(p.last))
		}
		p.last = now
	}
}

func (p *pulse) since() (last time.Time, longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.longest
}

// hash is a HashKV answer.
type hash struct {
	revision, compacted int64
	value               uint32
}

func (r *record) add(o *operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.operations = append(r.operations, o)
}

// answered notes the outcome of an operation that add was called with.
func (r *record) answered(o *operation, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.known, o.revision = true, revision
	if revision > 0 {
		r.writes.beat()
	}
}

// saw notes a revision that was shown to a client in any way.
func (r *record) saw(revision int64, by string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if revision > r.highest {
		r.highest, r.highestBy = revision, by
	}
}

func (r *record) fault(format string, values ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, values...))
}
