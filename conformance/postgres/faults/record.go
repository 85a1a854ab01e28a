package main

import (
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// kind is what an operation asks for.
type kind int

const (
	put kind = iota
	remove
	swap
	get
	// glance is a serializable read: it may show the past, but only what was.
	glance
	// listing reads all keys, page by page at one revision.
	listing
)

func (k kind) String() string {
	return [...]string{"put", "delete", "swap", "get", "serializable get", "paged list"}[k]
}

// operation is what a client asked, when, and what it was told. Values are unique over a whole run.
type operation struct {
	client     int
	through    string
	kind       kind
	key, value string
	// expected is the mod_revision that a swap demands; zero is no key.
	expected int64
	// call and end are times since the episode began; end is set by an answer.
	call, end time.Duration
	// known tells that there was an answer. Without one a write may or may not have happened.
	known bool
	// done tells that a write changed something.
	done bool
	// revision is the answer's.
	revision int64
	// shown is the key as a read showed it, nil if it was not there.
	shown *mvccpb.KeyValue
	// listed is all that the pages of a list showed, and counted what the first said there was.
	listed  []*mvccpb.KeyValue
	counted int64
	// probe marks what only measures: it is judged by revision, not by search.
	probe bool
}

func (o *operation) writes() bool { return o.kind == put || o.kind == remove || o.kind == swap }

func (o *operation) String() string {
	return fmt.Sprintf("%v %s=%.40q through %s (expected %d; answered %v, done %v, revision %d, from %v to %v, showed {%v})",
		o.kind, o.key, o.value, o.through, o.expected, o.known, o.done, o.revision, o.call, o.end, o.shown)
}

// arrival is an event as a watcher saw it.
type arrival struct {
	event *mvccpb.Event
	at    time.Duration
}

// record is all that clients were told in one episode.
type record struct {
	began time.Time

	mu         sync.Mutex
	operations []*operation
	watched    map[string][]arrival
	pulses     map[pulse][]time.Duration
	faults     []string
	// deserted are replicas that ended by themselves.
	deserted []string
}

// pulse names one sign of life: what was asked and through whom.
type pulse struct{ what, through string }

const (
	writing  = "write"
	reading  = "read"
	glancing = "serializable read"
	watching = "watch"
)

func newRecord() *record {
	return &record{began: time.Now(), watched: map[string][]arrival{}, pulses: map[pulse][]time.Duration{}}
}

func (r *record) now() time.Duration { return time.Since(r.began) }

// begin notes an operation before it is sent.
func (r *record) begin(o *operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.call = r.now()
	r.operations = append(r.operations, o)
}

// answered notes the outcome of an operation that begin was called with.
func (r *record) answered(o *operation, done bool, revision int64, shown *mvccpb.KeyValue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.known, o.done, o.revision, o.shown, o.end = true, done, revision, shown, r.now()
}

// sign notes that something answered now.
func (r *record) sign(what, through string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := pulse{what, through}
	r.pulses[p] = append(r.pulses[p], r.now())
}

// saw notes the events of one watch reply.
func (r *record) saw(through string, events []*mvccpb.Event) {
	if len(events) == 0 {
		return
	}
	r.sign(watching, through)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, event := range events {
		r.watched[through] = append(r.watched[through], arrival{event, r.now()})
	}
}

// reached is the newest revision that a watcher has seen.
func (r *record) reached(through string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seen := r.watched[through]; len(seen) > 0 {
		return seen[len(seen)-1].event.Kv.ModRevision
	}
	return 0
}

// last is when something answered last; zero if it never did.
func (r *record) last(what, through string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if all := r.pulses[pulse{what, through}]; len(all) > 0 {
		return all[len(all)-1]
	}
	return 0
}

func (r *record) fault(format string, values ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, values...))
}
