package main

import (
	"context"
	"slices"
	"time"

	"conformance/cosmos/account"
	"conformance/postgres/cluster"
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
	strike strike
}

// strike begins a fault; what it leaves in the blow ends it.
type strike func(context.Context, *blow) error

type need int

const (
	anything need = iota
	several
	postgres
	// ways needs proxies before clients and journal, and a password.
	ways
	// owned needs disks and a network of this program's own.
	owned
	clocks
	// azure needs an account of Azure Cosmos DB, and stale one whose regions may lag.
	azure
	stale
)

// unfit says why a fault cannot happen here; empty if it can.
func (f fault) unfit(r *run) string {
	switch {
	case f.needs == several && len(r.set.Replicas) < 2:
		return "there is one replica"
	case f.needs == postgres && r.database == nil:
		return "there is no PostgreSQL here that may be struck"
	case f.needs == azure && r.azure == nil:
		return "there is no account of Azure Cosmos DB here that may be struck"
	case f.needs == stale && (r.azure == nil || r.cosmos != account.BoundedStaleness):
		return "there is no account of Azure Cosmos DB here whose regions may lag"
	case f.equips() && (r.real || r.database == nil):
		return "there is no journal here whose ways, disks and passwords are ours"
	case f.needs == owned && !r.owned:
		return "disks and a network of our own take root"
	case f.needs == clocks && r.clock == "":
		return "there is no C compiler for the library that sets a clock off"
	}
	return ""
}

// equips tells that a fault needs more around the replicas than they have by themselves.
func (f fault) equips() bool { return f.needs == ways || f.needs == owned || f.needs == clocks }

// blow is one strike: who is struck, what heals it, what is to be said of it.
type blow struct {
	*run
	load   *load
	struck []*replicas.Replica
	heal   func(context.Context) error
	note   string
	// struckBefore is how many requests to an account had been struck before.
	struckBefore int
	// away is how long the store beneath took no write.
	away time.Duration
	// drawn tells that others strike meanwhile: what cannot be had then is done without.
	drawn bool
	// number was drawn, and chooses among several.
	number int
}

const (
	handOverGoal = 50 * time.Millisecond
	takeOverGoal = time.Second
)

// possible are the faults of what the journal is in.
func (r *run) possible() []fault {
	if r.cosmos == "" {
		return faults
	}
	common := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.needs != anything && f.needs != several })
	return append(common, azureFaults...)
}

var faults = []fault{
	{"nothing", anything, 0, func(context.Context, *blow) error { return nil }},
	{"hand-over asked for (MoveLeader)", several, handOverGoal, handOver},
	{"writer ended with SIGTERM", several, handOverGoal, endWriter},
	{"writer killed -9", several, takeOverGoal, killed((*blow).writer)},
	{"writer stopped and woken", several, takeOverGoal, stopped((*blow).writer)},
	{"replica killed and emptied", several, handOverGoal, emptied((*blow).follower)},
	{"writer killed and emptied", several, takeOverGoal, emptied((*blow).writer)},
	{"forwarding to the writer refused", several, takeOverGoal, cutPeers((*blow).writer, replicas.Refused)},
	{"forwarding to the writer swallowed", several, takeOverGoal, cutPeers((*blow).writer, replicas.Swallowed)},
	{"PostgreSQL's primary killed -9", postgres, takeOverGoal, killPrimary},
	{"PostgreSQL's primary and the writer killed", postgres, takeOverGoal, killBoth},

	{"replica killed", several, handOverGoal, killed((*blow).follower)},
	{"replica stopped and woken", several, handOverGoal, stopped((*blow).follower)},
	{"what is said to the writer swallowed, one way", several, takeOverGoal, cutPeers((*blow).writer, replicas.Deaf)},
	{"what the writer answers swallowed, one way", several, takeOverGoal, cutPeers((*blow).writer, replicas.Mute)},
	{"writer cut from the other replicas", several, takeOverGoal, isolated((*blow).writer, replicas.Swallowed)},
	{"replica cut from the other replicas", several, handOverGoal, isolated((*blow).follower, replicas.Swallowed)},
	{"two replicas cut from one another", several, handOverGoal, cutPair},
	{"ways between replicas slow", several, 0, slowPeers},

	{"writer cut from PostgreSQL, refused", ways, 0, cutJournal((*blow).writer, replicas.Refused)},
	{"writer cut from PostgreSQL, swallowed", ways, 0, cutJournal((*blow).writer, replicas.Swallowed)},
	{"writer cut from PostgreSQL, answers only", ways, 0, cutJournal((*blow).writer, replicas.Mute)},
	{"writer's way to PostgreSQL slow", ways, 0, cutJournal((*blow).writer, replicas.Slow)},
	{"replica cut from PostgreSQL, refused", ways, handOverGoal, cutJournal((*blow).follower, replicas.Refused)},
	{"replica cut from PostgreSQL, swallowed", ways, handOverGoal, cutJournal((*blow).follower, replicas.Swallowed)},
	{"replica cut from PostgreSQL, answers only", ways, handOverGoal, cutJournal((*blow).follower, replicas.Mute)},
	{"all cut from PostgreSQL, refused", ways, 0, cutJournals(replicas.Refused)},
	{"all cut from PostgreSQL, swallowed", ways, 0, cutJournals(replicas.Swallowed)},
	{"clients cut from a replica, refused", ways, handOverGoal, cutClients((*blow).anyone, replicas.Refused)},
	{"clients cut from a replica, swallowed", ways, handOverGoal, cutClients((*blow).anyone, replicas.Swallowed)},
	{"clients cut from a replica, answers only", ways, handOverGoal, cutClients((*blow).anyone, replicas.Mute)},

	{"PostgreSQL's primary stopped and woken", postgres, 0, stopPrimary},
	{"a standby of PostgreSQL stopped and woken", postgres, 0, stopStandby},
	{"every connection to PostgreSQL ended", postgres, 0, terminate},
	{"one standby cut from PostgreSQL's primary", owned, 0, cutStandbys(1, cluster.Both)},
	{"both standbys cut from PostgreSQL's primary", owned, 0, cutStandbys(2, cluster.Both)},
	{"acknowledgements of both standbys lost", owned, 0, cutStandbys(2, cluster.Acknowledgements)},
	{"what both standbys are fed lost", owned, 0, cutStandbys(2, cluster.Downstream)},
	{"disk of PostgreSQL's primary full", owned, 0, fillPrimary},
	{"disk of a replica full", owned, handOverGoal, fillReplica},
	{"disk of a replica full, and it is killed and started", owned, handOverGoal, fillAndKill},
	{"password changed", ways, 0, changePassword},
	{"the journal's table gone", postgres, 0, takeTable},
	{"the journal's table gone, and a replica starts", postgres, 0, takeTableAndStart},
	{"a replica's clock off by hours", clocks, handOverGoal, setClockOff},
}
