package replicas

import (
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	"conformance/store"
)

// Cut is what a proxy does to what comes.
type Cut int

const (
	// Through lets everything pass.
	Through Cut = iota
	// Refused closes connections, as a machine does on which nobody listens.
	Refused
	// Swallowed lets bytes vanish and connections stay open, as a firewall does.
	Swallowed
	// Deaf lets what callers say vanish; answers pass.
	Deaf
	// Mute lets answers vanish; what callers say arrives.
	Mute
	// Slow holds up whatever passes, in both directions.
	Slow
)

// lag is how long a slow way takes, each time something is sent.
const lag = 40 * time.Millisecond

// loses tells whether bytes of one direction vanish.
func (c Cut) loses(answers bool) bool {
	return c == Swallowed || c == Mute && answers || c == Deaf && !answers
}

// Proxy forwards TCP to one address until it is cut, for all callers or for some.
type Proxy struct {
	listener net.Listener
	target   string
	// caller names who has connected, for rules about some; nil if nobody asks.
	caller func(net.Addr) string

	mu    sync.Mutex
	how   Cut
	by    map[string]Cut
	pairs map[*pair]bool
}

// pair is one connection of a caller and ours behind it.
type pair struct {
	from, to net.Conn
	caller   string
}

func (p *pair) close() {
	p.from.Close()
	p.to.Close()
}

// NewProxy listens on a free port of loopback.
func NewProxy(target string) (*Proxy, error) {
	ports, err := store.FreePorts(1)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: target, by: map[string]Cut{}, pairs: map[*pair]bool{}}
	go p.accept()
	return p, nil
}

// Address is host:port to reach the target by.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Close ends the proxy and what goes through it.
func (p *Proxy) Close() {
	p.listener.Close()
	p.Set(Refused)
}

// Set changes what happens from now on, to the named callers, or to all. Connections that have lost something are closed
// when that ends: nothing after a gap ever passes.
func (p *Proxy) Set(how Cut, callers ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, old := p.how, maps.Clone(p.by)
	if len(callers) == 0 {
		p.how = how
		clear(p.by)
	}
	for _, caller := range callers {
		p.by[caller] = how
	}
	for each := range p.pairs {
		before, now := rule(was, old, each.caller), p.stateLocked(each.caller)
		if now == Refused || before != now && (before.loses(true) || before.loses(false)) {
			each.close()
		}
	}
}

func rule(all Cut, by map[string]Cut, caller string) Cut {
	if how, ok := by[caller]; ok {
		return how
	}
	return all
}

func (p *Proxy) stateLocked(caller string) Cut { return rule(p.how, p.by, caller) }

func (p *Proxy) state(caller string) Cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stateLocked(caller)
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(conn)
	}
}

func (p *Proxy) serve(from net.Conn) {
	defer from.Close()
	one := &pair{from: from}
	if p.caller != nil {
		one.caller = p.caller(from.RemoteAddr())
	}
	if p.state(one.caller) == Refused {
		return
	}
	var err error
	if one.to, err = net.Dial("tcp", p.target); err != nil {
		return
	}
	defer one.to.Close()
	if !p.note(one) {
		return
	}
	defer p.forget(one)
	ended := make(chan struct{}, 2)
	for _, answers := range []bool{false, true} {
		go func() {
			p.pump(one, answers)
			ended <- struct{}{}
		}()
	}
	<-ended
}

// pump copies one direction until a side ends. What is lost is read and dropped, and Set closes the connection before
// anything passes again.
func (p *Proxy) pump(one *pair, answers bool) {
	from, to := one.from, one.to
	if answers {
		from, to = to, from
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		how := p.state(one.caller)
		if how.loses(answers) {
			continue
		}
		if how == Slow {
			time.Sleep(lag)
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *Proxy) note(one *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stateLocked(one.caller) == Refused {
		return false
	}
	p.pairs[one] = true
	return true
}

func (p *Proxy) forget(one *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, one)
}
