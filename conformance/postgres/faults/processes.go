package main

import (
	"context"
	"fmt"
	"time"

	"conformance/postgres/disk"
	"conformance/postgres/replicas"
)

// who chooses a replica.
type who func(*blow, context.Context) (*replicas.Replica, error)

// foundLimit is how long a writer is looked for while other faults are under way.
const foundLimit = 3 * time.Second

// writer is the replica that leads; among drawn faults any one, if nobody does.
func (b *blow) writer(ctx context.Context) (*replicas.Replica, error) {
	limit := 30 * time.Second
	if b.drawn {
		limit = foundLimit
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err := b.set.Writer(limited)
	if err != nil && b.drawn && ctx.Err() == nil {
		return b.anyone(ctx)
	}
	return r, err
}

// follower is one that does not lead.
func (b *blow) follower(ctx context.Context) (*replicas.Replica, error) {
	writer, err := b.writer(ctx)
	if err != nil {
		return nil, err
	}
	others := b.set.Others(writer)
	return others[b.number%len(others)], nil
}

func (b *blow) anyone(context.Context) (*replicas.Replica, error) {
	return b.set.Replicas[b.number%len(b.set.Replicas)], nil
}

func (b *blow) strikes(all ...*replicas.Replica) { b.struck = append(b.struck, all...) }

// start starts a replica that has ended. Among drawn faults it is started again, as a supervisor would, until it serves.
func (b *blow) start(ctx context.Context, r *replicas.Replica) error {
	if !b.drawn {
		return r.Restart()
	}
	again, err := b.revive(ctx, r)
	if again > 0 {
		b.note += fmt.Sprintf(" (%s took %d more starts)", r.Name, again)
	}
	return err
}

// revive starts a replica until it serves, and counts how often it ended by itself before.
func (r *run) revive(ctx context.Context, one *replicas.Replica) (again int, err error) {
	for began := time.Now(); ; again++ {
		if err = one.Launch(); err == nil {
			if err = one.AwaitReady(); err == nil {
				return again, nil
			}
		}
		if one.Kill(); ctx.Err() != nil || time.Since(began) > recoverLimit {
			return again, fmt.Errorf("%s does not serve: %w; it says %s", one.Name, err, one.LastWords())
		}
		pause(ctx, time.Second)
	}
}

// handOver lets the next member in order lead; nobody is struck.
func handOver(ctx context.Context, b *blow) error {
	from, err := b.writer(ctx)
	if err != nil {
		return err
	}
	to := b.set.Others(from)[b.number%(len(b.set.Replicas)-1)]
	began := time.Now()
	if err := b.set.HandOver(ctx, from, to); err != nil {
		return fmt.Errorf("MoveLeader: %w", err)
	}
	b.note = fmt.Sprintf("%s to %s, answered after %v", from.Name, to.Name, time.Since(began).Round(time.Millisecond))
	if b.drawn {
		// Somebody else may have taken over since.
		return nil
	}
	now, err := b.writer(ctx)
	if err == nil && now != to {
		return fmt.Errorf("%s leads after MoveLeader to %s", now.Name, to.Name)
	}
	return err
}

func endWriter(ctx context.Context, b *blow) error {
	writer, err := b.writer(ctx)
	if err != nil {
		return err
	}
	b.strikes(writer)
	b.heal = func(ctx context.Context) error { return b.start(ctx, writer) }
	began := time.Now()
	err = writer.Stop()
	b.note = fmt.Sprintf("%s ended in %v", writer.Name, time.Since(began).Round(time.Millisecond))
	return err
}

func killed(choose who) strike {
	return func(ctx context.Context, b *blow) error {
		r, err := choose(b, ctx)
		if err != nil {
			return err
		}
		b.strikes(r)
		b.note = r.Name
		b.heal = func(ctx context.Context) error { return b.start(ctx, r) }
		r.Kill()
		return nil
	}
}

// stopped stops the process longer than every time-out and wakes it: it does not know that time has passed.
func stopped(choose who) strike {
	return func(ctx context.Context, b *blow) error {
		r, err := choose(b, ctx)
		if err != nil {
			return err
		}
		b.strikes(r)
		if err := r.Pause(); err != nil {
			return err
		}
		b.note = fmt.Sprintf("%s for %v", r.Name, b.paused)
		pause(ctx, b.paused)
		return r.Resume()
	}
}

func emptied(choose who) strike {
	return func(ctx context.Context, b *blow) error {
		r, err := choose(b, ctx)
		if err != nil {
			return err
		}
		b.strikes(r)
		b.heal = func(ctx context.Context) error {
			if err := r.Empty(ctx); err != nil {
				return err
			}
			began := time.Now()
			b.note = r.Name
			err := b.start(ctx, r)
			b.note += fmt.Sprintf(" served %v after its start with nothing", time.Since(began).Round(time.Millisecond))
			return err
		}
		r.Kill()
		return nil
	}
}

// fillReplica leaves a replica no room for a checkpoint, or for anything.
func fillReplica(ctx context.Context, b *blow) error {
	r, err := b.anyone(ctx)
	if err != nil {
		return err
	}
	b.strikes(r)
	b.note = r.Name
	b.heal = func(context.Context) error { return disk.Free(r.Data()) }
	return disk.Fill(r.Data())
}

// fillAndKill has the replica begin with a full disk too; it may refuse to, and is started again when there is room.
func fillAndKill(ctx context.Context, b *blow) error {
	if err := fillReplica(ctx, b); err != nil {
		return err
	}
	r := b.struck[0]
	r.Kill()
	free := b.heal
	b.heal = func(ctx context.Context) error {
		if err := free(ctx); err != nil || r.Alive() {
			return err
		}
		return b.start(ctx, r)
	}
	err := r.Restart()
	if err != nil {
		b.note = fmt.Sprintf("%s does not start: %s", r.Name, said(r.LastWords()))
		return nil
	}
	b.note = r.Name + " starts all the same"
	return nil
}

// setClockOff moves one replica's wall clock, to the past or the future; time that only goes forward is not touched.
func setClockOff(ctx context.Context, b *blow) error {
	r, err := b.anyone(ctx)
	if err != nil {
		return err
	}
	off := []time.Duration{-26 * time.Hour, 90 * time.Minute, 400 * 24 * time.Hour, -time.Minute}[b.number%4]
	b.note = fmt.Sprintf("%s by %v", r.Name, off)
	b.heal = func(context.Context) error { return r.Skew(0) }
	return r.Skew(off)
}
