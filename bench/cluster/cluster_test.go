package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// These hold what judges and computes against planted faults and against numbers known beforehand.

const httpLine = `I1123 04:39:29.0 1 httplog.go:134] "HTTP" verb=%q URI=%q latency=%q ` +
	`userAgent="x" srcIP="127.0.0.1:1" resp=200` + "\n"

func TestRequestLogCountsWhatReachesTheStore(t *testing.T) {
	var rest bytes.Buffer
	r := newRequestLog(&rest)
	text := "I1123 other line\n" +
		fmt.Sprintf(httpLine, "GET", "/api/v1/nodes/n", "3ms") +
		fmt.Sprintf(httpLine, "GET", "/api/v1/nodes/m", "1.5ms") +
		fmt.Sprintf(httpLine, "GET", "/readyz", "9s") +
		fmt.Sprintf(httpLine, "GET", "/apis/apps/v1", "9s") +
		fmt.Sprintf(httpLine, "WATCH", "/api/v1/pods?watch=true", "9s") +
		fmt.Sprintf(httpLine, "LIST", "/apis/apps/v1/deployments?limit=500", "20ms")
	for len(text) > 0 {
		n := min(7, len(text))
		if _, err := r.Write([]byte(text[:n])); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	seen := r.take()
	if got := seen["GET"]; len(got) != 2 || got[0] != 1500*time.Microsecond {
		t.Errorf("GET: %v", got)
	}
	if len(seen) != 2 || len(seen["LIST"]) != 1 {
		t.Errorf("seen %v", seen)
	}
	if rest.String() != "I1123 other line\n" || r.unread() != 0 || len(r.take()) != 0 {
		t.Errorf("rest %q, %d unread", rest.String(), r.unread())
	}
	fmt.Fprintf(r, httpLine, "GET", "/api/v1/nodes/n", "soon")
	if r.unread() != 1 {
		t.Error("a latency that cannot be read is not noticed")
	}
}

func TestExactQuantiles(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0.5: 50, 0.99: 99, 1: 100, 0: 1} {
		if got := exact(all, q); got != want {
			t.Errorf("%v: %d, want %d", q, got, want)
		}
	}
}

func TestHistogramsOfAScrape(t *testing.T) {
	line := func(verb, le string, n int) string {
		return fmt.Sprintf("apiserver_request_duration_seconds_bucket{le=%q,verb=%q} %d\n", le, verb, n)
	}
	before := parseMetrics("# HELP\nother{a=\"b\"} 5\n" + line("GET", "0.005", 10) +
		line("GET", "0.025", 10) + line("GET", "+Inf", 10))
	after := parseMetrics(line("GET", "0.005", 60) + line("GET", "0.025", 110) +
		line("GET", "+Inf", 110) + line("LIST", "+Inf", 3) +
		"apiserver_request_duration_seconds_sum{verb=\"GET\"} 1.1\n" +
		"apiserver_request_duration_seconds_count{verb=\"GET\"} 110\n")
	const family = "apiserver_request_duration_seconds"
	old := before.histograms(family, "verb")["GET"]
	old.sum, old.count = 0.1, 10
	h := after.histograms(family, "verb")["GET"].since(old)
	for _, c := range []struct{ got, want float64 }{{h.quantile(0.25), 0.0025},
		{h.quantile(0.75), 0.015}, {h.mean(), 0.01}, {h.count, 100}} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
}

// worked is a window in which so many leases were renewed, requests refused and seconds spent.
func worked(leases, refused float64, length time.Duration, notes ...string) *window {
	labels := func(verb, resource, code string) map[string]string {
		return map[string]string{"verb": verb, "resource": resource, "subresource": "", "code": code}
	}
	return &window{phase: "steady", notes: notes, after: snapshot{at: time.Time{}.Add(length),
		metrics: metrics{"apiserver_request_total": {{labels("PUT", "leases", "200"), leases},
			{labels("GET", "nodes", "503"), refused}, {labels("WATCH", "pods", "200"), 1e6}}}}}
}

func TestDifferentWorkIsNoticed(t *testing.T) {
	const long = 80 * time.Second
	good := worked(8000, 0, long)
	for _, c := range []struct {
		name, want string
		other      *window
	}{
		{"the same", "", worked(8000, 0, long)},
		{"nearly the same", "", worked(7900, 0, long+time.Second)},
		{"fewer leases", "leases renewed", worked(7000, 0, long)},
		{"a longer phase", "seconds", worked(8000, 0, long+5*time.Second)},
		{"requests refused", "5xx", worked(8000, 50, long)},
		{"a note", "pods late", worked(8000, 0, long, "pods late")},
	} {
		got := strings.Join(differences(good, c.other), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSmallNumbersMayDifferByChance(t *testing.T) {
	a := count{"events", 10, 0.05}
	if !a.agrees(count{"events", 14, 0.05}) || a.agrees(count{"events", 40, 0.05}) {
		t.Error("10 and 14 may be chance, 10 and 40 may not")
	}
}

func TestBehindIsSaid(t *testing.T) {
	for _, c := range []struct {
		etcd, meridian []float64
		want           string
	}{
		{[]float64{10, 12}, []float64{5, 6}, "ahead"},
		{[]float64{10, 12}, []float64{13, 14}, "behind"},
		{[]float64{10, 12}, []float64{11, 14}, "behind, within the rounds' spread"},
		{[]float64{10, 12}, nil, ""},
	} {
		r := &results{lines: []*line{{Compared: true, Etcd: c.etcd, Meridian: c.meridian}}}
		r.settle()
		if got := r.lines[0].verdict(); got != c.want {
			t.Errorf("%v and %v: %q, want %q", c.etcd, c.meridian, got, c.want)
		}
	}
}

func TestPacerCountsWhatItDid(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := &pacer{}
	p.every(ctx, time.Millisecond, 10, func(_ context.Context, i int) error {
		if i == 3 {
			return errors.New("no")
		}
		return nil
	})
	p.wait()
	if p.done != 9 || p.failed != 1 || p.trouble() == "" {
		t.Errorf("%d done, %q", p.done, p.trouble())
	}
	for _, limit := range []int{0, inFlight + 5} {
		slow, release := &pacer{}, make(chan struct{})
		some, stop := context.WithCancel(ctx)
		slow.every(some, time.Millisecond, limit, func(context.Context, int) error {
			<-release
			return nil
		})
		time.Sleep(100 * time.Millisecond)
		close(release)
		if limit == 0 {
			stop()
		}
		slow.wait()
		stop()
		if limit > 0 && slow.done != limit || limit == 0 && slow.skipped == 0 {
			t.Errorf("limit %d: %d done, %d skipped", limit, slow.done, slow.skipped)
		}
	}
}

func TestPageKeepsWhatStandsAroundTheFigures(t *testing.T) {
	folder := t.TempDir()
	for _, text := range []string{"first\n", "second\n"} {
		if err := writePage(folder, text, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(filepath.Join(folder, "cluster.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(page, "<!-- figures -->\n", "<!-- figures -->\nsecond\n", 1)
	if string(got) != want {
		t.Errorf("got %s", got)
	}
}

func TestRoundsAlternate(t *testing.T) {
	o := options{}
	if o.order(1)[0].name != "etcd" || o.order(2)[0].name != "meridian" || len(o.order(2)) != 2 {
		t.Error("the second round must begin with the other store")
	}
}
