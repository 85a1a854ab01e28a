package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"conformance/postgres/replicas"
)

func TestEveryTicketIsAFaultAndEveryFaultIsDrawn(t *testing.T) {
	// What strikes nothing, and what would sit in two seats.
	never := []string{"nothing", "PostgreSQL's primary and the writer killed", "the journal's table gone, and a replica starts"}
	for _, f := range slices.Concat(faults, azureFaults) {
		drawn := slices.ContainsFunc(slices.Concat(hat, azureHat), func(one ticket) bool { return one.name == f.name })
		if drawn == slices.Contains(never, f.name) {
			t.Errorf("%q is drawn: %v", f.name, drawn)
		}
	}
	for _, one := range slices.Concat(hat, azureHat) {
		if !slices.ContainsFunc(slices.Concat(faults, azureFaults), func(f fault) bool { return f.name == one.name }) {
			t.Errorf("no fault is called %q", one.name)
		}
		if one.weight < 1 || one.lasts[0] > one.lasts[1] {
			t.Errorf("%+v", one)
		}
	}
}

func plans(episodes [][]*drawn) (all []string) {
	for _, episode := range episodes {
		all = append(all, planned(episode))
	}
	return all
}

func TestASeedIsASchedule(t *testing.T) {
	one, same, other := schedule(7, 200, hat), schedule(7, 200, hat), schedule(8, 200, hat)
	if !slices.Equal(plans(one), plans(same)) {
		t.Error("the same seed draws two schedules")
	}
	if slices.Equal(plans(one), plans(other)) {
		t.Error("two seeds draw one schedule")
	}
}

func TestAScheduleHasAllKindsAndNoTwoThatContend(t *testing.T) {
	for seed := range uint64(50) {
		times := map[string]int{}
		count, overlaps := 0, 0
		for i, episode := range schedule(seed, 200, hat) {
			taken := map[seat]int{}
			for j, d := range episode {
				times[d.name]++
				taken[d.seat]++
				if d.episode != i+1 || d.begin > spread || d.lasting < d.lasts[0] || d.lasting > d.lasts[1] {
					t.Fatalf("seed %d: %+v", seed, d)
				}
				for _, other := range episode[:j] {
					if d.begin < other.begin+other.lasting && other.begin < d.begin+d.lasting {
						overlaps++
					}
				}
			}
			for s, many := range taken {
				if many > ofASeat {
					t.Fatalf("seed %d: %d faults in seat %v", seed, many, s)
				}
			}
			count += len(episode)
		}
		if count != 200 || len(times) != len(hat) || overlaps < 100 {
			t.Fatalf("seed %d: %d faults of %d kinds, %d overlaps", seed, count, len(times), overlaps)
		}
	}
}

func TestAFewFaultsAreNoMoreThanAsked(t *testing.T) {
	for count := range 9 {
		got := 0
		for _, episode := range schedule(1, count, hat[:2]) {
			got += len(episode)
		}
		if got != count {
			t.Errorf("%d faults of %d", got, count)
		}
	}
}

// episodeOf has m1 struck from 100 to 300 ms and m2 from 250 to 400; m1 answers nothing while it is struck, m2 and m3
// pause for 120 ms from 150 ms on.
func episodeOf() (*run, *load, []*drawn) {
	var all []*replicas.Replica
	for _, name := range []string{"m1", "m2", "m3"} {
		all = append(all, &replicas.Replica{Name: name})
	}
	r := &run{set: &replicas.Set{Replicas: all}}
	l := &load{record: newRecord()}
	for at := time.Duration(0); at <= 500*ms; at += 10 * ms {
		for _, name := range names(all) {
			away := name == "m1" && at > 100*ms && at < 300*ms || at > 150*ms && at < 270*ms
			for _, what := range measured {
				if !away {
					l.pulses[pulse{what, name}] = append(l.pulses[pulse{what, name}], at)
				}
			}
		}
	}
	first := &drawn{ticket: ticket{name: "one"}, began: 100 * ms, ended: 300 * ms, blow: &blow{struck: all[:1]}}
	second := &drawn{ticket: ticket{name: "two"}, began: 250 * ms, ended: 400 * ms, blow: &blow{struck: all[1:2]}}
	return r, l, []*drawn{first, second}
}

func TestPausesBelongToReplicasThatNothingStruck(t *testing.T) {
	r, l, episode := episodeOf()
	l.measureAll(r, episode)
	for _, d := range episode {
		if d.pauses[writing] != 120*ms || d.pauses[watching] != 120*ms {
			t.Errorf("%s: %v", d.name, d.pauses)
		}
	}
	// One that strikes all is measured through whom the other left.
	episode[1].blow.struck = r.set.Replicas
	episode[0].pauses, episode[1].pauses = nil, nil
	l.measureAll(r, episode)
	if episode[0].pauses != nil || episode[1].pauses[writing] != 120*ms {
		t.Errorf("%v, %v", episode[0].pauses, episode[1].pauses)
	}
	// Nor does one count that ended by itself.
	l.deserted = []string{"m2", "m3"}
	episode[1].pauses = nil
	l.measureAll(r, episode)
	if episode[1].pauses != nil {
		t.Errorf("%v", episode[1].pauses)
	}
	// Nor one that another struck just before.
	r, l, episode = episodeOf()
	episode[1].began, episode[1].ended, episode[1].blow.struck = 310*ms, 400*ms, r.set.Replicas[2:]
	episode[0].blow.struck = r.set.Replicas[:2]
	l.measureAll(r, episode)
	if episode[1].pauses != nil {
		t.Errorf("%v", episode[1].pauses)
	}
	// What is long before a fault is not its own.
	r, l, episode = episodeOf()
	episode[0].began, episode[0].ended = 420*ms, 450*ms
	episode[1].blow.struck = nil
	l.measureAll(r, episode)
	if episode[0].pauses[writing] != 10*ms {
		t.Errorf("%v", episode[0].pauses)
	}
}

func TestTheTableCountsKindsAndLosses(t *testing.T) {
	r, l, episode := episodeOf()
	l.measureAll(r, episode)
	episode[0].name, episode[1].name = hat[0].name, hat[1].name
	episode[0].episode, episode[1].episode = 1, 12
	r.drawn = episode
	r.losses = []error{found{errorOf("episode 1: a write is LOST")}}
	text := r.drawnMarkdown()
	for _, want := range []string{
		"| " + hat[0].name + " | 1 | 200 ms / 200 ms / 200 ms | 120 ms / 120 ms / 120 ms |", " | 1 |\n| " + hat[1].name, " | 0 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

type errorOf string

func (e errorOf) Error() string { return string(e) }
