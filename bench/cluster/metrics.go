package main

import (
	"context"
	"math"
	"sort"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"
)

// sample is one line of a Prometheus exposition.
type sample struct {
	labels map[string]string
	value  float64
}

// metrics are the series of one scrape that this program uses, by name.
type metrics map[string][]sample

var families = []string{"apiserver_request_duration_seconds_", "apiserver_request_total",
	"etcd_request_duration_seconds_", "etcd_request_errors_total", "etcd_requests_total",
	"etcd_server_request_duration_seconds_", "etcd_disk_wal_fsync_duration_seconds_"}

// scrape reads the API server's /metrics.
func scrape(ctx context.Context, client kubernetes.Interface) (metrics, error) {
	raw, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	return parseMetrics(string(raw)), nil
}

func parseMetrics(text string) metrics {
	m := metrics{}
	for line := range strings.Lines(text) {
		for _, family := range families {
			if strings.HasPrefix(line, family) {
				if name, s, ok := parseSample(strings.TrimSpace(line)); ok {
					m[name] = append(m[name], s)
				}
			}
		}
	}
	return m
}

// parseSample reads `name{a="b",c="d"} 1`. No label value of these families holds a quote or comma.
func parseSample(line string) (string, sample, bool) {
	name, rest, labelled := strings.Cut(line, "{")
	if !labelled {
		name, rest, _ = strings.Cut(line, " ")
		rest = "} " + rest
	}
	inside, number, closed := strings.Cut(rest, "} ")
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !closed || err != nil {
		return "", sample{}, false
	}
	s := sample{labels: map[string]string{}, value: value}
	for pair := range strings.SplitSeq(inside, ",") {
		key, quoted, _ := strings.Cut(pair, "=")
		s.labels[key] = strings.Trim(quoted, `"`)
	}
	return name, s, true
}

// sum adds the series of a name that have each of these label values (key, value, key, value, …).
func (m metrics) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, s := range m[name] {
		if s.has(labels) {
			total += s.value
		}
	}
	return total
}

func (s sample) has(labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if s.labels[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

// histogram is the sum of several series of one family: cumulative counts by upper bound.
type histogram struct {
	upTo       map[float64]float64
	sum, count float64
}

// histograms adds up a family by the values of one label.
func (m metrics) histograms(family, label string) map[string]*histogram {
	all := map[string]*histogram{}
	of := func(s sample) *histogram {
		h := all[s.labels[label]]
		if h == nil {
			h = &histogram{upTo: map[float64]float64{}}
			all[s.labels[label]] = h
		}
		return h
	}
	for _, s := range m[family+"_bucket"] {
		if bound, err := strconv.ParseFloat(s.labels["le"], 64); err == nil {
			of(s).upTo[bound] += s.value
		}
	}
	for _, s := range m[family+"_sum"] {
		of(s).sum += s.value
	}
	for _, s := range m[family+"_count"] {
		of(s).count += s.value
	}
	return all
}

// since is what was added after an earlier state of the same histogram, which may be nil.
func (h *histogram) since(old *histogram) *histogram {
	if old == nil {
		return h
	}
	grown := &histogram{upTo: map[float64]float64{}, sum: h.sum - old.sum,
		count: h.count - old.count}
	for bound, n := range h.upTo {
		grown.upTo[bound] = n - old.upTo[bound]
	}
	return grown
}

// quantile interpolates within a bucket, as Prometheus does; within the first bucket that says
// little more than "less than its bound".
func (h *histogram) quantile(q float64) float64 {
	bounds := make([]float64, 0, len(h.upTo))
	for bound := range h.upTo {
		bounds = append(bounds, bound)
	}
	sort.Float64s(bounds)
	if h.count == 0 || len(bounds) < 2 {
		return math.NaN()
	}
	rank, low, below := q*h.count, 0.0, 0.0
	for _, bound := range bounds {
		n := h.upTo[bound]
		if n >= rank {
			if math.IsInf(bound, 1) || n == below {
				return low
			}
			return low + (bound-low)*(rank-below)/(n-below)
		}
		low, below = bound, n
	}
	return low
}

// mean is exact, unlike the quantiles.
func (h *histogram) mean() float64 {
	if h.count == 0 {
		return math.NaN()
	}
	return h.sum / h.count
}
