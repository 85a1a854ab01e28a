package account

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Kind is one way in which a request goes wrong.
type Kind string

const (
	// LostReply closes the connection when the request has taken effect.
	LostReply Kind = "lost-reply"
	// LostRequest closes it and the request takes no effect.
	LostRequest Kind = "lost-request"
	// Late closes it, and the request takes effect later.
	Late Kind = "late"
	// Silent keeps the connection open and answers nothing; there is no effect.
	Silent Kind = "silent"
	// SilentAfter does so when the request has taken effect.
	SilentAfter Kind = "silent-after"
	// Throttled is 429 with substatus 3200: more request units were asked for than are granted.
	Throttled Kind = "throttled"
	// RetryWith is 449: the request met another and has to be sent again.
	RetryWith Kind = "retry-with"
	// TimedOut is 408 without effect, TimedOutAfter with it; nothing in the reply tells which.
	TimedOut      Kind = "timed-out"
	TimedOutAfter Kind = "timed-out-after"
	// Gone is 410 with substatus 1002, as while a partition moves.
	Gone Kind = "gone"
	// Unavailable is 503 without effect, UnavailableAfter with it.
	Unavailable      Kind = "unavailable"
	UnavailableAfter Kind = "unavailable-after"
	// WriteForbidden is 403 with substatus 3: this is not the write region.
	WriteForbidden Kind = "write-forbidden"
	// Broken is 500.
	Broken Kind = "broken"
)

// Kinds are all of them.
var Kinds = []Kind{LostReply, LostRequest, Late, Silent, SilentAfter, Throttled, RetryWith, TimedOut, TimedOutAfter, Gone,
	Unavailable, UnavailableAfter, WriteForbidden, Broken}

// withoutEffect tells that the request never reaches the store.
func (k Kind) withoutEffect() bool {
	return !slices.Contains([]Kind{LostReply, Late, SilentAfter, TimedOutAfter, UnavailableAfter}, k)
}

// Strike is a rule for whom something goes wrong.
type Strike struct {
	Kind Kind
	// Operation is what is struck: create, read, query, delete, replace, upsert, batch, metadata, or everything that has
	// to do with items if it is empty.
	Operation string
	// Region is where; everywhere if it is empty.
	Region string
	// Share of those requests that are struck; all of them if zero.
	Share float64
	// Count is how many are struck before it is over; without limit if zero.
	Count int
	// For is how long it lasts; without limit if zero.
	For time.Duration
	// Wait is what a reply says about trying again, and how late a late request takes effect.
	Wait  time.Duration
	begun time.Time
	// Struck counts.
	Struck int
}

// Strike begins a fault.
func (a *Account) Strike(s Strike) error {
	if !slices.Contains(Kinds, s.Kind) {
		return fmt.Errorf("there is no fault %q, only %v", s.Kind, Kinds)
	}
	if s.Region != "" {
		if _, err := a.Region(s.Region); err != nil {
			return err
		}
	}
	s.begun = time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.strikes = append(a.strikes, &s)
	return nil
}

// Struck is how many requests have been struck by a draw since the account began.
func (a *Account) Struck() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.struck
}

// Heal ends all strikes, and regions that are down are up.
func (a *Account) Heal() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.strikes = nil
	for _, r := range a.regions {
		r.down = ""
	}
}

// draw decides what happens to a request.
func (a *Account) draw(r *Region, q *query) *Strike {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.strikes = slices.DeleteFunc(a.strikes, (*Strike).over)
	for _, s := range a.strikes {
		if s.meets(r, q) && (s.Share == 0 || a.random.Float64() < s.Share) {
			s.Struck++
			a.struck++
			return s
		}
	}
	return nil
}

func (s *Strike) over() bool {
	return s.Count > 0 && s.Struck >= s.Count || s.For > 0 && time.Since(s.begun) > s.For
}

func (s *Strike) meets(r *Region, q *query) bool {
	if s.Region != "" && s.Region != r.Name {
		return false
	}
	if s.Operation == "" {
		return q.ofItem()
	}
	return s.Operation == q.operation
}

// before tells whether the request is refused at the door.
func (s *Strike) before() bool { return s.Kind.withoutEffect() }

// refusal is what a struck request gets.
func (s *Strike) refusal() *answer {
	switch s.Kind {
	case LostReply, LostRequest, Late:
		return lostAnswer()
	case Silent, SilentAfter:
		return &answer{lost: true, held: -1}
	case Throttled:
		return throttled(s.Wait)
	case RetryWith:
		return waiting(refusal(449, 0, "The operation encountered a transient error."), s.Wait)
	case TimedOut, TimedOutAfter:
		return refusal(http.StatusRequestTimeout, 0, "Request timed out.")
	case Gone:
		return refusal(http.StatusGone, 1002, "The requested resource is no longer available at the server.")
	case WriteForbidden:
		return refusal(http.StatusForbidden, 3, "The requested operation cannot be performed at this region")
	case Broken:
		return refusal(http.StatusInternalServerError, 0, "Unknown server error occurred when processing this request.")
	}
	return refusal(http.StatusServiceUnavailable, 0, "Service is currently unavailable.")
}

// instead is what the client gets of a request that took effect; it is charged all the same.
func (s *Strike) instead(given *answer) *answer {
	said := s.refusal()
	said.charge = given.charge
	return said
}

// throttled is 429 as the service says it.
func throttled(wait time.Duration) *answer {
	const usual = 20 * time.Millisecond
	if wait == 0 {
		wait = usual
	}
	return waiting(refusal(http.StatusTooManyRequests, 3200, "Request rate is large. More Request Units may be needed, "+
		"so no changes were made. Please retry this request later."), wait)
}

func waiting(a *answer, wait time.Duration) *answer {
	if wait > 0 {
		a.header.Set("x-ms-retry-after-ms", strconv.FormatInt(wait.Milliseconds(), 10))
	}
	return a
}
