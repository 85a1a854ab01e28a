package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Targets are the two servers to compare and the tools to ask them with.
type Targets struct {
	etcd, judged string
	extra        []string
	tools        tools
	// show prints what etcd's side answers.
	show bool
}

// pair is etcd and the other server, fresh, each with its state.
type pair struct{ want, got *side }

const (
	readyLimit = 5 * time.Second
	quiet      = 250 * time.Millisecond
	agreeLimit = 4 * time.Second
	// silence is how long a command that shows nothing is heard.
	silence = time.Second
	// holdLimit is how long one that is held may take until it shows something.
	holdLimit = 1500 * time.Millisecond
	pollPause = 15 * time.Millisecond
)

// runScript asks every line of one script of a fresh pair.
func runScript(targets Targets, script Script) ([]Difference, error) {
	p := pair{}
	var wantErr, gotErr error
	// On a journal the cluster's id follows from its token alone.
	masked := onJournal(targets.extra)
	both(func() { p.want, wantErr = startSide(script, targets.etcd, nil, masked, targets.tools) },
		func() { p.got, gotErr = startSide(script, targets.judged, targets.extra, masked, targets.tools) })
	defer func() {
		for _, each := range []*side{p.want, p.got} {
			if each != nil {
				each.close()
			}
		}
	}()
	if wantErr != nil {
		return nil, wantErr
	}
	if gotErr != nil {
		return []Difference{{Case: script.Name + ": start", Where: "process", Want: "runs",
			Got: firstLine(gotErr.Error())}}, nil
	}
	var differences []Difference
	for _, each := range script.Cases {
		started := time.Now()
		want, got, err := p.run(each)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", each.Name, err)
		}
		if targets.show {
			fmt.Printf("---- %s (%v)\n%s", each.Name, time.Since(started).Round(time.Millisecond), p.want.canonical(each, want).text())
		}
		differences = append(differences, compare(each, p.want.canonical(each, want),
			p.got.canonical(each, got))...)
		for label, s := range map[string]*side{"etcd": p.want, "other": p.got} {
			if !s.server.Alive() {
				return append(differences, Difference{Case: each.Name, Where: "process of " + label,
					Want: "alive", Got: "ended: " + s.server.LastWords()}), nil
			}
		}
	}
	return differences, nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func (p pair) run(c Case) (want, got Output, err error) {
	if length, found := strings.CutPrefix(c.Line, "pause "); found {
		pause, err := time.ParseDuration(length)
		time.Sleep(pause)
		return want, got, err
	}
	if c.Running {
		return p.runWaiting(c)
	}
	one := func(s *side, output *Output, failed *error) {
		started, err := s.start(c, c.Line, c.Input, false)
		if err != nil {
			*failed = err
			return
		}
		*output = started.finish()
		if touchesLeases(c.Line) {
			s.learnLeases(output.Stdout)
		}
	}
	var wantErr, gotErr error
	both(func() { one(p.want, &want, &wantErr) }, func() { one(p.got, &got, &gotErr) })
	if wantErr == nil {
		wantErr = gotErr
	}
	return want, got, wantErr
}

func touchesLeases(line string) bool {
	for _, word := range []string{"lease", "lock", "elect"} {
		if strings.HasPrefix(line, word) || strings.Contains(line, " "+word+" ") {
			return true
		}
	}
	return false
}

// waiting is one side of a command that does not end by itself, with those held beside it.
type waiting struct {
	*side
	main *process
	held []*process
}

// runWaiting starts the command on both sides, does what is to be done meanwhile, waits until
// both have shown the same or have had long enough to, and interrupts them.
func (p pair) runWaiting(c Case) (want, got Output, err error) {
	a, b := &waiting{side: p.want}, &waiting{side: p.got}
	var wantErr, gotErr error
	both(func() { wantErr = a.begin(c) }, func() { gotErr = b.begin(c) })
	if wantErr == nil {
		wantErr = gotErr
	}
	if wantErr != nil {
		return want, got, wantErr
	}
	for _, line := range c.While {
		both(func() { wantErr = a.meanwhile(c, line) }, func() { gotErr = b.meanwhile(c, line) })
		if wantErr != nil || gotErr != nil {
			return want, got, fmt.Errorf("%s: %v; %v", line, wantErr, gotErr)
		}
	}
	awaitAgreement(c, a, b)
	both(func() { want = a.end() }, func() { got = b.end() })
	return want, got, nil
}

func (w *waiting) begin(c Case) error {
	// Those of the command before may still be counted.
	waitUntil(readyLimit, func() bool { return w.watchers() == 0 })
	for _, line := range c.Hold {
		held, err := w.start(Case{}, line, "", true)
		if err != nil {
			return err
		}
		w.held = append(w.held, held)
		waitUntil(holdLimit, func() bool { return held.stdout.String() != "" || !held.running() })
		w.learnLeases(held.stdout.String())
	}
	before := w.watchers()
	started, err := w.start(c, c.Line, c.Input, true)
	if err != nil {
		return err
	}
	w.main = started
	watches := strings.HasPrefix(c.Line, "watch") || strings.HasPrefix(c.Line, "make-mirror") ||
		len(c.Hold) > 0
	if watches && len(c.While) > 0 {
		wanted := before + float64(max(1, strings.Count(c.Input, "watch ")))
		waitUntil(readyLimit, func() bool { return !started.running() || w.watchers() >= wanted })
	}
	w.learnLeases("")
	return nil
}

// meanwhile runs one command beside the waiting one; what it shows is not compared, what comes
// of it is.
func (w *waiting) meanwhile(c Case, line string) error {
	if line == "release" {
		for _, held := range w.held {
			held.interrupt()
		}
		return nil
	}
	started, err := w.start(Case{}, line, "", false)
	if err != nil {
		return err
	}
	w.learnLeases(started.finish().Stdout)
	return nil
}

func (w *waiting) end() Output {
	w.learnLeases(w.main.stdout.String())
	output := w.main.interrupt()
	for _, held := range w.held {
		held.interrupt()
	}
	return output
}

// awaitAgreement waits until nothing more comes and both sides have shown the same, and not
// nothing; sides that differ get more time to agree.
func awaitAgreement(c Case, a, b *waiting) {
	last, since := "", time.Now()
	waitUntil(agreeLimit, func() bool {
		if !a.main.running() && !b.main.running() {
			return true
		}
		want, got := a.main.stdout.String(), b.main.stdout.String()
		if now := want + "|" + got; now != last {
			last, since = now, time.Now()
			return false
		}
		if want == "" && got == "" {
			return time.Since(since) >= silence
		}
		if time.Since(since) < quiet {
			return false
		}
		a.learnLeases(want)
		b.learnLeases(got)
		return a.canonical(c, Output{Stdout: want}) == b.canonical(c, Output{Stdout: got})
	})
}

func waitUntil(limit time.Duration, done func() bool) {
	for deadline := time.Now().Add(limit); !done() && time.Now().Before(deadline); {
		time.Sleep(pollPause)
	}
}

func both(first, second func()) {
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		defer done.Done()
		second()
	}()
	first()
	done.Wait()
}
