package account

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Region is one address of the account.
type Region struct {
	Name     string
	account  *Account
	listener net.Listener
	server   *http.Server

	// Under the account's lock.

	// gone tells that the region is not part of the account any more.
	gone bool
	// down is how the region fails to answer; empty if it answers.
	down Kind
	// copy is what a region that lags shows; nil if it shows everything.
	copy *copied
}

func (r *Region) listen(port int) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	r.listener = listener
	r.server = &http.Server{Handler: r}
	go func() {
		if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
	return nil
}

func (r *Region) close() {
	// Nobody waits for requests that are under way.
	_ = r.server.Close()
	if r.copy != nil {
		r.copy.stop()
	}
}

// Address is host:port.
func (r *Region) Address() string { return r.listener.Addr().String() }

// URL is what the account's document says of it.
func (r *Region) URL() string { return "http://" + r.Address() + "/" }

// ServeHTTP is one request's way: half of the delay, what strikes before it takes effect, the emulator, what strikes
// afterwards, the other half.
func (r *Region) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	a := r.account
	if r == a.global {
		r = a.Regions()[0]
	}
	q, refused := parse(request)
	a.halfWay(request)
	answer := refused
	if answer == nil {
		answer = r.answer(q)
	}
	a.counts.add(r.Name, q.operation, len(q.body), answer)
	if answer.lost {
		answer.hold(request)
		// The connection ends, and nothing was said.
		panic(http.ErrAbortHandler)
	}
	a.halfWay(request)
	answer.write(w)
}

// answer is what the region has to say, whether that is the emulator's or not.
func (r *Region) answer(q *query) *answer {
	a := r.account
	if refused := r.refuses(q); refused != nil {
		return refused
	}
	if q.operation == accountRead {
		return a.document()
	}
	struck := a.draw(r, q)
	if struck != nil && struck.before() {
		return struck.refusal()
	}
	if refused := a.throttle(q); refused != nil {
		return refused
	}
	if struck != nil && struck.Kind == Late {
		go a.later(r, q, struck.Wait)
		return lostAnswer()
	}
	given := a.effect(r, q)
	a.spend(given.charge)
	if struck != nil {
		return struck.instead(given)
	}
	return given
}

// refuses is what follows from the state that the account is in, without any draw.
func (r *Region) refuses(q *query) *answer {
	a := r.account
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.down != "" {
		return (&Strike{Kind: r.down}).refusal()
	}
	if r.gone {
		return refusal(http.StatusForbidden, 1008, "the account does not exist in this region")
	}
	if a.key != "" && !q.provenWith(a.key, time.Now()) {
		return refusal(http.StatusUnauthorized, 0, "The input authorization token can't serve the request.")
	}
	if q.writes() && !a.options.MultipleWrites {
		return a.elsewhere(r)
	}
	return nil
}

// later lets a request take effect when its client has given up.
func (a *Account) later(r *Region, q *query, wait time.Duration) {
	time.Sleep(wait)
	given := a.effect(r, q)
	a.spend(given.charge)
	a.counts.add(r.Name, q.operation+" late", len(q.body), given)
}
