package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// These hold the judges against planted faults: a judge that cannot fail proves nothing.

func object(key, revision string) *corev1.ConfigMap {
	namespace, name, _ := strings.Cut(key, "/")
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name,
		ResourceVersion: revision, Labels: map[string]string{ledgerLabel: "ledger"}}}
}

// story is two objects made, one changed, one deleted at 5.
func story() *ledger {
	l := newLedger()
	l.note(object("n/a", "2"), watch.Added)
	l.note(object("n/b", "3"), watch.Added)
	l.note(object("n/a", "4"), watch.Modified)
	l.noteRemoved("n/b")
	return l
}

func told() []watch.Event {
	return []watch.Event{
		{Type: watch.Added, Object: object("n/a", "2")},
		{Type: watch.Added, Object: object("n/b", "3")},
		{Type: watch.Modified, Object: object("n/a", "4")},
		{Type: watch.Deleted, Object: object("n/b", "5")},
	}
}

func judged(l *ledger, events ...watch.Event) string {
	r := &recording{at: 1}
	for _, event := range events {
		r.take(event)
	}
	return strings.Join(r.judge(l, 1), "; ")
}

func TestWatchJudge(t *testing.T) {
	all := told()
	bookmark := watch.Event{Type: watch.Bookmark, Object: object("n/any", "9")}
	for _, c := range []struct {
		name, want string
		events     []watch.Event
	}{
		{"whole", "", all},
		{"an event is missing", "was not delivered", []watch.Event{all[0], all[1], all[3]}},
		{"an event comes twice", "after", []watch.Event{all[0], all[0], all[1], all[2], all[3]}},
		{"events out of order", "after", []watch.Event{all[1], all[0], all[2], all[3]}},
		{"a deletion is missing", "delivered 0 times", all[:3]},
		{"a deletion nobody asked for", "never was", append(told(),
			watch.Event{Type: watch.Deleted, Object: object("n/a", "6")})},
		{"an object nobody wrote", "never written", append(told(),
			watch.Event{Type: watch.Added, Object: object("n/c", "6")})},
		{"another kind than written", "written as", []watch.Event{all[0], all[1],
			{Type: watch.Added, Object: object("n/a", "4")}, all[3]}},
		{"a bookmark ahead of events", "after 9", []watch.Event{all[0], bookmark, all[1], all[2],
			all[3]}},
		{"an error", "ERROR", append(told(), watch.Event{Type: watch.Error,
			Object: &metav1.Status{}})},
	} {
		got := judged(story(), c.events...)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLedgerComparesLists(t *testing.T) {
	for _, c := range []struct {
		name, want string
		listed     map[string]int64
	}{
		{"right", "", map[string]int64{"n/a": 4}},
		{"a write is lost", "is missing", map[string]int64{}},
		{"a write is rolled back", "is at 2", map[string]int64{"n/a": 2}},
		{"a deleted object is back", "was deleted", map[string]int64{"n/a": 4, "n/b": 3}},
		{"an object nobody wrote", "never written", map[string]int64{"n/a": 4, "n/c": 6}},
	} {
		got := strings.Join(story().compare(c.listed), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDoubtfulWriteMayHaveHappenedOrNot(t *testing.T) {
	l := story()
	l.doubtful["n/a"] = watch.Modified
	for revision, ok := range map[int64]bool{4: true, 7: true, 2: false} {
		if wrong := l.compare(map[string]int64{"n/a": revision}); (len(wrong) == 0) != ok {
			t.Errorf("at %d: %v", revision, wrong)
		}
	}
	if len(l.compare(map[string]int64{})) == 0 {
		t.Error("a doubtful update does not excuse a missing object")
	}
}

func TestRevisionsFollowRealTime(t *testing.T) {
	l := newLedger()
	for _, revision := range []string{"5", "5", "4"} {
		err := l.settle("n/"+revision, watch.Added, l.floor(), object("n/x", revision), nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(l.violations) != 3 {
		t.Errorf("one revision given twice and two that go back: %v", l.violations)
	}
}

func TestStorageErrorsAreSplitByTheOutage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	day := time.Now().Format("0102")
	text := "I" + day + " 10:00:00.000000       1 store.go:1] etcd is fine\n" +
		"E" + day + " 10:00:01.000000       1 other.go:1] nothing to do with it\n" +
		"E" + day + " 10:00:02.000000       1 watcher.go:1] watch chan error: gone\n" +
		"E" + day + " 10:00:03.000000       1 watcher.go:1] failed to sync with latest state: context canceled\n" +
		"E" + day + " 10:00:05.000000       1 status.go:7] rpc error: unavailable\n" +
		`{"level":"error","ts":"2001-01-01T00:00:00.0Z","msg":"client"}` + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	year, month, date := time.Now().Date()
	at := func(second int) time.Time {
		return time.Date(year, month, date, 10, 0, second, 0,
			time.Local)
	}
	outside, inside, err := storageErrors(path, []*outage{{begin: at(4), end: at(6)}})
	if err != nil || len(outside) != 2 || len(inside) != 1 {
		t.Errorf("outside %v, inside %v, %v", outside, inside, err)
	}
}

func TestOnlyWhatTheStartDiscardsIsExplained(t *testing.T) {
	name, accounts := "etcd_request_errors_total", `{operation="listStream",resource="serviceaccounts"}`
	outages := func(value float64) []*outage {
		o := &outage{name: "crash", end: time.Now()}
		o.before[0], o.after[0] = metrics{{name, accounts, value}}, metrics{{name, accounts, value}}
		return []*outage{o}
	}
	for _, c := range []struct {
		what   string
		before float64
		end    sample
		wrong  bool
	}{
		{"one request given up while starting", 1, sample{name, accounts, 1}, false},
		{"more of them", 2, sample{name, accounts, 2}, true},
		{"one more later", 1, sample{name, accounts, 2}, true},
		{"the first one later", 0, sample{name, accounts, 1}, true},
		{"another resource", 1, sample{name, `{operation="listStream",resource="pods"}`, 1}, true},
	} {
		where, _ := outsideGrowth(name, outages(c.before), metrics{c.end}, 0)
		if (len(where) > 0) != c.wrong {
			t.Errorf("%s: %v", c.what, where)
		}
	}
}

func TestMetricsSumByLabels(t *testing.T) {
	m := metrics{{"n", `{a="1",b="2"}`, 3}, {"n", `{a="1",b="3"}`, 4}, {"other", "", 5}}
	for _, c := range []struct {
		want   float64
		labels []string
	}{{7, nil}, {3, []string{`b="2"`}}, {4, []string{`a="1"`, `!b="2"`}}, {0, []string{`a="9"`}}} {
		if got := m.sum("n", c.labels...); got != c.want {
			t.Errorf("%v: %v, want %v", c.labels, got, c.want)
		}
	}
}
