package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// probing asks /livez and /readyz of the store every second, as a kubelet does with kubeadm's
// manifest, and keeps every failure and the time it began.
type probing struct {
	mu       sync.Mutex
	asked    int
	failures []failure
}

// failure is something that went wrong between two moments.
type failure struct {
	from, at time.Time
	what     string
}

// explained tells whether an outage touches it.
func (f failure) explained(outages []*outage) bool {
	return covered(outages, f.from) || covered(outages, f.at)
}

func (p *probing) follow(ctx context.Context, base string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		for _, path := range []string{"/livez", "/readyz"} {
			began := time.Now()
			body, err := fetch(ctx, client, base+path)
			if ctx.Err() == nil {
				p.take(began, time.Now(), path, body, err)
			}
		}
		pause(ctx, time.Second)
	}
}

func (p *probing) take(from, at time.Time, path, body string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if err != nil {
		p.failures = append(p.failures, failure{from, at, fmt.Sprintf("%s: %v", path, err)})
	} else if body != "ok\n" {
		p.failures = append(p.failures, failure{from, at, fmt.Sprintf("%s: %q", path, body)})
	}
}

// outside lists the failures that no outage explains.
func (p *probing) outside(outages []*outage) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, f := range p.failures {
		if !f.explained(outages) {
			all = append(all, f.at.Format("15:04:05.000 ")+f.what)
		}
	}
	return all
}

func (p *probing) counts() (asked, failed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked, len(p.failures)
}
