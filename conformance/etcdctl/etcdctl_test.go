package main

import (
	"os"
	"strings"
	"testing"
)

// These tests judge the judge: what two equal servers show must be alike after masking, and what
// is different must still be seen.

func testTargets(t *testing.T) Targets {
	t.Helper()
	var targets Targets
	for name, path := range map[string]*string{"etcd": &targets.etcd,
		"etcdctl": &targets.tools.etcdctl, "etcdutl": &targets.tools.etcdutl} {
		binary := os.Getenv(strings.ToUpper(name))
		if binary == "" {
			binary = "../bin/" + name
		}
		found, err := absolute(binary)
		if err != nil {
			t.Fatalf("needs a real %s (run build-tools.sh): %v", name, err)
		}
		*path = found
	}
	targets.judged = targets.etcd
	return targets
}

func mustParse(t *testing.T, text string) Script {
	t.Helper()
	script, err := parseScript("test", text)
	if err != nil {
		t.Fatal(err)
	}
	return script
}

func differing(t *testing.T, targets Targets, text string) []Difference {
	t.Helper()
	differences, err := runScript(targets, mustParse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return differences
}

// whatDiffers runs where the other server has one thing set differently.
const whatDiffers = `
* put a 1
* get a
txn
  < 
  < put b 1
  < put c 1
  < 
  < 
~ watch a --rev=1
  while: put a 2
~ lock mutex
lease grant 5
* endpoint status
`

func TestEqualServersDoNotDiffer(t *testing.T) {
	for _, each := range differing(t, testTargets(t), whatDiffers) {
		t.Error(each.Case, each)
	}
}

func TestOtherSettingIsSeen(t *testing.T) {
	targets := testTargets(t)
	targets.extra = []string{"--max-txn-ops=1"}
	differences := differing(t, targets, whatDiffers)
	if len(differences) == 0 {
		t.Fatal("a transaction was refused on one side, and nobody saw it")
	}
	for _, each := range differences {
		if each.Case == "test: put a 1 -w simple" {
			t.Errorf("it also differs in %s: %v", each.Case, each)
		}
	}
	targets.extra = []string{"--quota-backend-bytes=123456789"}
	if len(differing(t, targets, "* endpoint status")) < 3 {
		t.Error("another quota is not seen in every format")
	}
}

func TestServerThatDoesNotStartIsADifference(t *testing.T) {
	targets := testTargets(t)
	targets.extra = []string{"--no-such-flag"}
	differences := differing(t, targets, "put a 1")
	if len(differences) != 1 || differences[0].Where != "process" {
		t.Errorf("found %v", differences)
	}
}

// TestMasksLeaveTheRest feeds outputs that may and may not be masked alike.
func TestMasksLeaveTheRest(t *testing.T) {
	cases := []struct {
		line, one, other string
		equal            bool
	}{
		{"get a -w json", `"raft_term":2`, `"raft_term":9`, true},
		{"get a -w json", `"raft_term":2`, `"raft_term":0`, false},
		{"get a -w json", `"revision":2`, `"revision":3`, false},
		{"get a -w json", `"key":"YQ=="`, `"key":"Yg=="`, false},
		{"get a -w protobuf", "\n\x19\b\xf5\x96\xb0\xb8\x8c\xe2\xd7\xd8\x15\x10\xdf\x9c\xd7\xc0\xa1\xd7\xae\xb1\xad\x01\x18\x02\x20\x02",
			"\n\x19\b\xf5\x96\xb0\xb8\x8c\xe2\xd7\xd8\x15\x10\xdf\x9c\xd7\xc0\xa1\xd7\xae\xb1\xad\x01\x18\x02\x20\x07", true},
		{"get a -w protobuf", "\n\x19\b\xf5\x96\xb0\xb8\x8c\xe2\xd7\xd8\x15\x10\xdf\x9c\xd7\xc0\xa1\xd7\xae\xb1\xad\x01\x18\x02\x20\x02",
			"\n\x19\b\xf5\x96\xb0\xb8\x8c\xe2\xd7\xd8\x15\x10\xdf\x9c\xd7\xc0\xa1\xd7\xae\xb1\xad\x01\x18\x03\x20\x02", false},
		{"lease timetolive 1", "remaining(599s)", "remaining(598s)", true},
		{"lease timetolive 1", "remaining(599s)", "remaining(0s)", false},
		{"lease grant 600", "granted with TTL(600s)", "granted with TTL(60s)", false},
		{"endpoint status", "3.7.1, 3.7.0, 20 kB, 16 kB, 20%, 0 B, true, false, 2, 4, 4",
			"3.7.1, 3.7.0, 66 kB, 1 B, 1%, 0 B, true, false, 1, 1, 1", true},
		{"endpoint status", "3.7.1, 3.7.0, 20 kB, 16 kB, 20%, 0 B, true, false, 2, 4, 4",
			"3.7.1, 3.6.0, 20 kB, 16 kB, 20%, 0 B, true, false, 2, 4, 4", false},
		{"endpoint hashkv", "ENDPOINT, 123, 4", "ENDPOINT, 124, 4", false},
		{"get lock", "mutex/694d71ddacfda227", "mutex/694d71ddacfda228", false},
	}
	one := &side{}
	for _, each := range cases {
		c := Case{Line: each.line}
		a, b := one.canonical(c, Output{Stdout: each.one}), one.canonical(c, Output{Stdout: each.other})
		if (a == b) != each.equal {
			t.Errorf("%s: %q and %q: equal %v", each.line, a.Stdout, b.Stdout, a == b)
		}
	}
}

func TestLeasesAreNamedByTheOrderTheyCame(t *testing.T) {
	one, other := &side{leases: []int64{0x694d71ddacfda227, 5}}, &side{leases: []int64{0x11111111deadbeef, 7}}
	a := one.canonical(Case{}, Output{Stdout: "lease 694d71ddacfda227 granted, 0000000000000005"})
	b := other.canonical(Case{}, Output{Stdout: "lease 11111111deadbeef granted, 0000000000000007"})
	if a != b || !strings.Contains(a.Stdout, "LEASE1 granted, LEASE2") {
		t.Errorf("%q and %q", a.Stdout, b.Stdout)
	}
}

func TestScriptsParseAndNamesAreUnique(t *testing.T) {
	scripts, err := readScripts()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, script := range scripts {
		for _, each := range script.Cases {
			if seen[each.Name] {
				t.Errorf("%q stands there twice", each.Name)
			}
			seen[each.Name] = true
			if _, err := split(each.Line); err != nil {
				t.Error(err)
			}
		}
	}
	if len(seen) < 500 {
		t.Errorf("only %d commands", len(seen))
	}
}

func TestShortIDsAreNamedAsLongOnes(t *testing.T) {
	one, other := &side{names: []name{{"8e9e05c52164694d", "MEMBER"}}}, &side{names: []name{{"e9e05c52164694d", "MEMBER"}}}
	a := one.canonical(Case{}, Output{Stdout: "Member 8e9e05c52164694d updated"})
	b := other.canonical(Case{}, Output{Stdout: "Member  e9e05c52164694d updated"})
	if a != b || a.Stdout != "Member MEMBER updated" {
		t.Errorf("%q and %q", a.Stdout, b.Stdout)
	}
}
