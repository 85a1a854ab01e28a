package main

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// generator draws the next request. Keys, values, lease ids and revisions come from small sets,
// so that requests collide; a share of everything is invalid. It depends on the seed and on
// what etcd answered, nothing else.
type generator struct {
	*rand.Rand
	pair *Pair
	// queue holds steps that must follow the one just drawn.
	queue []Step
	// alarmed counts down to the step that disarms all alarms.
	alarmed int
	// reenable counts down to the step that enables authentication again.
	reenable int
	mix      Mix
	// member is the id that both servers derive from their URLs.
	member uint64
}

func newGenerator(seed, episode uint64, pair *Pair, member uint64, mix Mix) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, episode)), pair: pair, member: member, mix: mix}
	if mix.Auth {
		g.queue = g.authPrologue()
	}
	return g
}

// weighted is one kind of request and how often, of the sum of all, it is drawn.
type weighted struct {
	weight int
	draw   func(*generator) Step
}

var plainKinds = []weighted{
	{3000, func(g *generator) Step { return ask("KV/Put", g.put()) }},
	{2300, func(g *generator) Step { return ask("KV/Range", g.rangeRequest()) }},
	{900, func(g *generator) Step { return ask("KV/DeleteRange", g.deleteRange()) }},
	{2200, func(g *generator) Step { return ask("KV/Txn", g.txn(0)) }},
	{300, func(g *generator) Step { return ask("KV/RangeStream", g.streamRange()) }},
	{25, func(g *generator) Step { return ask("KV/Compact", g.compact()) }},
	{160, (*generator).lease},
	{120, (*generator).watch},
	{50, func(g *generator) Step { return ask("Maintenance/HashKV", g.hashKV()) }},
	{50, (*generator).maintenance},
	{25, (*generator).odd},
	{4, (*generator).oversize},
	{6, (*generator).alarm},
}

// kinds are what the mix draws from.
func (g *generator) kinds() []weighted {
	all := slices.Clone(plainKinds)
	if g.mix.Auth {
		all = append(all, weighted{600, (*generator).auth})
	}
	if g.mix.Services > 0 {
		all = append(all, weighted{g.mix.Services, (*generator).service})
	}
	if g.mix.Gateway > 0 {
		all = append(all, weighted{40, (*generator).oddGateway})
	}
	return all
}

// next draws one step, who asks it, and by which way.
func (g *generator) next() Step {
	if g.mix.Auth {
		g.refreshed()
	}
	queued := len(g.queue) > 0
	step := g.draw()
	if g.mix.Auth {
		step.As = rootCaller
		if !queued {
			step.As = g.caller(step)
		}
	}
	if g.chance(g.mix.Gateway) && throughGateway(step) {
		step.Gateway = 1 + g.IntN(gatewayForms-1)
	}
	if g.mix.Doors > 1 {
		step.Door = g.IntN(g.mix.Doors)
	}
	return step
}

func (g *generator) draw() Step {
	if len(g.queue) > 0 {
		step := g.queue[0]
		g.queue = g.queue[1:]
		return step
	}
	if g.alarmed > 0 {
		if g.alarmed--; g.alarmed == 0 {
			return g.disarm()
		}
	}
	if g.reenable > 0 {
		if g.reenable--; g.reenable == 0 {
			g.queue = append(g.queue, g.enableAuth()...)
		}
	}
	kinds := g.kinds()
	sum := 0
	for _, kind := range kinds {
		sum += kind.weight
	}
	drawn := g.IntN(sum)
	for _, kind := range kinds {
		if drawn -= kind.weight; drawn < 0 {
			step := kind.draw(g)
			step.HasLeader = step.Request != nil && g.chance(2)
			return step
		}
	}
	panic("weights do not add up")
}

func ask(method string, request proto.Message) Step {
	return Step{Method: "/etcdserverpb." + method, Request: request}
}

// chance is true in so many of a hundred cases.
func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

var keys = []string{
	"a", "a\x00", "aa", "ab", "b", "b/1", "b/2", "b/2/x", "b/3", "c", "c/", "c0", "d",
	"\x00", "\x00\x00", "\xff", "\xff\xff", "\xfe\xff", "\xc3\x28", "z",
}

// key is one of the few keys; rarely empty, rarely new.
func (g *generator) key() []byte {
	switch {
	case g.chance(1):
		return nil
	case g.chance(2):
		return []byte{byte(g.IntN(256)), byte(g.IntN(256))}
	}
	return []byte(pick(g, keys...))
}

// rangeEnd belongs to a key: none, a prefix's end, everything above, or any key at all, so
// that empty and inverted ranges occur. With authentication on there are none of these: etcd
// judges the rights on them by the shape that its tree of permissions happens to have.
func (g *generator) rangeEnd(key []byte) []byte {
	end := g.anyRangeEnd(key)
	if g.mix.Auth && len(end) > 0 && string(end) != "\x00" && bytes.Compare(end, key) <= 0 {
		return prefixEnd(key)
	}
	return end
}

func (g *generator) anyRangeEnd(key []byte) []byte {
	switch g.IntN(10) {
	case 0, 1, 2, 3, 4:
		return nil
	case 5, 6:
		return prefixEnd(key)
	case 7:
		return []byte{0}
	}
	return g.key()
}

func prefixEnd(key []byte) []byte {
	end := append([]byte(nil), key...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0}
}

func (g *generator) value() []byte {
	switch g.IntN(12) {
	case 0:
		return nil
	case 1:
		return make([]byte, g.IntN(2000))
	case 2, 3:
		raw := make([]byte, g.IntN(40))
		for i := range raw {
			raw[i] = byte(g.IntN(256))
		}
		return raw
	}
	return []byte(pick(g, "1", "2", "3", "x", "y"))
}

// nearby is a revision around the present, weighted to the valid, with every kind of the invalid.
func (g *generator) nearby() int64 {
	now, compacted := g.pair.revision, g.pair.compacted
	switch g.IntN(16) {
	case 0:
		return now + 1
	case 1:
		return now + int64(g.IntN(1000))
	case 2:
		return compacted
	case 3:
		return compacted - 1
	case 4:
		return compacted + 1
	case 5:
		return pick[int64](g, -1, -7, 0, 1, 2, 1<<62)
	case 6:
		return now
	}
	return max(1, now-int64(g.IntN(30)))
}

func (g *generator) leaseID() int64 {
	if g.chance(3) {
		return pick[int64](g, 77, -77)
	}
	return pick[int64](g, 1, 2, 3, 4, 5, 6, -6, 0x7000000000000001)
}

func (g *generator) putLease() int64 {
	if g.chance(75) {
		return 0
	}
	return g.leaseID()
}

func (g *generator) compact() *pb.CompactionRequest {
	revision := g.nearby()
	if g.chance(50) {
		revision = max(1, g.pair.revision-int64(g.IntN(150)))
	}
	if revision == 0 && g.chance(80) {
		// The first Compact(0) succeeds, and spoils etcd's HashKV(0) for long: see explained.go.
		revision = -1
	}
	return &pb.CompactionRequest{Revision: revision, Physical: g.chance(30)}
}

func (g *generator) hashKV() *pb.HashKVRequest {
	if g.chance(50) {
		return &pb.HashKVRequest{}
	}
	return &pb.HashKVRequest{Revision: g.nearby()}
}
