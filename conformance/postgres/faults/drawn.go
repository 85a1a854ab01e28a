package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"conformance/postgres/replicas"
)

// drawnCalm is before the first fault of an episode.
const drawnCalm = 2 * time.Second

// byDraw has drawn faults happen, several at once, and judges each episode as a whole. What judgement finds does not end
// the run; a cluster that does not come back does.
func (r *run) byDraw(ctx context.Context) error {
	var possible []ticket
	for _, one := range r.hat() {
		f := faultNamed(one.name)
		if reason := f.unfit(r); reason != "" {
			fmt.Printf("%-40s left out: %s\n", one.name, reason)
		} else if r.wants(one.name) {
			possible = append(possible, one)
		}
	}
	episodes := schedule(r.seed, r.draw, possible)
	for i, episode := range episodes {
		fmt.Printf("episode %d: %s\n", i+1, planned(episode))
	}
	began := time.Now()
	for i, episode := range episodes {
		l, err := r.underLoad(ctx, func(l *load) error { return r.strikeAll(ctx, l, episode) })
		r.drawn = append(r.drawn, episode...)
		if judged := (found{}); errors.As(err, &judged) {
			r.losses = append(r.losses, fmt.Errorf("episode %d: %w", i+1, err))
			fmt.Printf("episode %d: FOUND %v\n%s\n", i+1, err, r.tails())
		} else if err != nil {
			return fmt.Errorf("episode %d (%s): %w\n%s", i+1, planned(episode), err, r.tails())
		}
		l.measureAll(r, episode)
		for _, d := range episode {
			fmt.Println("  " + d.line())
		}
		fmt.Printf("episode %d of %d: %d of %d faults in %v, %d episodes with findings, %d writes acknowledged\n", i+1, len(episodes),
			len(r.drawn), r.draw, time.Since(began).Round(time.Second), len(r.losses), r.tally.writes)
	}
	return nil
}

func faultNamed(name string) fault {
	all := slices.Concat(faults, azureFaults)
	return all[slices.IndexFunc(all, func(f fault) bool { return f.name == name })]
}

