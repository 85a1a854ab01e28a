package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is made wrong on purpose is found. ETCD gives another path than ../bin/etcd.

func reference(t *testing.T) string {
	t.Helper()
	path := os.Getenv("ETCD")
	if path == "" {
		path = "../bin/etcd"
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no etcd: %v", err)
	}
	return path
}

func TestContentionThatExcludesNobodyIsFound(t *testing.T) {
	side, err := open(reference(t))
	if err != nil {
		t.Fatal(err)
	}
	defer side.close()
	// Everybody is let in at once, with a key that nobody made.
	everybody := func(*entrant, int) (contender, error) {
		return func(context.Context) (string, func() error, error) {
			return "none", func() error { return nil }, nil
		}, nil
	}
	faults, _, err := contestOf(side, "free", []func(*entrant, int) (contender, error){everybody}, 20)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(faults, "\n")
	for _, want := range []string{"hold at once", "is not there", "turns were taken"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not among the faults found", want)
		}
	}
}

func TestTurnsOutOfOrderAreFound(t *testing.T) {
	side, err := open(reference(t))
	if err != nil {
		t.Fatal(err)
	}
	defer side.close()
	client, err := dial(side)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	arena := &arena{client: client, turns: []int64{2, 4, 3}}
	if faults := arena.judge("x/", 3); len(faults) != 1 || !strings.Contains(faults[0], "3 had its turn after 4") {
		t.Errorf("found %q", faults)
	}
}

func TestADifferenceIsCounted(t *testing.T) {
	etcd := reference(t)
	first := true
	odd := script{"odd", []step{leaseCount(), {"another answer", func(*side) string {
		first = !first
		return map[bool]string{true: "one", false: "other"}[first]
	}}, {"no answer", func(*side) string { return noAnswer }}}}
	failed, err := compare(etcd, etcd, "", odd, false)
	if err != nil || failed != 2 {
		t.Errorf("%d differences, %v", failed, err)
	}
}

func TestChosenLeasesAreNamedAlike(t *testing.T) {
	side := &side{}
	side.choose([]byte("a/1f2e3d4c5b6a7988"))
	text := side.named(`"key": "YS8xZjJlM2Q0YzViNmE3OTg4", "lease": "2246800662264969608"`)
	if want := `"key": "a/L1", "lease": "L1"`; text != want {
		t.Errorf("%s, not %s", text, want)
	}
}
