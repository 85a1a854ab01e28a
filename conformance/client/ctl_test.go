package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"conformance/store"
)

// side is one server with the etcdctl output it gives.
type side struct {
	server *store.Server
	// lease is what $LEASE stands for: the id that this server granted last.
	lease string
}

// ctlCommands are asked of the real etcd and of the server under test, in order; the output,
// the error output and the exit code must be the same. "<" gives the standard input.
var ctlCommands = []string{
	"version",
	"put a 1", "put a 2 --prev-kv", "put b/1 x", "put b/2 y", "put b/3 z", "put c --ignore-value",
	"put none --ignore-value", "put a 3 --lease=77", "put a 3 --ignore-lease",
	"get a", "get a -w json", "get a -w fields", "get a -w protobuf", "get none",
	"get b/ --prefix", "get b/ --prefix --keys-only", "get b/ --prefix --print-value-only",
	"get b/ --prefix --count-only -w fields", "get b/ --prefix --limit=2 -w json",
	"get b/ --prefix --order=DESCEND --sort-by=MODIFY", "get b/1 b/3", "get --from-key b/2",
	"get a --rev=2", "get a --rev=3", "get a --rev=99", "get a --consistency=s", "get --prefix  -w json",
	"get a --hex", "get a --min-mod-rev=4", "get b/ --prefix --max-create-rev=5",
	"del none", "del b/1 --prev-kv", "del b/ --prefix --prev-kv -w json", "put b/1 x",
	"txn < mod(\"a\") > \"0\"|create(\"b/1\") = \"0\"||put t 1|get a||put t 2|get b/1|del a||",
	"txn < value(\"t\") = \"2\"||get t||put t 9||", "txn -w json < ||put u 1|put v 2||||",
	"txn < ||put same 1|put same 2||||",
	"watch --rev=1 --prefix  -w json", "watch --rev=1 --prev-kv --prefix b/", "watch --rev=2 a",
	"compaction 5", "compaction 5", "compaction 999", "compaction 8 --physical",
	"get a --rev=4", "watch --rev=2 a",
	"lease grant 600", "lease timetolive $LEASE", "put leased 1 --lease=$LEASE",
	"lease timetolive $LEASE --keys", "lease timetolive $LEASE --keys -w json", "lease list",
	"lease keep-alive --once $LEASE", "lease keep-alive --once 4d2", "lease timetolive 4d2",
	"lease revoke $LEASE", "lease revoke $LEASE", "get leased", "lease grant 99999999999",
	"lease list", "lease list -w json",
	// The hash covers lease ids, which the servers chose: what held one must be compacted first.
	"put after 1", "compaction 14 --physical",
	"endpoint status -w json", "endpoint status -w simple", "endpoint status -w fields",
	"endpoint health", "endpoint health -w json", "endpoint hashkv", "endpoint hashkv -w json",
	"endpoint hashkv --rev=9", "endpoint hashkv --rev=2",
	"member list", "member list -w json", "member list -w table", "member list -w fields",
	"alarm list", "alarm disarm", "defrag",
	"lock name echo held", "check datascale --help",
}

func TestEtcdctlPrintsTheSame(t *testing.T) {
	reference, judged := startSide(t, "etcd"), startSide(t, underTest())
	for i, line := range ctlCommands {
		want, got := reference.run(t, line), judged.run(t, line)
		if os.Getenv("SHOW") != "" {
			t.Logf("etcdctl %s\n%s", line, want)
		}
		if want != got {
			t.Errorf("command %d: etcdctl %s\n--- etcd:\n%s\n--- %s:\n%s", i, line, want, underTest(), got)
		}
	}
}

// TestEtcdctlComparisonCanFail proves that a difference in the store shows in the output.
func TestEtcdctlComparisonCanFail(t *testing.T) {
	one, other := startSide(t, "etcd"), startSide(t, "etcd")
	other.run(t, "put odd 1")
	for _, line := range []string{"get odd", "put a 1 -w json", "endpoint hashkv", "endpoint status -w json"} {
		if one.run(t, line) == other.run(t, line) {
			t.Errorf("etcdctl %s shows no difference", line)
		}
	}
}

func startSide(t *testing.T, name string) *side {
	t.Helper()
	server, err := store.Start(store.Options{Binary: binary(t, name), SameIdentity: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	return &side{server: server}
}

const watchTime = 700 * time.Millisecond

// run runs one etcdctl command and returns all that it shows, made comparable.
func (s *side) run(t *testing.T, line string) string {
	t.Helper()
	limit := 20 * time.Second
	if strings.HasPrefix(line, "watch") {
		limit = watchTime
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	arguments, input, _ := strings.Cut(line, " < ")
	arguments = strings.ReplaceAll(arguments, "$LEASE", s.lease)
	// A double space stands for an empty argument.
	words := append(strings.Split(arguments, " "), "--endpoints="+s.server.Endpoint)
	command := exec.CommandContext(ctx, ctl(t), words...)
	command.Stdin = strings.NewReader(strings.ReplaceAll(input, "|", "\n"))
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if match := regexp.MustCompile(`lease ([0-9a-f]+) granted`).FindStringSubmatch(stdout.String()); match != nil {
		s.lease = match[1]
	}
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatalf("etcdctl %s: %v", line, err)
	}
	return s.comparable(fmt.Sprintf("%s[stderr] %s[exit %d]", stdout.String(), stderr.String(), code))
}

func ctl(t *testing.T) string {
	path := os.Getenv("ETCDCTL")
	if path == "" {
		path = "../bin/etcdctl"
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// masks hide what may differ: ports, chosen lease ids, times, and what measures the engine.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`"ts":"[^"]*"`), `"ts":"…"`},
	{regexp.MustCompile(`LocalAddr: '[^']*'`), "LocalAddr: …"},
	{regexp.MustCompile(`"target":"[^"]*"`), `"target":"…"`},
	{regexp.MustCompile(`(?i)("?(?:raft_?term|raft_?index|raft_?applied_?index|db_?size|db_?size_?in_?use)"?\s*:\s*)\d+`), "${1}…"},
	{regexp.MustCompile(`took = \S+`), "took = …"},
	{regexp.MustCompile(`"took":"[^"]*"`), `"took":"…"`},
	{regexp.MustCompile(`took \S+`), "took …"},
	{regexp.MustCompile(`remaining\(\d+s\)`), "remaining(…)"},
	{regexp.MustCompile(`"ttl":5\d\d`), `"ttl":…`},
	{regexp.MustCompile(`name/[0-9a-f]+`), "name/…"},
	// endpoint status -w simple: version, storage version, size, in use, share, quota, leader,
	// learner, term, index, applied index.
	{regexp.MustCompile(`(3\.7\.1, 3\.7\.0), [^\n]*?, (true|false), (true|false), \d+, \d+, \d+`), "$1, …, $2, $3, …"},
	// protobuf output: the raft term is the header's last field.
	{regexp.MustCompile(`\x20[\x01-\x7f]\x12`), " …\x12"},
}

func (s *side) comparable(text string) string {
	text = strings.ReplaceAll(text, s.server.Endpoint, "ENDPOINT")
	if s.lease != "" {
		text = strings.ReplaceAll(text, s.lease, "LEASE")
		text = strings.ReplaceAll(text, decimal(s.lease), "LEASE")
	}
	for _, mask := range masks {
		text = mask.pattern.ReplaceAllString(text, mask.with)
	}
	return text
}

func decimal(hex string) string {
	var id int64
	fmt.Sscanf(hex, "%x", &id)
	return fmt.Sprint(id)
}
