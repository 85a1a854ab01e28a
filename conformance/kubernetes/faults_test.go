package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// These hold the judges of outages, nodes, streaming lists and encryption against planted faults.

var noon = time.Date(2030, 5, 1, 12, 0, 0, 0, time.Local)

func at(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }

// away is two outages, from 10 to 20 and from 40 to 50.
func away() []*outage {
	return []*outage{{name: "first", begin: at(10), end: at(20)},
		{name: "second", begin: at(40), end: at(50)}}
}

func TestOutagesCoverTheirTimeOnly(t *testing.T) {
	for second, want := range map[int]bool{9: false, 15: true, 30: false, 45: true, 51: false} {
		if covered(away(), at(second)) != want {
			t.Errorf("second %d: want %v", second, want)
		}
	}
	if !covered([]*outage{{begin: at(1)}}, at(99)) {
		t.Error("an outage without an end covers what follows")
	}
}

func TestProbeJudge(t *testing.T) {
	refused := errors.New("connection refused")
	for _, c := range []struct {
		name     string
		from, to int
		body     string
		err      error
		want     int
	}{
		{"ok", 1, 1, "ok\n", nil, 0},
		{"fails while the store is there", 30, 30, "", refused, 1},
		{"answers something else", 30, 30, "not ready", nil, 1},
		{"fails while the store is away", 45, 45, "", refused, 0},
		{"is cut off by the outage", 9, 11, "", refused, 0},
	} {
		p := &probing{}
		p.take(at(c.from), at(c.to), "/readyz", c.body, c.err)
		if got := p.outside(away()); len(got) != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestAnEndOutsideAnOutageIsAFault(t *testing.T) {
	k := &kept{name: "scheduler"}
	k.ended(at(15), "lost its lease")
	k.ended(at(30), "for no reason")
	inside, outside := k.restarts(away())
	if inside != 1 || len(outside) != 1 || !strings.Contains(outside[0], "for no reason") {
		t.Errorf("%d inside, outside %v", inside, outside)
	}
}

func counted(n float64) [2]metrics { return [2]metrics{{{"errors", `{op="get"}`, n}}, {}} }

func TestGrowthIsSplitByOutages(t *testing.T) {
	for _, c := range []struct {
		name                             string
		before1, after1, before2, after2 float64
		end                              float64
		outside                          int
		inside                           float64
	}{
		{"nothing", 0, 0, 0, 0, 0, 0, 0},
		{"in the outages", 0, 3, 3, 5, 5, 0, 5},
		{"before the first", 1, 1, 1, 1, 1, 1, 0},
		{"between", 0, 0, 2, 2, 2, 1, 0},
		{"after the last", 0, 0, 0, 1, 2, 1, 1},
	} {
		o := away()
		o[0].before, o[0].after = counted(c.before1), counted(c.after1)
		o[1].before, o[1].after = counted(c.before2), counted(c.after2)
		where, inside := outsideGrowth("errors", o, counted(c.end)[0], 0)
		if len(where) != c.outside || inside != c.inside {
			t.Errorf("%s: outside %v, inside %v", c.name, where, inside)
		}
	}
}

func TestRelistsAreExplainedByCompactionInTheOutageOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	day := time.Now().Format("0102")
	line := " 1 watcher.go:421] watch chan error: " +
		"etcdserver: mvcc: required revision has been compacted\n"
	text := "W" + day + " 12:00:15.000000 " + line + "W" + day + " 12:00:30.000000 " + line +
		"W" + day + " 12:00:16.000000  1 watcher.go:421] watch chan error: something else\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	year, month, date := time.Now().Date()
	today := func(second int) time.Time {
		return time.Date(year, month, date, 12, 0, second, 0, time.Local)
	}
	n, err := compactedIn(path, &outage{begin: today(10), end: today(20)})
	if err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestStoreLogJudge(t *testing.T) {
	line := func(second int, level, message string) string {
		return `{"level":"` + level + `","ts":"` +
			at(second).Format("2006-01-02T15:04:05.999999Z0700") + `","msg":"` + message + `"}`
	}
	for text, want := range map[string]int{
		line(5, "info", "no error, no panic"):        0,
		line(5, "warn", "rejected connection"):       0,
		line(5, "error", "journal"):                  1,
		line(15, "error", "journal"):                 0,
		line(5, "error", "Health check error"):       0,
		line(5, "fatal", "discovery failed"):         1,
		"thread 'main' panicked at src/lib.rs:1:1:":  1,
		"panic: runtime error: nil pointer in a map": 1,
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		wrong, err := storeErrors(path, away())
		if err != nil || len(wrong) != want {
			t.Errorf("%s: %v, %v", text, wrong, err)
		}
	}
}

func registered(name string) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(noon)},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady,
			Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(noon)}}}}
}

