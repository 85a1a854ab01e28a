package main

import (
	"context"

	"conformance/postgres/replicas"
)

// cutPeers cuts what the other replicas send to one, whose clients and journal are not cut.
func cutPeers(choose who, how replicas.Cut) strike {
	return onReplica(choose, func(b *blow, r *replicas.Replica, how replicas.Cut) {
		b.cutOff(r)
		r.Cut(how)
	}, how)
}

// isolated cuts all that a replica and the others send to one another.
func isolated(choose who, how replicas.Cut) strike {
	return onReplica(choose, func(b *blow, r *replicas.Replica, how replicas.Cut) {
		b.cutOff(r)
		r.Isolate(how)
	}, how)
}

// cutJournal cuts a replica from PostgreSQL; what it can do without is little.
func cutJournal(choose who, how replicas.Cut) strike {
	return onReplica(choose, func(b *blow, r *replicas.Replica, how replicas.Cut) {
		b.hits(r)
		r.CutJournal(how)
	}, how)
}

// cutClients cuts a replica's clients off.
func cutClients(choose who, how replicas.Cut) strike {
	return onReplica(choose, func(b *blow, r *replicas.Replica, how replicas.Cut) {
		b.hits(r)
		r.CutClients(how)
	}, how)
}

// onReplica chooses a replica and cuts it off, and lets everything through again.
func onReplica(choose who, cut func(*blow, *replicas.Replica, replicas.Cut), how replicas.Cut) strike {
	return func(ctx context.Context, b *blow) error {
		r, err := choose(b, ctx)
		if err != nil {
			return err
		}
		b.note = r.Name
		b.heal = func(context.Context) error {
			cut(b, r, replicas.Through)
			return nil
		}
		cut(b, r, how)
		return nil
	}
}

// hits counts a replica as struck, once.
func (b *blow) hits(r *replicas.Replica) {
	if len(b.struck) == 0 {
		b.strikes(r)
	}
}

// cutOff is what being unreachable for the others is: a member of an etcd cannot do without, a replica on a journal can.
func (b *blow) cutOff(r *replicas.Replica) {
	if b.real {
		b.hits(r)
	}
}

// cutPair cuts two replicas from one another, in both directions.
func cutPair(ctx context.Context, b *blow) error {
	one, err := b.anyone(ctx)
	if err != nil {
		return err
	}
	other := b.set.Others(one)[b.number%(len(b.set.Replicas)-1)]
	b.note = one.Name + " and " + other.Name
	set := func(how replicas.Cut) {
		one.Cut(how, other.Name)
		other.Cut(how, one.Name)
	}
	b.heal = func(context.Context) error {
		set(replicas.Through)
		return nil
	}
	set(replicas.Swallowed)
	return nil
}

// slowPeers holds up everything that replicas send to one another.
func slowPeers(_ context.Context, b *blow) error {
	b.heal = b.forAll(func(r *replicas.Replica) { r.Cut(replicas.Through) })
	return b.forAll(func(r *replicas.Replica) { r.Cut(replicas.Slow) })(nil)
}

// cutJournals cuts all replicas from PostgreSQL.
func cutJournals(how replicas.Cut) strike {
	return func(_ context.Context, b *blow) error {
		b.strikes(b.set.Replicas...)
		b.heal = b.forAll(func(r *replicas.Replica) { r.CutJournal(replicas.Through) })
		return b.forAll(func(r *replicas.Replica) { r.CutJournal(how) })(nil)
	}
}

func (b *blow) forAll(do func(*replicas.Replica)) func(context.Context) error {
	return func(context.Context) error {
		for _, r := range b.set.Replicas {
			do(r)
		}
		return nil
	}
}
