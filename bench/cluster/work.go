package main

import (
	"fmt"
	"math"
	"strings"
)

// count is how often one thing was done in a phase, and how much two stores may differ in it before
// their figures cannot be compared.
type count struct {
	name      string
	value     float64
	tolerance float64
}

// work counts what the API server was asked, from its own counters.
func (w *window) work() []count {
	grown := func(name string, labels ...string) float64 {
		return w.after.metrics.sum(name, labels...) - w.before.metrics.sum(name, labels...)
	}
	requests := func(labels ...string) float64 { return grown("apiserver_request_total", labels...) }
	all := requests() - requests("verb", "CONNECT")
	for _, verb := range []string{"WATCH", "WATCHLIST"} {
		all -= requests("verb", verb)
	}
	counts := []count{
		{"requests", all, 0.05},
		{"leases renewed", requests("verb", "PUT", "resource", "leases"), 0.03},
		{"pods created", requests("verb", "POST", "resource", "pods", "subresource", ""), 0.05},
		{"pods bound", requests("verb", "POST", "resource", "pods", "subresource", "binding"), 0.05},
		{"pod statuses", requests("verb", "PATCH", "resource", "pods", "subresource", "status"), 0.05},
		{"pods deleted", requests("verb", "DELETE", "resource", "pods"), 0.05},
		{"events sent", requests("verb", "POST", "resource", "events"), 0.05},
		{"lists", requests("verb", "LIST"), 0.1},
		{"requests to the store", grown("etcd_requests_total"), 0.05},
	}
	return counts
}

// refused counts answers that say the API server could not do its work.
func (w *window) refused() float64 {
	total := 0.0
	for _, m := range []struct {
		metrics metrics
		sign    float64
	}{{w.after.metrics, 1}, {w.before.metrics, -1}} {
		for _, s := range m.metrics["apiserver_request_total"] {
			code := s.labels["code"]
			if strings.HasPrefix(code, "5") || code == "429" {
				total += m.sign * s.value
			}
		}
	}
	return total
}

// differences says why the figures of two windows of one phase cannot be compared; nothing if they
// can. In the boot each store is asked as often as its slowness lets others ask again.
func differences(etcd, meridian *window) []string {
	var wrong []string
	for name, w := range map[string]*window{"etcd": etcd, "Meridian": meridian} {
		if len(w.notes) > 0 {
			wrong = append(wrong, name+": "+strings.Join(w.notes, "; "))
		}
		if n, of := w.refused(), w.work()[0].value; w.phase != "boot" && n > 0.001*of {
			wrong = append(wrong, fmt.Sprintf("%s: %.0f of %.0f requests ended in 5xx or 429", name,
				n, of))
		}
	}
	if etcd.phase == "boot" {
		return wrong
	}
	one, other := etcd.work(), meridian.work()
	one = append(one, count{"seconds", etcd.length().Seconds(), 0.02})
	other = append(other, count{"seconds", meridian.length().Seconds(), 0.02})
	for i, a := range one {
		if b := other[i]; !a.agrees(b) {
			wrong = append(wrong, fmt.Sprintf("%s: etcd %.0f, Meridian %.0f", a.name, a.value,
				b.value))
		}
	}
	return wrong
}

// agrees allows for small numbers what chance does to them.
func (c count) agrees(other count) bool {
	greater := math.Max(c.value, other.value)
	allowed := c.tolerance * greater
	if c.name != "seconds" {
		allowed = math.Max(allowed, 3*math.Sqrt(greater))
	}
	return math.Abs(c.value-other.value) <= allowed
}
