package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"conformance/postgres/replicas"
)

// program is a binary and what it is started with beside what all are.
type program struct {
	name, binary string
	args         []string
}

// rolling are the episodes of an upgrade: each replica in turn becomes the other program, held at the level of the first,
// and the first again; then the other one for good, after which the first is refused.
func rolling(s settings) []fault {
	before, held, other := programs(s)
	all := []fault{faults[0]}
	for _, to := range []program{held, before, other} {
		for i := range s.replicas {
			name := fmt.Sprintf("m%d becomes %s", i+1, to.name)
			all = append(all, fault{name, several, handOverGoal, func(ctx context.Context, b *blow) error {
				return b.exchange(ctx, b.set.Replicas[i], to)
			}})
		}
	}
	return append(all, fault{"the first program is refused", several, handOverGoal, func(ctx context.Context, b *blow) error {
		return b.refused(b.set.Replicas[0], before, other)
	}})
}

// programs are what the replicas become: the first, the other held at its level, and the other.
func programs(s settings) (before, held, other program) {
	return program{"the first program", s.binary, strings.Fields(s.before)},
		program{"the other, held", s.roll, strings.Fields(s.held)},
		program{"the other, for good", s.roll, nil}
}

// exchange ends a replica with SIGTERM, and another program takes its place at once.
func (b *blow) exchange(ctx context.Context, r *replicas.Replica, to program) error {
	writer, err := b.writer(ctx)
	if err != nil {
		return err
	}
	b.strikes(r)
	began := time.Now()
	if err := r.Stop(); err != nil {
		return err
	}
	ended := time.Since(began)
	r.Become(to.binary, to.args...)
	if err := r.Restart(); err != nil {
		return err
	}
	b.note = fmt.Sprintf("ended in %v, served again after %v", ended.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if r == writer {
		b.note = "the writer; " + b.note
	}
	return nil
}

// refusals are what a program says that is too old for its cluster, or held below it.
var refusals = []string{"newer version", "takes level"}

// refused lets a program come that is too old: it must end and say why, and nobody must notice.
func (b *blow) refused(r *replicas.Replica, old, good program) error {
	b.strikes(r)
	if err := r.Stop(); err != nil {
		return err
	}
	r.Become(old.binary, old.args...)
	if err := r.Restart(); err == nil {
		return fmt.Errorf("%s serves in a cluster that has gone beyond it", old.name)
	}
	why := refusal(r.LogTail(5))
	if why == "" {
		return fmt.Errorf("%s ended, and does not say that it is too old:\n%s", old.name, r.LogTail(5))
	}
	b.note = "it says: " + why
	b.heal = func(context.Context) error {
		r.Become(good.binary, good.args...)
		return r.Restart()
	}
	return nil
}

// refusal is the last line of a log that says that its program is too old; empty if none does.
func refusal(log string) (why string) {
	for line := range strings.Lines(log) {
		if slices.ContainsFunc(refusals, func(words string) bool { return strings.Contains(line, words) }) {
			why = said(line)
		}
	}
	return why
}

// said is the part of a line of the log that a person reads.
func said(line string) string {
	line = strings.TrimSpace(line)
	if _, text, ok := strings.Cut(line, `"error":"`); ok {
		line, _, _ = strings.Cut(text, `"`)
	}
	return line
}
