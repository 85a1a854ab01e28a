package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// seat is what a fault takes hold of. Faults of different seats happen at once, those of one seat after one another: a
// process that was killed cannot be stopped as well.
type seat int

const (
	process seat = iota
	peers
	journal
	clients
	database
	wallClock
	seats
)

// ticket is a fault as it is drawn.
type ticket struct {
	name   string
	seat   seat
	weight int
	// lasts is the shortest and the longest that it is left alone once it has struck.
	lasts [2]time.Duration
	// long marks those after which the store beneath needs long to be whole again: one an episode.
	long bool
}

var (
	atOnce = [2]time.Duration{0, time.Second}
	brief  = [2]time.Duration{time.Second, 7 * time.Second}
	longer = [2]time.Duration{4 * time.Second, 12 * time.Second}
)

// hat is what is drawn from. What is here by itself and not there would be two seats in one.
var hat = []ticket{
	{"hand-over asked for (MoveLeader)", process, 3, atOnce, false},
	{"writer ended with SIGTERM", process, 2, brief, false},
	{"writer killed -9", process, 4, brief, false},
	{"replica killed", process, 3, brief, false},
	{"writer stopped and woken", process, 2, atOnce, false},
	{"replica stopped and woken", process, 2, atOnce, false},
	{"replica killed and emptied", process, 2, brief, false},
	{"writer killed and emptied", process, 2, brief, false},
	{"disk of a replica full", process, 2, longer, false},
	{"disk of a replica full, and it is killed and started", process, 2, brief, false},

	{"forwarding to the writer refused", peers, 2, brief, false},
	{"forwarding to the writer swallowed", peers, 3, longer, false},
	{"what is said to the writer swallowed, one way", peers, 3, longer, false},
	{"what the writer answers swallowed, one way", peers, 3, longer, false},
	{"writer cut from the other replicas", peers, 2, longer, false},
	{"replica cut from the other replicas", peers, 2, longer, false},
	{"two replicas cut from one another", peers, 2, longer, false},
	{"ways between replicas slow", peers, 2, longer, false},

	{"writer cut from PostgreSQL, refused", journal, 2, brief, false},
	{"writer cut from PostgreSQL, swallowed", journal, 3, longer, false},
	{"writer cut from PostgreSQL, answers only", journal, 3, longer, false},
	{"writer's way to PostgreSQL slow", journal, 2, longer, false},
	{"replica cut from PostgreSQL, refused", journal, 2, brief, false},
	{"replica cut from PostgreSQL, swallowed", journal, 2, longer, false},
	{"replica cut from PostgreSQL, answers only", journal, 2, longer, false},
	{"all cut from PostgreSQL, refused", journal, 2, brief, false},
	{"all cut from PostgreSQL, swallowed", journal, 2, brief, false},

	{"clients cut from a replica, refused", clients, 2, brief, false},
	{"clients cut from a replica, swallowed", clients, 3, brief, false},
	{"clients cut from a replica, answers only", clients, 3, brief, false},

	{"PostgreSQL's primary killed -9", database, 3, atOnce, true},
	{"PostgreSQL's primary stopped and woken", database, 2, atOnce, true},
	{"a standby of PostgreSQL stopped and woken", database, 2, atOnce, true},
	{"disk of PostgreSQL's primary full", database, 2, brief, true},
	{"every connection to PostgreSQL ended", database, 3, atOnce, false},
	{"one standby cut from PostgreSQL's primary", database, 2, brief, false},
	{"both standbys cut from PostgreSQL's primary", database, 2, brief, false},
	{"acknowledgements of both standbys lost", database, 2, brief, false},
	{"what both standbys are fed lost", database, 2, brief, false},
	{"password changed", database, 3, brief, false},
	{"the journal's table gone", database, 2, brief, false},

	{"a replica's clock off by hours", wallClock, 5, longer, false},
}

// hat is what is drawn from on what the journal is in.
func (r *run) hat() []ticket {
	if r.cosmos == "" {
		return hat
	}
	common := slices.DeleteFunc(slices.Clone(hat), func(one ticket) bool {
		needs := faultNamed(one.name).needs
		return needs != anything && needs != several
	})
	return append(common, azureHat...)
}

// drawn is one fault of an episode, and what became of it.
type drawn struct {
	ticket
	// begin is when it strikes, after the episode's calm, unless its seat is taken until later.
	begin, lasting time.Duration
	number         int

	episode int
	// began and ended are the episode's times.
	began, ended time.Duration
	blow         *blow
	// missed says why it could not strike.
	missed error
	// pauses are the longest by what is asked; nil if every replica was struck by something else.
	pauses map[string]time.Duration
}

const (
	fewest, most = 4, 7
	// spread is how long after the first moment the last fault of an episode begins.
	spread = 16 * time.Second
	// ofASeat is how many faults of one seat an episode has.
	ofASeat = 2
)

// schedule draws episodes with so many faults in all. The hat is filled again whenever it is empty, so every kind comes.
func schedule(seed uint64, count int, hat []ticket) [][]*drawn {
	random := rand.New(rand.NewPCG(seed, 0xfa0175))
	var waiting []ticket
	refill := func() {
		var all []ticket
		for _, one := range hat {
			for range one.weight {
				all = append(all, one)
			}
		}
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		waiting = append(waiting, all...)
	}
	var episodes [][]*drawn
	for left := count; left > 0; {
		size := min(left, fewest+random.IntN(most-fewest+1))
		if len(waiting) < 2*most*ofASeat {
			refill()
		}
		var episode []*drawn
		for at := 0; at < len(waiting) && len(episode) < size; {
			if !fits(episode, waiting[at]) {
				at++
				continue
			}
			episode = append(episode, place(random, waiting[at], len(episodes)+1))
			waiting = append(waiting[:at:at], waiting[at+1:]...)
		}
		if len(episode) == 0 {
			break
		}
		left -= len(episode)
		episodes = append(episodes, episode)
	}
	return episodes
}

func fits(episode []*drawn, one ticket) bool {
	same := 0
	for _, other := range episode {
		if other.seat == one.seat {
			same++
		}
		if other.long && one.seat == database || one.long && other.seat == database {
			return false
		}
	}
	return same < ofASeat
}

func place(random *rand.Rand, one ticket, episode int) *drawn {
	between := func(least, most time.Duration) time.Duration {
		return (least + time.Duration(random.Int64N(int64(most-least)+1))).Round(100 * time.Millisecond)
	}
	return &drawn{ticket: one, begin: between(0, spread), lasting: between(one.lasts[0], one.lasts[1]),
		number: random.IntN(1 << 16), episode: episode}
}

// planned is an episode as the schedule has it.
func planned(episode []*drawn) string {
	var text []string
	for _, d := range episode {
		text = append(text, fmt.Sprintf("at %.1f s for %.1f s: %s", d.begin.Seconds(), d.lasting.Seconds(), d.name))
	}
	return strings.Join(text, "; ")
}
