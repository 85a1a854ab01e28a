package replicas

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"conformance/postgres/clock"
)

// ways are the proxies that lead to a replica and from it to the journal.
type ways struct {
	// peers is what the other replicas connect to.
	peers *Proxy
	// clients is what clients connect to, nil unless they are to be cut off too.
	clients *Proxy
	// journal are the replica's own ways to each host of the journal's address.
	journal []*Proxy
}

func (w *ways) all() []*Proxy {
	var all []*Proxy
	for _, p := range append([]*Proxy{w.peers, w.clients}, w.journal...) {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

// lay makes the ways of a replica and returns the journal's address as it shall use it.
func (r *Replica) lay() (journal string, err error) {
	if r.ways.peers, err = NewProxy(r.Peer()); err != nil {
		return "", err
	}
	r.ways.peers.caller = r.set.named
	if !r.set.options.Ways {
		return r.set.options.Journal, nil
	}
	if r.ways.clients, err = NewProxy(r.Endpoint); err != nil || r.set.options.Journal == "" {
		return "", err
	}
	address, err := url.Parse(r.set.options.Journal)
	if err != nil {
		return "", err
	}
	var hosts []string
	for _, host := range strings.Split(address.Host, ",") {
		p, err := NewProxy(host)
		if err != nil {
			return "", err
		}
		r.ways.journal = append(r.ways.journal, p)
		hosts = append(hosts, p.Address())
	}
	address.Host = strings.Join(hosts, ",")
	return address.String(), nil
}

// ForClients is host:port where clients that may be cut off connect.
func (r *Replica) ForClients() string {
	if r.ways.clients == nil {
		return r.Endpoint
	}
	return r.ways.clients.Address()
}

// Cut is done to what the others send to the replica: to all of them, or to those that are named.
func (r *Replica) Cut(how Cut, callers ...string) { r.ways.peers.Set(how, callers...) }

// Isolate does it to what the replica sends to the others too.
func (r *Replica) Isolate(how Cut) {
	r.Cut(how)
	for _, other := range r.set.Others(r) {
		other.Cut(how, r.Name)
	}
}

// CutClients does it to all clients of the replica.
func (r *Replica) CutClients(how Cut) { r.ways.clients.Set(how) }

// CutJournal does it to the replica's ways to the journal.
func (r *Replica) CutJournal(how Cut) {
	for _, p := range r.ways.journal {
		p.Set(how)
	}
}

// Skew sets the replica's wall clock off by so much, from now on.
func (r *Replica) Skew(off time.Duration) error { return clock.Set(r.clockFile(), off) }

const clockName = "clock"

func (r *Replica) clockFile() string { return filepath.Join(r.Dir, clockName) }

// named finds the replica whose process has the other end of a connection of loopback; empty if none has.
func (s *Set) named(address net.Addr) string {
	inode := inodeOf(address)
	if inode == "" {
		return ""
	}
	for _, r := range s.Replicas {
		if !r.Alive() {
			continue
		}
		open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", r.PID()))
		for _, descriptor := range open {
			// It may be closed by now.
			if to, err := os.Readlink(descriptor); err == nil && to == "socket:["+inode+"]" {
				return r.Name
			}
		}
	}
	return ""
}

// inodeOf is the kernel's number of the socket with this address here.
func inodeOf(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return ""
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	ending := fmt.Sprintf(":%04X", tcp.Port)
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 9 && strings.HasSuffix(fields[1], ending) {
			return fields[9]
		}
	}
	return ""
}
