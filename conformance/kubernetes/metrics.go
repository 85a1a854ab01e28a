package main

import (
	"context"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"
)

// sample is one line of a Prometheus exposition.
type sample struct {
	name   string
	labels string
	value  float64
}

// metrics is one scrape.
type metrics []sample

var sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? ([^ ]+)`)

// scrape reads an API server's /metrics.
func scrape(ctx context.Context, client kubernetes.Interface) (metrics, error) {
	raw, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var all metrics
	for _, line := range strings.Split(string(raw), "\n") {
		parts := sampleLine.FindStringSubmatch(line)
		if parts == nil {
			continue
		}
		value, err := strconv.ParseFloat(parts[3], 64)
		if err != nil {
			continue
		}
		all = append(all, sample{parts[1], parts[2], value})
	}
	return all, nil
}

// discarded tells whether a counted error is of the storage for service accounts that kube-apiserver makes first and
// destroys while it starts (pkg/registry/core/rest makes another): what that one had asked of the store by then it gives
// up itself, one request of a kind. A store that answers within a millisecond is not given up on.
func discarded(s sample) bool {
	return s.name == "etcd_request_errors_total" && strings.Contains(s.labels, `resource="serviceaccounts"`) && s.value <= 1
}

// sum adds the series of a name whose labels hold every one of the given `key="value"` texts; one
// that begins with ! must not be there.
func (m metrics) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, s := range m {
		if s.name == name && s.has(labels) {
			total += s.value
		}
	}
	return total
}

func (s sample) has(labels []string) bool {
	for _, label := range labels {
		text, without := strings.CutPrefix(label, "!")
		if strings.Contains(s.labels, text) == without {
			return false
		}
	}
	return true
}

// grown lists the series of a name, with the given labels, that grew from before to after.
func grown(name string, before, after metrics, labels ...string) []string {
	old := map[string]float64{}
	for _, s := range before {
		if s.name == name {
			old[s.labels] = s.value
		}
	}
	var all []string
	for _, s := range after {
		if s.name == name && s.has(labels) && s.value > old[s.labels] {
			all = append(all, s.labels+" +"+strconv.FormatFloat(s.value-old[s.labels], 'f', -1, 64))
		}
	}
	sort.Strings(all)
	return all
}
