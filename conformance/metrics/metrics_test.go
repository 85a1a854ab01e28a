package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const sample = `# HELP etcd_server_has_leader Whether or not a leader exists.
# TYPE etcd_server_has_leader gauge
etcd_server_has_leader 1
# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 1
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 2
etcd_disk_wal_fsync_duration_seconds_sum 0.5
etcd_disk_wal_fsync_duration_seconds_count 2
# TYPE grpc_server_started_total counter
grpc_server_started_total{grpc_method="Put",grpc_service="a\"b}",grpc_type="unary"} 3
# TYPE etcd_empty counter
`

// The judge finds nothing between a server and itself, and each thing that is made wrong.
func TestCompareFindsWhatIsWrong(t *testing.T) {
	good := parsed(t, sample)
	if wrong := Compare(good, parsed(t, sample)); len(wrong) > 0 {
		t.Fatalf("found %q", wrong)
	}
	for old, broken := range map[string]string{
		"# TYPE etcd_server_has_leader gauge\netcd_server_has_leader 1\n": "",
		"etcd_server_has_leader gauge":                                    "etcd_server_has_leader counter",
		"etcd_server_has_leader 1":                                        "etcd_server_has_leader 0",
		`le="0.001"`:                                                      `le="0.002"`,
		"seconds_count 2":                                                 "seconds_count 0",
		`,grpc_type="unary"`:                                              "",
		`grpc_method="Put"`:                                               `grpc_method="put"`,
		"# TYPE etcd_empty counter\n":                                     "# TYPE etcd_new counter\netcd_new 1\n",
	} {
		if !strings.Contains(sample, old) {
			t.Fatalf("%q is not in the sample", old)
		}
		if wrong := Compare(good, parsed(t, strings.Replace(sample, old, broken, 1))); len(wrong) == 0 {
			t.Errorf("%q for %q is not found", broken, old)
		}
	}
}

func TestLabelsAreTakenApart(t *testing.T) {
	family := parsed(t, sample)["grpc_server_started_total"]
	if got := fmt.Sprint(family.Series, family.Sum); got != `[map[grpc_method:Put grpc_service:a"b} grpc_type:unary]] 3` {
		t.Fatal(got)
	}
	for _, text := range []string{"a 1", "# TYPE a gauge\na{x=\"1\" 1", "# TYPE a gauge\na x"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

// What a reason is given for exists: a name that both sides have needs none.
func TestEveryReasonIsNeeded(t *testing.T) {
	seen := map[string]bool{}
	for _, entry := range explained {
		if seen[entry.Name] || entry.Reason == "" {
			t.Errorf("%s is there twice, or without a reason", entry.Name)
		}
		seen[entry.Name] = true
	}
	for _, read := range mixin {
		if explain(read.Family) != "" {
			t.Errorf("%s is read by the mixin: nothing excuses its absence", read.Family)
		}
	}
}

// etcd judged by itself has no difference, and none of its families goes unread.
func TestEtcdAgreesWithItself(t *testing.T) {
	etcd := os.Getenv("ETCD")
	if etcd == "" {
		t.Fatal("ETCD must name etcd's binary")
	}
	wrong, err := judge(etcd, etcd, false)
	if err != nil || len(wrong) > 0 {
		t.Fatal(err, wrong)
	}
}

func parsed(t *testing.T, text string) map[string]*Family {
	t.Helper()
	families, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return families
}
