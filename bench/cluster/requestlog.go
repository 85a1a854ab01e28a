package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// requestLog reads the API server's output as it is written. A line of its HTTP log gives the exact
// latency of one request, where the server's histograms begin at 5 ms; every other line goes on to
// the log file. Nothing of the HTTP log reaches the disk that the store syncs to.
type requestLog struct {
	mu      sync.Mutex
	rest    io.Writer
	partial []byte
	seen    map[string][]time.Duration
	odd     int
}

func newRequestLog(rest io.Writer) *requestLog {
	return &requestLog{rest: rest, seen: map[string][]time.Duration{}}
}

// Write takes output as it comes, in pieces of any size.
func (r *requestLog) Write(piece []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.partial = append(r.partial, piece...)
	for {
		end := bytes.IndexByte(r.partial, '\n')
		if end < 0 {
			break
		}
		r.line(r.partial[:end+1])
		r.partial = r.partial[end+1:]
	}
	return len(piece), nil
}

func (r *requestLog) line(raw []byte) {
	text := string(raw)
	_, rest, isRequest := strings.Cut(text, `] "HTTP" verb="`)
	if !isRequest {
		// A log that cannot be written must not stop the API server.
		_, _ = r.rest.Write(raw)
		return
	}
	verb, rest, _ := strings.Cut(rest, `"`)
	_, rest, _ = strings.Cut(rest, `URI="`)
	uri, rest, _ := strings.Cut(rest, `"`)
	_, rest, _ = strings.Cut(rest, `latency="`)
	latency, _, _ := strings.Cut(rest, `"`)
	took, err := time.ParseDuration(latency)
	if err != nil {
		r.odd++
		return
	}
	if counted(verb) && isResource(uri) {
		r.seen[verb] = append(r.seen[verb], took)
	}
}

// counted leaves out what lasts as long as its client wants.
func counted(verb string) bool {
	return !strings.HasPrefix(verb, "WATCH") && verb != "CONNECT"
}

// isResource leaves out discovery, health and metrics, which never reach the store.
func isResource(uri string) bool {
	path, query, _ := strings.Cut(uri, "?")
	if strings.Contains("&"+query, "&watch=true") || strings.Contains("&"+query, "&watch=1") {
		return false
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	return parts[0] == "api" && len(parts) >= 3 || parts[0] == "apis" && len(parts) >= 4
}

// take gives the latencies seen since it was last called, in order of size, by verb.
func (r *requestLog) take() map[string][]time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.seen
	r.seen = map[string][]time.Duration{}
	for _, all := range taken {
		slices.Sort(all)
	}
	return taken
}

// unread is how many lines of the HTTP log could not be understood.
func (r *requestLog) unread() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.odd
}

// exact is a quantile of what was really seen: the smallest value with a share q at or below it.
func exact(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
