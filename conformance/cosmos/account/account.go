// Package account makes an emulator of Azure Cosmos DB look and strike like an account of the service: named regions, each
// at an address of its own; a write region that moves; regions that lag; keys; prices; limits; and requests or replies
// that are refused, delayed or lost. What the emulator keeps is never changed behind its back.
package account

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The consistency levels that an account may have, as its document names them.
const (
	Strong           = "Strong"
	BoundedStaleness = "BoundedStaleness"
	Session          = "Session"
)

// Options say what kind of account it is.
type Options struct {
	// Upstream is the emulator's address, without a slash at its end.
	Upstream string
	// Regions are the account's, the first takes writes; "West Europe" and "North Europe" if empty.
	Regions []string
	// Port is that of the account itself; a free one if zero.
	Port int
	// Ports are those of the regions, in their order; free ones if empty.
	Ports []int
	// Consistency is the account's default level; Strong if empty.
	Consistency string
	// MultipleWrites says in the account's document that every region takes writes, and lets them.
	MultipleWrites bool
	// Delay is what the way to the service takes, there and back together.
	Delay time.Duration
	// Key is the account's, in base64; nobody has to prove anything if empty.
	Key string
	// Throughput is how many request units a second the account grants; without limit if zero.
	Throughput float64
	// Page is how many items a page of a query holds at most; as many as there are if zero.
	Page int
	// Seed is what the draws of faults follow from.
	Seed uint64
}

// Account is the regions of one account and all that can be done to them.
type Account struct {
	options  Options
	upstream *upstream
	counts   counts
	offers   offers
	// effects is held for reading while a request takes effect, and for writing while a copy of everything is made.
	effects sync.RWMutex
	// order is held while something is written that regions which lag have to learn of.
	order sync.Mutex

	mu sync.Mutex
	// global is the account's own address, behind which the write region is.
	global  *Region
	regions []*Region
	writes  *Region
	moving  *move
	key     string
	strikes []*Strike
	struck  int
	random  *rand.Rand
	budget  budget
	delay   time.Duration
}

// New makes the account and starts to serve its regions.
func New(options Options) (*Account, error) {
	options.Consistency = cmp.Or(options.Consistency, Strong)
	if len(options.Regions) == 0 {
		options.Regions = []string{"West Europe", "North Europe"}
	}
	if len(options.Ports) > 0 && len(options.Ports) != len(options.Regions) {
		return nil, fmt.Errorf("%d ports for %d regions", len(options.Ports), len(options.Regions))
	}
	a := &Account{options: options, upstream: newUpstream(options.Upstream), key: options.Key, delay: options.Delay,
		random: rand.New(rand.NewPCG(options.Seed, 0)), budget: budget{rate: options.Throughput}}
	a.global = &Region{account: a}
	if err := a.global.listen(options.Port); err != nil {
		return nil, err
	}
	for i, name := range options.Regions {
		port := 0
		if len(options.Ports) > 0 {
			port = options.Ports[i]
		}
		if _, err := a.AddRegion(name, port); err != nil {
			a.Close()
			return nil, err
		}
	}
	a.writes = a.regions[0]
	return a, nil
}

// Close ends all regions; the emulator goes on.
func (a *Account) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.global.close()
	for _, r := range a.regions {
		r.close()
	}
}

// Region finds a region of this name.
func (a *Account) Region(name string) (*Region, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.find(name)
}

func (a *Account) find(name string) (*Region, error) {
	for _, r := range a.regions {
		if r.Name == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("there is no region %q", name)
}

// Regions are all that belong to the account now, the write region first.
func (a *Account) Regions() []*Region {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.regionsNow()
}

func (a *Account) regionsNow() []*Region {
	all := slices.DeleteFunc(slices.Clone(a.regions), func(r *Region) bool { return r.gone })
	slices.SortStableFunc(all, func(x, y *Region) int {
		switch {
		case x == a.writes:
			return -1
		case y == a.writes:
			return 1
		}
		return 0
	})
	return all
}

// URL is where the account is asked first; the write region is behind it, whichever that is.
func (a *Account) URL() string { return a.global.URL() }

// AddRegion lets the account have another region from now on; it holds all that there is. One that was taken out comes
// back where it was.
func (a *Account) AddRegion(name string, port int) (*Region, error) {
	if r, err := a.Region(name); err == nil && a.readmit(r) {
		return r, nil
	}
	r := &Region{Name: name, account: a}
	if err := r.listen(port); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.find(name); err == nil {
		r.close()
		return nil, fmt.Errorf("there is a region %q", name)
	}
	a.regions = append(a.regions, r)
	return r, nil
}

// readmit lets a region that was taken out be part of the account again.
func (a *Account) readmit(r *Region) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := r.gone
	r.gone = false
	return was
}

// RemoveRegion takes a region out of the account: its address answers that it knows no such account.
func (a *Account) RemoveRegion(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.find(name)
	if err != nil {
		return err
	}
	if r == a.writes {
		return errors.New("the write region cannot be taken out")
	}
	r.gone = true
	return nil
}

// SetDelay changes what the way to the service takes.
func (a *Account) SetDelay(delay time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.delay = delay
}

// SetKey makes this the only key of the account.
func (a *Account) SetKey(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.key = key
}

// halfWay waits for half of the delay.
func (a *Account) halfWay(r *http.Request) {
	a.mu.Lock()
	half := a.delay / 2
	a.mu.Unlock()
	pause(r, half)
}

func pause(r *http.Request, length time.Duration) {
	if length <= 0 {
		return
	}
	select {
	case <-r.Context().Done():
	case <-time.After(length):
	}
}
