package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func namesOf(s settings) (all []string) {
	for _, f := range rolling(s) {
		all = append(all, f.name)
	}
	return all
}

func TestEveryReplicaGoesThereAndBackAndThereForGood(t *testing.T) {
	want := []string{
		"nothing",
		"m1 becomes the other, held", "m2 becomes the other, held",
		"m1 becomes the first program", "m2 becomes the first program",
		"m1 becomes the other, for good", "m2 becomes the other, for good",
		"the first program is refused",
	}
	if got := namesOf(settings{replicas: 2}); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, f := range rolling(settings{replicas: 3})[1:] {
		if f.needs != several || f.most != handOverGoal || f.strike == nil {
			t.Errorf("%s: needs %v, at most %v", f.name, f.needs, f.most)
		}
	}
}

func TestOneBinaryIsTwoProgramsByTheirArguments(t *testing.T) {
	before, held, other := programs(settings{binary: "old", before: "--hold-level=1 --x", roll: "new", held: "--hold-level=1"})
	if before.binary != "old" || !slices.Equal(before.args, []string{"--hold-level=1", "--x"}) {
		t.Errorf("%+v", before)
	}
	if held.binary != "new" || !slices.Equal(held.args, []string{"--hold-level=1"}) {
		t.Errorf("%+v", held)
	}
	if other.binary != "new" || len(other.args) != 0 {
		t.Errorf("for good is held by nothing: %+v", other)
	}
}

func TestOnlyWhoSaysThatItIsTooOldCounts(t *testing.T) {
	fatal := func(words string) string {
		return `{"level":"fatal","ts":"2026-01-01T00:00:00Z","msg":"stopped","error":"` + words + `"}` + "\n"
	}
	earlier := `{"level":"info","msg":"the level is 1"}` + "\n"
	for words, old := range map[string]bool{
		"the journal's entry at slot 7 takes level 2, and this replica is held at level 1":                     true,
		"the journal's entry at slot 7 cannot be understood: command 41 at byte 4 was made by a newer version": true,
		"the newest checkpoint was written by a newer version (image format 4)":                                true,
		"the journal is damaged at slot 7":                                                                     false,
		"connection refused":                                                                                   false,
		"":                                                                                                     false,
	} {
		want := ""
		if old {
			want = words
		}
		if got := refusal(earlier + fatal(words)); got != want {
			t.Errorf("%q: %q", words, got)
		}
	}
	if got := refusal(""); got != "" {
		t.Errorf("a silent end says %q", got)
	}
	if got := refusal("panicked: a newer version\n"); got != "panicked: a newer version" {
		t.Errorf("a line that is no JSON is shown whole: %q", got)
	}
}

func TestItIsSaidWhenThePauseEnded(t *testing.T) {
	signs := []time.Duration{0, 10 * ms, 90 * ms, 100 * ms, 160 * ms, 170 * ms}
	for _, c := range []struct{ from, to, most, until time.Duration }{
		{50 * ms, 200 * ms, 80 * ms, 90 * ms},
		{95 * ms, 200 * ms, 60 * ms, 160 * ms},
		{165 * ms, 400 * ms, 230 * ms, 400 * ms},
		{0, 5 * ms, 10 * ms, 10 * ms},
	} {
		if most, until := longest(signs, c.from, c.to); most != c.most || until != c.until {
			t.Errorf("%v to %v: %v until %v", c.from, c.to, most, until)
		}
	}
}

func TestAGoalIsMissedByAMillisecond(t *testing.T) {
	one := row{most: handOverGoal, others: map[string]time.Duration{writing: handOverGoal}}
	if !strings.HasSuffix(one.verdict(), "reached") {
		t.Error(one.verdict())
	}
	one.others[writing] += ms
	if !strings.HasSuffix(one.verdict(), "missed") {
		t.Error(one.verdict())
	}
	one.away = time.Second
	if !strings.HasSuffix(one.verdict(), "reached") {
		t.Errorf("what PostgreSQL was away is not ours: %s", one.verdict())
	}
}
