package main

import (
	"maps"
	"math"
	"slices"
	"time"
)

// figure is one measured number. Of those that are compared, less is better.
type figure struct {
	group, name, unit string
	value             float64
	compared          bool
}

// fewest is the number of requests below which a quantile says nothing.
const fewest = 20

var verbs = []string{"GET", "LIST", "POST", "PUT", "PATCH", "DELETE"}

// figures is everything there is to say about a phase in numbers.
func (w *window) figures() []figure {
	var all []figure
	for _, f := range w.extra {
		f.group, f.compared = "time", true
		all = append(all, f)
	}
	all = append(all, w.storeUse()...)
	all = append(all, w.requestTimes()...)
	all = append(all, w.storeTimes()...)
	all = append(all, w.ownTimes()...)
	return append(all, w.around()...)
}

func (w *window) storeUse() []figure {
	store, was := w.after.used["store"], w.before.used["store"]
	cpu := w.cpu("store").Seconds()
	of := func(name, unit string, value float64) figure {
		return figure{group: "store", name: name, unit: unit, value: value, compared: true}
	}
	return []figure{
		of("CPU", "s", cpu),
		of("CPU, share of a core", "%", 100*cpu/w.length().Seconds()),
		of("memory at the end", "MB", store.resident/1e6),
		of("memory at its highest", "MB", store.peak/1e6),
		of("written to disk", "MB", (store.written-was.written)/1e6),
		{group: "store", name: "memory at the end without mapped files", unit: "MB",
			value: store.anonymous / 1e6},
	}
}

// requestTimes are exact, from the API server's HTTP log; beside them, uncompared, what its
// histograms say, as a dashboard would show it.
func (w *window) requestTimes() []figure {
	const group = "API server requests"
	before := w.before.metrics.histograms("apiserver_request_duration_seconds", "verb")
	after := w.after.metrics.histograms("apiserver_request_duration_seconds", "verb")
	var all []figure
	for _, verb := range verbs {
		seen := w.latencies[verb]
		if len(seen) < fewest {
			continue
		}
		all = append(all,
			figure{group, verb + " p50", "ms", milliseconds(exact(seen, 0.50)), true},
			figure{group, verb + " p99", "ms", milliseconds(exact(seen, 0.99)), true},
			figure{group, verb + " number", "", float64(len(seen)), false})
		if h := after[verb]; h != nil {
			grown := h.since(before[verb])
			all = append(all,
				figure{"histograms", verb + " p50", "ms", 1e3 * grown.quantile(0.50), false},
				figure{"histograms", verb + " p99", "ms", 1e3 * grown.quantile(0.99), false},
				figure{"histograms", verb + " mean", "ms", 1e3 * grown.mean(), false})
		}
	}
	return all
}

// storeTimes are what the API server waited for the store: the mean is exact, the p99 interpolated.
func (w *window) storeTimes() []figure {
	const group, family = "store as the API server sees it", "etcd_request_duration_seconds"
	before := w.before.metrics.histograms(family, "operation")
	after := w.after.metrics.histograms(family, "operation")
	var all []figure
	for _, operation := range slices.Sorted(maps.Keys(after)) {
		grown := after[operation].since(before[operation])
		if grown.count < fewest {
			continue
		}
		all = append(all,
			figure{group, operation + " mean", "ms", 1e3 * grown.mean(), true},
			figure{group, operation + " p99 (interpolated)", "ms", 1e3 * grown.quantile(0.99),
				false},
			figure{group, operation + " number", "", grown.count, false})
	}
	return all
}

// ownTimes are what the store says of itself: how long its requests and syncs took, and how long its
// threads waited for a core.
func (w *window) ownTimes() []figure {
	const group = "store, by its own account"
	var all []figure
	for _, family := range []struct{ name, label, shown string }{
		{"etcd_server_request_duration_seconds", "type", ""},
		{"etcd_disk_wal_fsync_duration_seconds", "", "sync"},
	} {
		before := w.before.store.histograms(family.name, family.label)
		after := w.after.store.histograms(family.name, family.label)
		for _, kind := range slices.Sorted(maps.Keys(after)) {
			grown := after[kind].since(before[kind])
			if grown.count < fewest {
				continue
			}
			name := family.shown + kind
			all = append(all,
				figure{group, name + " mean", "ms", 1e3 * grown.mean(), false},
				figure{group, name + " p99 (interpolated)", "ms", 1e3 * grown.quantile(0.99), false},
				figure{group, name + " number", "", grown.count, false})
		}
	}
	waited := w.after.used["store"].queued - w.before.used["store"].queued
	return append(all, figure{group, "threads' wait for a core", "s", waited.Seconds(), false})
}

func (w *window) around() []figure {
	busy, others := w.busy()
	others = math.Round(1e3*others) / 10
	rest := w.cpu("controllers") + w.cpu("scheduler") + w.cpu("kwok")
	return []figure{
		{"around the store", "API server CPU", "s", w.cpu("API server").Seconds(), true},
		{"around the store", "controllers, scheduler, kwok CPU", "s", rest.Seconds(), false},
		{"around the store", "this program's CPU", "s",
			(w.after.harness - w.before.harness).Seconds(), false},
		{"around the store", "machine busy", "%", 100 * busy, false},
		{"around the store", "machine busy with other things", "%", others, false},
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
