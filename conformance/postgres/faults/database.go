package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/postgres/cluster"
	"conformance/postgres/replicas"
)

// killPrimary kills the database's primary with all that belongs to it; beside the replicas, a client that only inserts
// and commits shows how long PostgreSQL itself was away.
func killPrimary(ctx context.Context, b *blow) error {
	bare, err := startBare(ctx, b.database.URL())
	if err != nil {
		return err
	}
	pause(ctx, time.Second)
	b.strikesDrawn()
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
	b.strikes(writer)
	writer.Kill()
	if err := killPrimary(ctx, b); err != nil {
		return err
	}
	database := b.heal
	b.heal = func(ctx context.Context) error {
		if err := b.start(ctx, writer); err != nil {
			return err
		}
		return database(ctx)
	}
	return nil
}

// strikesDrawn counts all replicas as struck among drawn faults, so that what PostgreSQL costs is not said of others.
func (b *blow) strikesDrawn() {
	if b.drawn {
		b.strikes(b.set.Replicas...)
	}
}

// healthy waits until PostgreSQL has a primary and its standbys again.
func (b *blow) healthy(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, recoverLimit)
	defer cancel()
	return b.database.AwaitHealthy(limited)
}

// stopPrimary stops a whole node where it stands, longer than a failover takes, and wakes it: it takes itself for the primary.
func stopPrimary(ctx context.Context, b *blow) error {
	node, err := b.database.Primary(ctx)
	if err != nil {
		return err
	}
	b.strikesDrawn()
	return b.stopNode(ctx, node)
}

// stopStandby does it to a standby, of which there are two.
func stopStandby(ctx context.Context, b *blow) error {
	node, err := b.database.Standby(ctx)
	if err != nil {
		return err
	}
	return b.stopNode(ctx, node)
}

func (b *blow) stopNode(ctx context.Context, node *cluster.Node) error {
	b.note = fmt.Sprintf("%s for %v", node.Name, b.paused)
	b.heal = b.healthy
	if err := node.Pause(); err != nil {
		return errors.Join(err, node.Resume())
	}
	pause(ctx, b.paused)
	return node.Resume()
}

// terminate ends the replicas' connections, over and over while the fault lasts.
func terminate(ctx context.Context, b *blow) error {
	var ended int
	b.strikesDrawn()
	for range 3 {
		n, err := b.database.Terminate(ctx)
		if err != nil {
			return err
		}
		ended += n
		pause(ctx, 300*time.Millisecond)
	}
	b.note = fmt.Sprintf("%d connections", ended)
	return nil
}

// cutStandbys drops packets between the primary and so many of its two standbys. With one left, commits go on.
func cutStandbys(count int, what cluster.Stream) strike {
	return func(ctx context.Context, b *blow) error {
		mend, err := b.database.CutStandbys(ctx, count, what)
		if mend != nil {
			b.heal = func(ctx context.Context) error { return errors.Join(mend(), b.healthy(ctx)) }
		}
		if count > 1 {
			b.strikes(b.set.Replicas...)
		}
		return err
	}
}

// fillPrimary leaves the primary no room, neither for tables nor for its log.
func fillPrimary(ctx context.Context, b *blow) error {
	node, err := b.database.Primary(ctx)
	if err != nil {
		return err
	}
	b.strikes(b.set.Replicas...)
	b.note = node.Name
	b.heal = func(ctx context.Context) error { return errors.Join(node.FreeDisk(), b.healthy(ctx)) }
	return node.FillDisk()
}

// changePassword changes it in the database, ends all connections, and puts it where the replicas look when it heals.
func changePassword(ctx context.Context, b *blow) error {
	b.strikes(b.set.Replicas...)
	b.passwords++
	password := fmt.Sprintf("secret %d", b.passwords)
	b.heal = func(context.Context) error { return cluster.WritePassword(b.passwordFile, password) }
	return b.database.Rotate(ctx, password)
}

const (
	journalTable = "meridian_journal"
	hiddenTable  = "journal_hidden"
)

// takeTable gives the journal's table another name. Nobody may make a new one, and nobody may serve a new world.
func takeTable(ctx context.Context, b *blow) error {
	b.strikes(b.set.Replicas...)
	b.heal = func(ctx context.Context) error {
		if err := b.database.Rename(ctx, hiddenTable, journalTable); err != nil {
			return fmt.Errorf("the table cannot come back: %w", err)
		}
		return nil
	}
	return b.database.Rename(ctx, journalTable, hiddenTable)
}

// takeTableAndStart has a replica start, with its data and without, while the table is gone: it must refuse and say why.
func takeTableAndStart(ctx context.Context, b *blow) error {
	r, err := b.follower(ctx)
	if err != nil {
		return err
	}
	if err := takeTable(ctx, b); err != nil {
		return err
	}
	back := b.heal
	b.heal = func(ctx context.Context) error {
		if err := back(ctx); err != nil {
			return err
		}
		r.Kill()
		return b.start(ctx, r)
	}
	for _, empty := range []bool{false, true} {
		r.Kill()
		if empty {
			if err := r.Empty(ctx); err != nil {
				return err
			}
		}
		if err := b.refusesWithoutTable(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (b *blow) refusesWithoutTable(ctx context.Context, r *replicas.Replica) error {
	if err := r.Launch(); err != nil {
		return err
	}
	for began := time.Now(); r.Alive() && time.Since(began) < tableLimit; pause(ctx, 50*time.Millisecond) {
		if revision, err := b.answers(ctx, r); err == nil && revision < b.load.from {
			return fmt.Errorf("%s serves revision %d, in a new world", r.Name, revision)
		}
	}
	words := said(r.LastWords())
	b.note = fmt.Sprintf("%s (still up: %v) says: %s", r.Name, r.Alive(), words)
	if !strings.Contains(words, journalTable) {
		return fmt.Errorf("%s does not say that a table is gone: %s", r.Name, words)
	}
	return nil
}

// answers asks a replica itself for a linearizable read.
func (b *blow) answers(ctx context.Context, r *replicas.Replica) (revision int64, err error) {
	conn, err := r.Dial()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	limited, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	reply, err := pb.NewKVClient(conn).Range(limited, &pb.RangeRequest{Key: []byte("new world")})
	return reply.GetHeader().GetRevision(), err
}

// tableLimit is how long a replica is watched that starts without its table.
const tableLimit = 5 * time.Second
