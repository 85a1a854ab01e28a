package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"conformance/postgres/replicas"
)

// row is what one fault cost.
type row struct {
	fault string
	// anywhere is the longest time in which no replica acknowledged a write.
	anywhere time.Duration
	// others and struck are the longest pauses through replicas that were left alone, and through the one that was struck.
	others, struck map[string]time.Duration
	// before is the same through all replicas while nothing happened.
	before map[string]time.Duration
	// paused is when the longest pause of writes through the others ended, from the strike on.
	paused time.Duration
	// slowest is the longest that an acknowledged write took through a replica that was left alone; lost is how many got
	// no answer there.
	slowest time.Duration
	// most is the goal for writes through the others, and away what of it was the store's own.
	most, away time.Duration
	lost       int
	note       string
}

var measured = []string{writing, reading, glancing, watching}

// measure finds the longest pauses of an episode.
func (l *load) measure(f fault, b *blow, at moments) row {
	one := row{fault: f.name, most: f.most, away: b.away, others: map[string]time.Duration{}, struck: map[string]time.Duration{},
		before: map[string]time.Duration{}, note: b.note}
	var writes []time.Duration
	for p, all := range l.pulses {
		// What the strike itself does is not part of it.
		quiet := slices.DeleteFunc(slices.Clone(all), func(sign time.Duration) bool { return sign > at.strike })
		still, _ := longest(quiet, at.strike-calm, at.strike)
		one.before[p.what] = max(one.before[p.what], still)
		within, until := longest(all, at.strike, at.end)
		into := one.others
		if b.hit(p.through) {
			into = one.struck
		} else if p.what == writing && within > into[writing] {
			one.paused = until - at.strike
		}
		into[p.what] = max(into[p.what], within)
		if p.what == writing {
			writes = append(writes, all...)
		}
	}
	for _, o := range l.operations {
		if !o.writes() || o.call > at.end || b.hit(o.through) {
			continue
		}
		if !o.known {
			one.lost++
		} else if o.end > at.strike {
			one.slowest = max(one.slowest, o.end-o.call)
		}
	}
	slices.Sort(writes)
	one.anywhere, _ = longest(writes, at.strike, at.end)
	return one
}

// hit tells whether the named replica was struck.
func (b *blow) hit(name string) bool {
	return slices.ContainsFunc(b.struck, func(r *replicas.Replica) bool { return r.Name == name })
}

// longest is the longest time without a sign of life that touches the span; the sign before the span and the one after
// it count, so that a pause is never cut short. Until is when it ended.
func longest(all []time.Duration, from, to time.Duration) (most, until time.Duration) {
	var last time.Duration
	for _, at := range all {
		if at > from && last < to && at-last > most {
			most, until = at-last, at
		}
		last = at
	}
	if last < to && to-last > most {
		most, until = to-last, to
	}
	return most, until
}

func (r row) line() string {
	text := fmt.Sprintf("%-44s writes anywhere %8s", r.fault, milliseconds(r.anywhere))
	for _, what := range measured {
		text += fmt.Sprintf(", %s %s", what, milliseconds(r.others[what]))
		if len(r.struck) > 0 {
			text += "/" + milliseconds(r.struck[what])
		}
	}
	text += fmt.Sprintf(", slowest write %s, %d unanswered; until %s after the strike, writes paused %s before it", milliseconds(r.slowest),
		r.lost, milliseconds(r.paused), milliseconds(r.before[writing]))
	if r.note != "" {
		text += "  (" + r.note + ")"
	}
	return text
}

// verdict holds the pause of writes through replicas that were left alone against the goal.
func (r row) verdict() string {
	if r.most == 0 {
		return ""
	}
	limit := "≤ " + milliseconds(r.most)
	if r.away > 0 {
		limit = "≤ " + milliseconds(r.away) + " + " + milliseconds(r.most)
	}
	if r.others[writing] <= r.away+r.most {
		return limit + " reached"
	}
	return limit + " missed"
}

func milliseconds(d time.Duration) string {
	if d >= 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000)
}

// report prints the table, and writes it where it was asked for.
func (r *run) report() error {
	text := r.markdown()
	if r.draw > 0 {
		text = r.drawnMarkdown()
	}
	fmt.Print(text)
	if r.out == "" {
		return nil
	}
	return os.WriteFile(r.out, []byte(text), 0o644)
}

func (r *run) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d × %s", len(r.set.Replicas), r.version)
	if r.database != nil {
		where := "on"
		if r.real {
			where = "beside"
		}
		fmt.Fprintf(&b, " "+where+" PostgreSQL with %d nodes under pg_auto_failover", len(r.database.Nodes))
	}
	if r.azure != nil {
		fmt.Fprintf(&b, " on an emulated account of Azure Cosmos DB, %s, in %d regions, %v away", r.cosmos, len(r.azure.Regions()), azureDelay)
	}
	fmt.Fprintf(&b, "; %d cores shared by servers, database and load; probes once a millisecond through every replica. "+
		"Longest pauses; after a slash, through the replica that was struck. The slowest acknowledged write and the number of writes without "+
		"an answer are those through the others; before it are the four calm seconds, through all. %v.\n\n", runtime.NumCPU(), r.tally)
	b.WriteString("| fault | writes, anywhere | writes | linearizable reads | serializable reads | watches | slowest write | unanswered | writes, before it | goal for writes | |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|---|---|\n")
	for _, one := range r.rows {
		fmt.Fprintf(&b, "| %s | %s |", one.fault, milliseconds(one.anywhere))
		for _, what := range measured {
			fmt.Fprintf(&b, " %s", milliseconds(one.others[what]))
			if len(one.struck) > 0 {
				fmt.Fprintf(&b, " / %s", milliseconds(one.struck[what]))
			}
			b.WriteString(" |")
		}
		fmt.Fprintf(&b, " %s | %d | %s | %s | %s |\n", milliseconds(one.slowest), one.lost, milliseconds(one.before[writing]), one.verdict(), one.note)
	}
	return b.String()
}
