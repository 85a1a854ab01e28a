package main

import (
	"context"
	"fmt"
	"time"

	"conformance/postgres/replicas"
)

// fault is one way to strike.
type fault struct {
	name string
	// needs says what the cluster must have for it.
	needs need
	// most is how long writes through replicas that are left alone may pause, beyond what PostgreSQL itself was away;
	// zero is no goal.
	most   time.Duration
	strike func(context.Context, *blow) error
}

type need int

const (
	anything need = iota
	several
	postgres
)

// unfit says why a fault cannot happen here; empty if it can.
func (f fault) unfit(r *run) string {
	switch {
	case f.needs == several && len(r.set.Replicas) < 2:
		return "there is one replica"
	case f.needs == postgres && r.database == nil:
		return "there is no PostgreSQL here that may be struck"
	}
	return ""
}

// blow is one strike: who is struck, what heals it, what is to be said of it.
type blow struct {
	*run
	load   *load
	struck *replicas.Replica
	heal   func(context.Context) error
	note   string
	// away is how long PostgreSQL took no write.
	away time.Duration
}

const (
	handOverGoal = 50 * time.Millisecond
	takeOverGoal = time.Second
)

var faults = []fault{
	{"nothing", anything, 0, func(context.Context, *blow) error { return nil }},
	{"hand-over asked for (MoveLeader)", several, handOverGoal, handOver},
	{"writer ended with SIGTERM", several, handOverGoal, endWriter},
	{"writer killed -9", several, takeOverGoal, killWriter},
	{"writer stopped and woken", several, takeOverGoal, stopWriter},
	{"replica killed and emptied", several, handOverGoal, emptyReplica},
	{"writer killed and emptied", several, takeOverGoal, emptyWriter},
	{"forwarding to the writer refused", several, takeOverGoal, cut(replicas.Refused)},
	{"forwarding to the writer swallowed", several, takeOverGoal, cut(replicas.Swallowed)},
	{"PostgreSQL's primary killed -9", postgres, takeOverGoal, killPrimary},
	{"PostgreSQL's primary and the writer killed", postgres, takeOverGoal, killBoth},
}

func (b *blow) writer(ctx context.Context) (*replicas.Replica, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return b.set.Writer(ctx)
}

// handOver lets the next member in order lead; nobody is struck.
func handOver(ctx context.Context, b *blow) error {
	from, err := b.writer(ctx)
	if err != nil {
		return err
	}
	to := b.set.Others(from)[0]
	began := time.Now()
	if err := b.set.HandOver(ctx, from, to); err != nil {
		return fmt.Errorf("MoveLeader: %w", err)
	}
	b.note = fmt.Sprintf("%s to %s, answered after %v", from.Name, to.Name, time.Since(began).Round(time.Millisecond))
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
	b.struck, b.heal = writer, func(context.Context) error { return writer.Restart() }
	began := time.Now()
	err = writer.Stop()
	b.note = fmt.Sprintf("%s ended in %v", writer.Name, time.Since(began).Round(time.Millisecond))
	return err
}

func killWriter(ctx context.Context, b *blow) error {
	writer, err := b.writer(ctx)
	if err != nil {
		return err
	}
	b.struck, b.heal = writer, func(context.Context) error { return writer.Restart() }
	writer.Kill()
	return nil
}

// stopWriter stops the process longer than every time-out and wakes it: it does not know that time has passed.
func stopWriter(ctx context.Context, b *blow) error {
	writer, err := b.writer(ctx)
	if err != nil {
		return err
	}
	b.struck = writer
	if err := writer.Pause(); err != nil {
		return err
	}
	b.note = fmt.Sprintf("%s for %v", writer.Name, b.paused)
	pause(ctx, b.paused)
	return writer.Resume()
}

func emptyReplica(ctx context.Context, b *blow) error {
	writer, err := b.writer(ctx)
	if err != nil {
		return err
	}
	return b.empty(b.set.Others(writer)[0])
}

func emptyWriter(ctx context.Context, b *blow) error {
	writer, err := b.writer(ctx)
	if err != nil {
		return err
	}
	return b.empty(writer)
}

func (b *blow) empty(r *replicas.Replica) error {
	b.struck = r
	b.heal = func(ctx context.Context) error {
		if err := r.Empty(ctx); err != nil {
			return err
		}
		began := time.Now()
		err := r.Restart()
		b.note = fmt.Sprintf("%s served %v after its start with nothing", r.Name, time.Since(began).Round(time.Millisecond))
		return err
	}
	r.Kill()
	return nil
}

// cut makes the writer unreachable for the other replicas, while its clients and its journal are not.
func cut(how replicas.Cut) func(context.Context, *blow) error {
	return func(ctx context.Context, b *blow) error {
		writer, err := b.writer(ctx)
		if err != nil {
			return err
		}
		b.note = writer.Name
		if b.real {
			// A member of an etcd cannot do without the others; a writer on a journal can.
			b.struck = writer
		}
		writer.Cut(how)
		b.heal = func(context.Context) error {
			writer.Cut(replicas.Through)
			return nil
		}
		return nil
	}
}

// killPrimary kills the database's primary with all that belongs to it; beside the replicas, a client that only inserts
// and commits shows how long PostgreSQL itself was away.
func killPrimary(ctx context.Context, b *blow) error {
	bare, err := startBare(ctx, b.database.URL())
	if err != nil {
		return err
	}
	pause(ctx, time.Second)
	killed, _, err := b.database.KillPrimary(ctx)
	if err != nil {
		bare.stop()
		return err
	}
	b.heal = func(ctx context.Context) error {
		if err := killed.Restart(); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, recoverLimit)
		defer cancel()
		if err := b.database.AwaitHealthy(limited); err != nil {
			return err
		}
		longest, err := bare.judge(limited)
		b.away = longest
		b.note = fmt.Sprintf("%s; a bare insert paused %v; %v", killed.Name, longest.Round(time.Millisecond), bare)
		return err
	}
	limited, cancel := context.WithTimeout(ctx, recoverLimit)
	defer cancel()
	_, err = b.database.AwaitPromotion(limited, killed)
	return err
}

func killBoth(ctx context.Context, b *blow) error {
	writer, err := b.writer(ctx)
	if err != nil {
		return err
	}
	b.struck = writer
	writer.Kill()
	if err := killPrimary(ctx, b); err != nil {
		return err
	}
	database := b.heal
	b.heal = func(ctx context.Context) error {
		if err := writer.Restart(); err != nil {
			return err
		}
		return database(ctx)
	}
	return nil
}
