package replicas

import (
	"fmt"
	"io"
	"net"
	"sync"

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
)

// Proxy forwards TCP to one address until it is cut.
type Proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	how   Cut
	pairs map[net.Conn]bool
	// healed is closed, and made anew, when nothing is swallowed any longer.
	healed chan struct{}
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
	p := &Proxy{listener: listener, target: target, pairs: map[net.Conn]bool{}, healed: make(chan struct{})}
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

// Set changes what happens from now on. What was swallowed is lost: its connections are closed when it ends.
func (p *Proxy) Set(how Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if how != Swallowed {
		if how == Refused || p.how == Swallowed {
			for conn := range p.pairs {
				conn.Close()
			}
		}
		close(p.healed)
		p.healed = make(chan struct{})
	}
	p.how = how
}

func (p *Proxy) state() (Cut, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.how, p.healed
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
	if how, _ := p.state(); how == Refused {
		return
	}
	to, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer to.Close()
	if !p.note(from, to) {
		return
	}
	defer p.forget(from, to)
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			p.pump(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}

// pump copies until one side ends; while bytes are swallowed they are read and dropped, so nothing after a gap
// ever passes on the same connection.
func (p *Proxy) pump(from io.Reader, to io.Writer) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if how, healed := p.state(); how == Swallowed {
			<-healed
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *Proxy) note(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.how == Refused {
		return false
	}
	for _, conn := range conns {
		p.pairs[conn] = true
	}
	return true
}

func (p *Proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		delete(p.pairs, conn)
	}
}