func TestNodeJudge(t *testing.T) {
	tainted, gone, back := registered("a"), registered("a"), registered("a")
	tainted.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeNotReady}}
	gone.Status.Conditions[0].Status = corev1.ConditionUnknown
	back.Status.Conditions[0].LastTransitionTime = metav1.NewTime(at(60))
	for _, c := range []struct {
		name  string
		nodes []corev1.Node
		want  string
	}{
		{"steady", []corev1.Node{registered("a")}, ""},
		{"missing", nil, "0 nodes"},
		{"tainted", []corev1.Node{tainted}, "tainted"},
		{"not ready", []corev1.Node{gone}, "not ready"},
		{"was not ready", []corev1.Node{back}, "was not"},
	} {
		got := strings.Join(unsteady(c.nodes, 1), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestBindingJudge(t *testing.T) {
	running := corev1.Pod{Spec: corev1.PodSpec{NodeName: "a"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	pending, elsewhere, waiting := running, running, running
	pending.Spec.NodeName, elsewhere.Spec.NodeName = "", "unknown"
	waiting.Status = corev1.PodStatus{Phase: corev1.PodPending}
	for name, c := range map[string]struct {
		pod  corev1.Pod
		want int
	}{"runs": {running, 0}, "not bound": {pending, 1}, "bound to no node of ours": {elsewhere, 1},
		"bound and not started": {waiting, 1}} {
		if got := unbound([]corev1.Pod{c.pod}, []*node{{name: "a"}}); len(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestStreamingListJudge(t *testing.T) {
	a := watch.Event{Type: watch.Added, Object: object("n/a", "2")}
	b := watch.Event{Type: watch.Added, Object: object("n/b", "3")}
	mark := func(revision, value string) watch.Event {
		marked := object("", revision)
		marked.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: value}
		return watch.Event{Type: watch.Bookmark, Object: marked}
	}
	for _, c := range []struct {
		name, want string
		events     []watch.Event
	}{
		{"whole", "", []watch.Event{a, b, mark("5", "true")}},
		{"an object is missing", "n/b is at 0", []watch.Event{a, mark("5", "true")}},
		{"an object comes twice", "ADDED n/a", []watch.Event{a, a, b, mark("5", "true")}},
		{"an old state", "n/b is at 1", []watch.Event{a,
			{Type: watch.Added, Object: object("n/b", "1")}, mark("5", "true")}},
		{"an object too many", "not expected", []watch.Event{a, b,
			{Type: watch.Added, Object: object("n/c", "4")}, mark("5", "true")}},
		{"no mark", "no bookmark", []watch.Event{a, b}},
		{"a bookmark that is no mark", "no bookmark", []watch.Event{a, b, mark("5", "")}},
		{"a mark of the past", "no bookmark", []watch.Event{a, b, mark("4", "true")}},
		{"an error", "ERROR", []watch.Event{a, b, {Type: watch.Error, Object: &metav1.Status{}},
			mark("5", "true")}},
	} {
		got := strings.Join(judgeBeginning(c.events, map[string]int64{"n/a": 2, "n/b": 3}, 5), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestEncryptionJudge(t *testing.T) {
	for _, c := range []struct {
		name         string
		value        string
		begin, shown int
	}{
		{"encrypted", firstSealed + "\x00\x01\x02", 1, 0},
		{"plain", plainValue + revealed, 0, 0},
		{"another key", secondSealed + "\x00", 0, 0},
		{"encrypted in name only", firstSealed + revealed, 1, 1},
	} {
		begin, shown := judgeStored([][]byte{[]byte(c.value)}, firstSealed)
		if begin != c.begin || shown != c.shown {
			t.Errorf("%s: %d begin, %d show", c.name, begin, shown)
		}
	}
	secret := func(name, value string) corev1.Secret {
		return corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name},
			Data: map[string][]byte{"value": []byte(value)}}
	}
	want := map[string][]byte{"a": []byte("1")}
	for name, c := range map[string]struct {
		got  []corev1.Secret
		want int
	}{
		"equal":    {[]corev1.Secret{secret("a", "1")}, 0},
		"altered":  {[]corev1.Secret{secret("a", "2")}, 1},
		"missing":  {nil, 1},
		"too many": {[]corev1.Secret{secret("a", "1"), secret("b", "1")}, 1},
	} {
		if wrong := differingSecrets(c.got, want); len(wrong) != c.want {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}

func TestSilenceIsNotARefusal(t *testing.T) {
	for text, want := range map[string]bool{
		"remote error: tls: certificate required":                      true,
		"read: connection reset by peer":                               true,
		"context deadline exceeded (Client.Timeout exceeded)":          false,
		"dial tcp 127.0.0.1:1: connect: connection refused":            false,
		"503 Service Unavailable: the store let the client in, though": false,
	} {
		if refused(errors.New(text)) != want {
			t.Errorf("%s: want %v", text, want)
		}
	}
	if refused(nil) {
		t.Error("an answer is not a refusal")
	}
}

func TestRefusedPeersMustBeNamed(t *testing.T) {
	log := []string{`{"msg":"rejected connection","remote-addr":"127.0.0.1:40001"}`}
	got := notNamed([]string{"127.0.0.1:40001", "127.0.0.1:4000"}, log)
	if len(got) != 1 || got[0] != "127.0.0.1:4000" {
		t.Error(got)
	}
}

func TestKubectlWatchIsCounted(t *testing.T) {
	w := &watching{kinds: map[string]int{}}
	w.read(strings.NewReader("ADDED    web-1  0/1\nADDED    web-2  0/1\nDELETED  web-1\n\n"))
	if w.kinds["ADDED"] != 2 || w.kinds["DELETED"] != 1 {
		t.Error(w.summary())
	}
}
