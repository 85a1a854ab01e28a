package main

import (
	"context"
	"fmt"
	"log"
	"time"
)

// grace is how long a phase may go on beyond its length until what it began is there.
const grace = 60 * time.Second

// side is one run of one store.
type side struct {
	options options
	plane   *plane
	load    *workload
	windows []*window
	current *window
}

// runSide runs every phase on one store, and leaves no child behind.
func runSide(ctx context.Context, o options, t target, dir string, secure bool) (w []*window,
	err error) {
	p, err := newPlane(dir, secure)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &side{options: o, plane: p, load: newWorkload(o, p)}
	defer func() {
		cancel()
		stopped := p.stop(o.keep)
		if err == nil {
			err = stopped
		}
	}()
	if err := s.boot(ctx, t); err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	if err := s.fill(ctx); err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	mixing, stopMix := context.WithCancel(ctx)
	defer stopMix()
	mix := &pacer{}
	if err := s.steady(mixing, mix); err != nil {
		return nil, fmt.Errorf("steady: %w", err)
	}
	if err := s.change(ctx); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	stopMix()
	mix.wait()
	s.trouble(mix)
	return s.windows, nil
}

// begin starts a phase's window at the end of the last one.
func (s *side) begin(ctx context.Context, phase string) error {
	w := &window{phase: phase}
	if len(s.windows) > 0 {
		w.before = s.windows[len(s.windows)-1].after
	} else {
		var err error
		if w.before, err = s.plane.capture(ctx); err != nil {
			return err
		}
	}
	if s.plane.store != nil {
		if err := forgetPeak(s.plane.store.process.cmd.Process.Pid); err != nil {
			return err
		}
	}
	s.current = w
	return nil
}

// end closes the window when the phase has lasted as long as it should.
func (s *side) end(ctx context.Context, length time.Duration) error {
	w := s.current
	for ctx.Err() == nil && time.Since(w.before.at) < length {
		pause(ctx, min(time.Second, length-time.Since(w.before.at)))
		if err := s.plane.fell(); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var err error
	if w.after, err = s.plane.capture(ctx); err != nil {
		return err
	}
	w.latencies = s.plane.requests.take()
	if odd := s.plane.requests.unread(); odd > 0 {
		return fmt.Errorf("%d lines of the API server's HTTP log were not understood", odd)
	}
	s.windows = append(s.windows, w)
	all, others := w.busy()
	log.Printf("  %-8s %5.1f s, machine %2.0f%% busy (%.0f%% by others); CPU: store %.1f s, "+
		"API server %.1f s", w.phase, w.length().Seconds(), 100*all, 100*others,
		w.cpu("store").Seconds(), w.cpu("API server").Seconds())
	return nil
}

// note adds to the window something that went otherwise than it should.
func (s *side) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	log.Print("  ! ", text)
	s.current.notes = append(s.current.notes, text)
}

func (s *side) trouble(p *pacer) {
	if text := p.trouble(); text != "" {
		s.note("paced work: %s", text)
	}
}

// boot is from nothing to a control plane whose every kind is watched.
func (s *side) boot(ctx context.Context, t target) error {
	if err := s.begin(ctx, "boot"); err != nil {
		return err
	}
	if err := s.plane.start(ctx, s.options, t); err != nil {
		return err
	}
	if err := s.load.watchPods(ctx); err != nil {
		return err
	}
	if err := s.load.watchers.startControllers(ctx, s.options.controllers); err != nil {
		return err
	}
	s.took("ready", 0)
	return s.end(ctx, 0)
}

// took notes how long the phase needed until what it is about was there.
func (s *side) took(what string, wanted time.Duration) {
	took := time.Since(s.current.before.at)
	s.current.extra = append(s.current.extra, figure{name: what + " after", unit: "s",
		value: took.Seconds()})
	if wanted > 0 && took > wanted {
		s.note("%s: %s only %.0f s after the phase began", s.current.phase, what, took.Seconds())
	}
}

func (s *side) fill(ctx context.Context) error {
	if err := s.begin(ctx, "fill"); err != nil {
		return err
	}
	p := &pacer{}
	s.openKubelets(ctx, p)
	if err := s.load.fill(ctx, p); err != nil {
		return err
	}
	err := s.await(ctx, s.options.fill, "all pods ready", "", s.load.wanted())
	if err != nil {
		return err
	}
	s.took("all pods ready", s.options.fill)
	s.trouble(p)
	nodes, err := s.load.nodesReady(ctx)
	if err != nil {
		return err
	}
	if nodes != s.options.nodes {
		s.note("%d of %d nodes are ready", nodes, s.options.nodes)
	}
	return s.end(ctx, s.options.fill)
}

// openKubelets opens each node's own watches at the pace at which the nodes come.
func (s *side) openKubelets(ctx context.Context, p *pacer) {
	client := s.load.client.CoreV1().RESTClient()
	p.every(ctx, s.options.fill*6/25/time.Duration(s.options.nodes), s.options.nodes,
		func(_ context.Context, i int) error {
			s.load.watchers.startKubelet(ctx, client, nodeName(i))
			return nil
		})
}

// await waits until a number of pods of a generation is ready.
func (s *side) await(ctx context.Context, length time.Duration, what, generation string,
	wanted int) error {
	limit := length + grace - time.Since(s.current.before.at)
	shown := time.Now()
	return await(ctx, limit, what, func(context.Context) (bool, string) {
		n := s.load.ready(generation)
		state := fmt.Sprintf("%d of %d", n, wanted)
		if time.Since(shown) > 15*time.Second {
			shown = time.Now()
			log.Printf("  %-8s %s pods ready", s.current.phase, state)
		}
		return n >= wanted, state
	}, s.plane.children...)
}

func (s *side) steady(ctx context.Context, mix *pacer) error {
	if err := s.begin(ctx, "steady"); err != nil {
		return err
	}
	if err := s.load.choosePods(); err != nil {
		return err
	}
	s.load.startMix(ctx, mix)
	return s.end(ctx, s.options.steady)
}

// change rolls deployments over while the mix of the steady phase goes on.
func (s *side) change(ctx context.Context) error {
	if err := s.begin(ctx, "rollout"); err != nil {
		return err
	}
	p := &pacer{}
	s.load.rollOver(ctx, p)
	p.wait()
	wanted := s.load.rolling() * replicas
	if err := s.await(ctx, s.options.change, "new pods ready", "1", wanted); err != nil {
		return err
	}
	s.took("new pods ready", s.options.change)
	s.trouble(p)
	if err := s.end(ctx, s.options.change); err != nil {
		return err
	}
	log.Printf("  %s", s.load.watchers)
	if n := s.load.watchers.reopened.Load(); n > 0 {
		s.note("%d watches of kubelets had to be opened again", n)
	}
	return nil
}