// strikeAll has every seat strike and heal in its order, all seats at once, until every replica serves again.
func (r *run) strikeAll(ctx context.Context, l *load, episode []*drawn) error {
	if err := r.awaitService(ctx, l, r.set.Replicas); err != nil {
		return fmt.Errorf("before the faults: %w", err)
	}
	pause(ctx, drawnCalm)
	start := l.now()
	failures := make([]error, seats)
	var group sync.WaitGroup
	for s := range seats {
		own := slices.DeleteFunc(slices.Clone(episode), func(d *drawn) bool { return d.seat != s })
		slices.SortStableFunc(own, func(a, b *drawn) int { return cmp.Compare(a.begin, b.begin) })
		group.Go(func() {
			for _, d := range own {
				pause(ctx, start+d.begin-l.now())
				failures[s] = errors.Join(failures[s], r.strikeOne(ctx, l, d))
			}
		})
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	if err := r.reviveEnded(ctx, l); err != nil {
		return err
	}
	if err := r.awaitService(ctx, l, r.set.Replicas); err != nil {
		return fmt.Errorf("after the faults: %w", err)
	}
	pause(ctx, aftermath)
	return nil
}

// strikeOne is one fault from its beginning to its end. It may not be possible while others are under way; healing must be.
func (r *run) strikeOne(ctx context.Context, l *load, d *drawn) error {
	d.blow = &blow{run: r, load: l, drawn: true, number: d.number}
	d.began = l.now()
	d.missed = faultNamed(d.name).strike(ctx, d.blow)
	if d.missed == nil {
		pause(ctx, d.lasting)
	}
	var err error
	if d.blow.heal != nil {
		err = d.blow.heal(ctx)
	}
	d.ended = l.now()
	if err != nil {
		return fmt.Errorf("healing of %q: %w", d.name, err)
	}
	return ctx.Err()
}

// reviveEnded starts replicas that have ended by themselves, as a supervisor would, and notes what they said.
func (r *run) reviveEnded(ctx context.Context, l *load) error {
	for _, one := range r.set.Replicas {
		if one.Alive() {
			continue
		}
		words := fmt.Sprintf("%s ended by itself in episode %d: %s", one.Name, r.episode, said(one.LastWords()))
		fmt.Println("  " + words)
		r.ended = append(r.ended, words)
		l.deserted = append(l.deserted, one.Name)
		if _, err := r.revive(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// settling is how long after its fault a replica may still be on its way back.
const settling = 2 * time.Second

// measureAll finds the longest pauses while each fault was under way, through replicas that neither it nor another struck
// then or just before; one that strikes all is measured through all that no other did.
func (l *load) measureAll(r *run, episode []*drawn) {
	for _, d := range episode {
		all := names(r.set.Replicas)
		struck := names(d.blow.struck)
		if len(struck) == len(all) {
			struck = nil
		}
		struck = append(struck, l.deserted...)
		for _, other := range episode {
			if other != d && other.began < d.ended && d.began < other.ended+settling {
				struck = append(struck, names(other.blow.struck)...)
			}
		}
		for _, name := range all {
			if slices.Contains(struck, name) {
				continue
			}
			if d.pauses == nil {
				d.pauses = map[string]time.Duration{}
			}
			for _, what := range measured {
				within, _ := longest(l.pulses[pulse{what, name}], d.began, d.ended)
				d.pauses[what] = max(d.pauses[what], within)
			}
		}
	}
}

func names(all []*replicas.Replica) (names []string) {
	for _, r := range all {
		names = append(names, r.Name)
	}
	return names
}

func (d *drawn) line() string {
	text := fmt.Sprintf("%6.1f s to %6.1f s  %-52s", d.began.Seconds(), d.ended.Seconds(), d.name)
	if d.missed != nil {
		return text + fmt.Sprintf(" could not strike: %v", d.missed)
	}
	for _, what := range measured {
		if d.pauses != nil {
			text += fmt.Sprintf(" %s %s,", what, milliseconds(d.pauses[what]))
		}
	}
	if d.pauses == nil {
		text += " no replica was left alone"
	}
	if d.blow.note != "" {
		text += "  (" + d.blow.note + ")"
	}
	return text
}

// drawnMarkdown is a row for each kind of fault.
func (r *run) drawnMarkdown() string {
	var b strings.Builder
	struck := 0
	for _, d := range r.drawn {
		if d.missed == nil {
			struck++
		}
	}
	fmt.Fprintf(&b, "%d × %s, seed %d: %d faults struck, %d could not, in %d episodes, of which judgement found something in %d. %v.\n\n",
		len(r.set.Replicas), r.version, r.seed, struck, len(r.drawn)-struck, r.episode, len(r.losses), r.tally)
	b.WriteString("| fault | times | lasted | writes | linearizable reads | serializable reads | watches | losses |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, one := range r.hat() {
		var all []*drawn
		for _, d := range r.drawn {
			if d.name == one.name && d.missed == nil {
				all = append(all, d)
			}
		}
		if len(all) > 0 {
			b.WriteString(r.kindRow(one.name, all))
		}
	}
	for _, words := range r.ended {
		fmt.Fprintf(&b, "\n%s\n", words)
	}
	return b.String()
}

func (r *run) kindRow(name string, all []*drawn) string {
	var lasted []time.Duration
	pauses := map[string][]time.Duration{}
	everybody := ""
	losses := 0
	for _, d := range all {
		lasted = append(lasted, d.ended-d.began)
		if len(d.blow.struck) == len(r.set.Replicas) {
			everybody = " *"
		}
		for what, length := range d.pauses {
			pauses[what] = append(pauses[what], length)
		}
		if slices.ContainsFunc(r.losses, func(err error) bool {
			return strings.HasPrefix(err.Error(), fmt.Sprintf("episode %d:", d.episode))
		}) {
			losses++
		}
	}
	text := fmt.Sprintf("| %s%s | %d | %s |", name, everybody, len(all), spreadOf(lasted))
	for _, what := range measured {
		text += fmt.Sprintf(" %s |", spreadOf(pauses[what]))
	}
	return text + fmt.Sprintf(" %d |\n", losses)
}

// spreadOf is the least, the middle and the most; a dash if there is nothing.
func spreadOf(all []time.Duration) string {
	if len(all) == 0 {
		return "–"
	}
	slices.Sort(all)
	return fmt.Sprintf("%s / %s / %s", short(all[0]), short(all[len(all)/2]), short(all[len(all)-1]))
}

func short(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
