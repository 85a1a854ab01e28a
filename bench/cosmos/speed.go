package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"runtime"
	"slices"
	"strings"
	"time"

	"conformance/cosmos/account"
)

// figure is one measured number, and what it is to reach.
type figure struct {
	name, unit string
	value      float64
	goal       string
	reached    func(float64) bool
}

func atMost(limit float64) (string, func(float64) bool) {
	return fmt.Sprintf("≤ %g", limit), func(v float64) bool { return v <= limit }
}

func atLeast(limit float64) (string, func(float64) bool) {
	return fmt.Sprintf("≥ %g", limit), func(v float64) bool { return v >= limit }
}

// speed measures every scenario so many times, each round on a fresh account, and an idle cluster once.
func speed(ctx context.Context, o options) (string, error) {
	rounds := map[string][]float64{}
	var order []figure
	for round := range o.rounds {
		log.Printf("round %d of %d", round+1, o.rounds)
		figures, err := speedOnce(ctx, o, round == o.rounds-1)
		if err != nil {
			return "", err
		}
		for _, f := range figures {
			log.Printf("  %-58s %10.4g %s", f.name, f.value, f.unit)
			rounds[f.name] = append(rounds[f.name], f.value)
		}
		order = figures
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d × %s on an emulated account of Azure Cosmos DB, Strong, %v away; values of %d bytes; %d cores shared by servers, "+
		"emulator, proxy and load; each scenario lasts %v, median of %d rounds. Request units are the documented prices "+
		"(conformance/cosmos/account/charge.go), not a bill.\n\n| figure | | goal | |\n|---|--:|---|---|\n",
		o.replicas, version(o.meridian), o.delay, valueSize, runtime.NumCPU(), o.each, o.rounds)
	for _, f := range order {
		all := slices.Sorted(slices.Values(rounds[f.name]))
		middle, verdict := all[len(all)/2], ""
		if f.reached != nil {
			verdict = "missed"
			if f.reached(middle) {
				verdict = "reached"
			}
		}
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s |\n", f.name, number(middle), f.unit, f.goal, verdict)
	}
	return b.String(), nil
}

func speedOnce(ctx context.Context, o options, idle bool) ([]figure, error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	if err := fill(ctx, w); err != nil {
		return nil, err
	}
	var all []figure
	for _, part := range []func(context.Context, *world, options) ([]figure, error){byTurns, manyPuts, reads} {
		figures, err := part(ctx, w, o)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	if idle {
		figures, err := atRest(ctx, w, o)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, nil
}

// byTurns holds one client's puts against bare creates of the same minute.
func byTurns(ctx context.Context, w *world, o options) ([]figure, error) {
	const turns = 4
	var puts, creates result
	for range turns {
		r, err := loop(ctx, w, w.endpoints[:1], 1, o.each/turns, put)
		if err != nil {
			return nil, err
		}
		puts.join(r)
		made, sent := account.Sum(r.counts, "create")
		client, err := newBare(w, sizeOf(r.counts))
		if err != nil || made == 0 {
			return nil, cmp.Or(err, fmt.Errorf("%d creates for %d puts cost %v", made, len(r.latencies), sent))
		}
		r, err = loop(ctx, w, w.endpoints[:1], 1, o.each/turns, func(ctx context.Context, _ *caller) error { return client.create(ctx) })
		if err != nil {
			return nil, err
		}
		creates.join(r)
	}
	requests, units := puts.each()
	more := puts.percentile(50) - creates.percentile(50)
	goal, reached := atMost(1)
	return []figure{
		{name: "create of a like-sized item by a bare client, p50", unit: "ms", value: creates.percentile(50)},
		{name: "the same, p99", unit: "ms", value: creates.percentile(99)},
		{name: "put, 1 client, p50", unit: "ms", value: puts.percentile(50)},
		{name: "put, 1 client, p99", unit: "ms", value: puts.percentile(99)},
		{name: "put, 1 client, p50 beyond that round trip", unit: "ms", value: more, goal: goal, reached: reached},
		{name: "requests a put, 1 client", value: requests},
		{name: "request units a put, 1 client", unit: "RU", value: units},
	}, nil
}

// join adds another turn's latencies and counts.
func (r *result) join(other result) {
	r.took += other.took
	r.latencies = append(r.latencies, other.latencies...)
	slices.Sort(r.latencies)
	r.counts = append(r.counts, other.counts...)
}

// sizeOf is how large an item was that a batch became.
func sizeOf(counts []account.Count) int {
	sent, made := 0, 0
	for _, count := range counts {
		if count.Operation == "create" {
			sent, made = sent+count.Sent, made+count.Requests
		}
	}
	return sent / max(1, made)
}

func manyPuts(ctx context.Context, w *world, o options) ([]figure, error) {
	r, err := loop(ctx, w, w.endpoints, 256, o.each, put)
	if err != nil {
		return nil, err
	}
	requests, units := r.each()
	goal, reached := atLeast(10_000)
	return []figure{
		{name: "put, 256 clients", unit: "/s", value: r.rate(), goal: goal, reached: reached},
		{name: "put, 256 clients, p50", unit: "ms", value: r.percentile(50)},
		{name: "put, 256 clients, p99", unit: "ms", value: r.percentile(99)},
		{name: "requests a put, 256 clients", value: requests},
		{name: "request units a put, 256 clients", unit: "RU", value: units},
		{name: "bytes of a batch's item, 256 clients", value: float64(sizeOf(r.counts))},
	}, nil
}

func reads(ctx context.Context, w *world, o options) ([]figure, error) {
	var all []figure
	for _, one := range []struct {
		name         string
		callers      int
		serializable bool
	}{{"linearizable get, 1 client", 1, false}, {"linearizable get, 256 clients", 256, false},
		{"serializable get, 1 client", 1, true}, {"serializable get, 256 clients", 256, true}} {
		r, err := loop(ctx, w, w.endpoints, one.callers, o.each, get(one.serializable))
		if err != nil {
			return nil, err
		}
		requests, _ := r.each()
		all = append(all, figure{name: one.name + ", p50", unit: "ms", value: r.percentile(50)},
			figure{name: one.name + ", throughput", unit: "/s", value: r.rate()},
			figure{name: one.name + ", requests a get", value: requests})
	}
	return all, nil
}

// atRest looks at what a cluster costs that nobody asks.
func atRest(ctx context.Context, w *world, o options) ([]figure, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(2 * time.Second):
	}
	w.ResetCounts()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(o.idle):
	}
	counts := w.Counts()
	var all []figure
	for _, operation := range operations(counts) {
		asked, charged := account.Sum(counts, operation)
		all = append(all, figure{name: "idle: " + operation, unit: "RU/s", value: charged / o.idle.Seconds()},
			figure{name: "idle: " + operation + " requests", unit: "/s", value: float64(asked) / o.idle.Seconds()})
	}
	return append(all, figure{name: "idle: all that is paid for", unit: "RU/s", value: paid(counts) / o.idle.Seconds()}), nil
}

// paid is what is taken from the container's throughput: requests for what is around the items have units of their own,
// https://learn.microsoft.com/azure/cosmos-db/concepts-limits
func paid(counts []account.Count) float64 {
	_, all := account.Sum(counts, "")
	_, around := account.Sum(counts, "metadata")
	return all - around
}

func operations(counts []account.Count) []string {
	var all []string
	for _, count := range counts {
		if !slices.Contains(all, count.Operation) {
			all = append(all, count.Operation)
		}
	}
	slices.Sort(all)
	return all
}

// number has three significant digits and no exponent.
func number(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1 || v <= -1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
