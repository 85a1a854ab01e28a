package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"conformance/cosmos/account"
	"conformance/cosmos/service"
	"conformance/postgres/replicas"
)

// azureDelay is what the way to the service takes, there and back: what a region gives.
const azureDelay = 5 * time.Millisecond

// bringUpAzure starts an account with a region for each replica.
func (r *run) bringUpAzure(ctx context.Context, options *replicas.Options) (err error) {
	regions := service.Regions[:min(r.replicas, len(service.Regions))]
	r.azure, err = service.Start(account.Options{Consistency: r.cosmos, Regions: regions, Delay: azureDelay, Seed: r.seed}, options.Dir)
	if err != nil {
		return fmt.Errorf("Azure Cosmos DB: %w", err)
	}
	for i := range r.replicas {
		options.Journals = append(options.Journals, r.azure.Journal(regions[i%len(regions)]))
	}
	return r.azure.Init(ctx, r.binary)
}

var azureFaults = []fault{
	{"replies to creates lost", azure, 0, struckAzure(account.Strike{Kind: account.LostReply, Operation: "create", Share: 0.2})},
	{"requests lost", azure, 0, struckAzure(account.Strike{Kind: account.LostRequest, Share: 0.1})},
	{"creates that take effect after their client gave up", azure, 0,
		struckAzure(account.Strike{Kind: account.Late, Operation: "create", Share: 0.05, Wait: 2 * time.Second})},
	{"requests that get no answer", azure, 0, struckAzure(account.Strike{Kind: account.Silent, Share: 0.01})},
	{"429 to half of all", azure, 0, struckAzure(account.Strike{Kind: account.Throttled, Share: 0.5, Wait: 30 * time.Millisecond})},
	{"429 to all for three seconds", azure, 0,
		struckAzure(account.Strike{Kind: account.Throttled, For: 3 * time.Second, Wait: 500 * time.Millisecond})},
	{"few request units", azure, 0, fewUnits},
	{"408, 410, 449, 500 and 503 by chance", azure, 0, manyCodes},
	{"the write region moves", azure, 0, moveWrites(account.WriteForbidden)},
	{"the write region is lost and another takes over", azure, 0, loseWrites},
	{"a read region is lost", azure, 0, loseReads},
	{"a region is added and another removed", azure, 0, changeRegions},
	{"the account answers nobody", azure, 0, darkness(account.LostRequest)},
	{"the account is silent", azure, 0, darkness(account.Silent)},
	{"the key changed", azure, 0, changeKey},
	{"the read regions lag", stale, 0, lagging},
}

var azureHat = []ticket{
	{"replies to creates lost", database, 4, longer, false},
	{"requests lost", database, 3, longer, false},
	{"creates that take effect after their client gave up", database, 4, longer, false},
	{"requests that get no answer", database, 2, longer, false},
	{"429 to half of all", database, 3, longer, false},
	{"429 to all for three seconds", database, 2, longer, false},
	{"few request units", database, 2, longer, false},
	{"408, 410, 449, 500 and 503 by chance", database, 4, longer, false},
	{"the write region moves", database, 4, brief, false},
	{"the write region is lost and another takes over", database, 3, brief, false},
	{"a read region is lost", database, 2, longer, false},
	{"a region is added and another removed", database, 2, brief, false},
	{"the account answers nobody", database, 2, brief, false},
	{"the account is silent", database, 2, brief, false},
	{"the key changed", database, 2, brief, false},
	{"the read regions lag", database, 4, longer, false},
}

// healAzure ends all that was struck, and says how many requests that were.
func (b *blow) healAzure(context.Context) error {
	b.azure.Heal()
	b.note = strings.TrimSpace(fmt.Sprintf("%s %d requests struck", b.note, b.azure.Struck()-b.struckBefore))
	return nil
}

// strikesAzure begins to count.
func (b *blow) strikesAzure() {
	b.strikes(b.set.Replicas...)
	b.struckBefore = b.azure.Struck()
	b.heal = b.healAzure
}

// struckAzure has one kind of fault happen to what the replicas ask.
func struckAzure(s account.Strike) strike {
	return func(_ context.Context, b *blow) error {
		b.strikesAzure()
		return b.azure.Strike(s)
	}
}

// manyCodes answers with everything that the service documents, with an effect and without.
func manyCodes(_ context.Context, b *blow) error {
	b.strikesAzure()
	for _, kind := range []account.Kind{account.TimedOut, account.TimedOutAfter, account.Gone, account.RetryWith, account.Broken,
		account.Unavailable, account.UnavailableAfter, account.LostReply} {
		if err := b.azure.Strike(account.Strike{Kind: kind, Share: 0.02}); err != nil {
			return err
		}
	}
	return nil
}

// fewUnits grants less than the load needs.
func fewUnits(_ context.Context, b *blow) error {
	const granted = 400
	b.strikes(b.set.Replicas...)
	b.note = fmt.Sprintf("%d RU/s", granted)
	b.azure.SetThroughput(granted)
	b.heal = func(context.Context) error {
		b.azure.SetThroughput(0)
		return nil
	}
	return nil
}

// regions are the one that takes writes and another.
func (b *blow) regions() (writes, other *account.Region) {
	all := b.azure.Regions()
	return all[0], all[1+b.number%(len(all)-1)]
}

// failover is how long nobody takes writes while the write region moves.
const failover = 3 * time.Second

func moveWrites(how account.Kind) strike {
	return func(_ context.Context, b *blow) error {
		b.strikes(b.set.Replicas...)
		from, to := b.regions()
		b.note, b.away = from.Name+" to "+to.Name, failover
		return b.azure.MoveWrites(to.Name, failover, how)
	}
}

// loseWrites takes the write region away altogether; the service gives the writes to another one, and it comes back.
func loseWrites(_ context.Context, b *blow) error {
	b.strikes(b.set.Replicas...)
	from, to := b.regions()
	b.note, b.away = from.Name+" to "+to.Name, failover
	b.heal = func(context.Context) error { return b.azure.Fail(from.Name, "") }
	if err := b.azure.Fail(from.Name, account.LostRequest); err != nil {
		return err
	}
	return b.azure.MoveWrites(to.Name, failover, account.Unavailable)
}

func loseReads(_ context.Context, b *blow) error {
	b.strikes(b.set.Replicas...)
	_, other := b.regions()
	b.note = other.Name
	b.heal = func(context.Context) error { return b.azure.Fail(other.Name, "") }
	return b.azure.Fail(other.Name, account.Unavailable)
}

// changeRegions adds one and takes another out, and then the other way round.
func changeRegions(_ context.Context, b *blow) error {
	_, other := b.regions()
	added := fmt.Sprintf("Region %d", time.Now().UnixNano()%1e6)
	b.note = added + " instead of " + other.Name
	if _, err := b.azure.AddRegion(added, 0); err != nil {
		return err
	}
	b.heal = func(context.Context) error {
		if _, err := b.azure.AddRegion(other.Name, 0); err != nil {
			return err
		}
		return b.azure.RemoveRegion(added)
	}
	return b.azure.RemoveRegion(other.Name)
}

// darkness has the whole account answer nothing for a while.
func darkness(how account.Kind) strike {
	return func(ctx context.Context, b *blow) error {
		b.strikes(b.set.Replicas...)
		b.away = failover
		b.heal = b.healAzure
		if err := b.azure.Fail("", how); err != nil {
			return err
		}
		pause(ctx, failover)
		return b.azure.Fail("", "")
	}
}

// changeKey makes another key the account's, and puts it where the replicas look when it heals.
func changeKey(ctx context.Context, b *blow) error {
	b.strikes(b.set.Replicas...)
	key := service.NewKey()
	b.azure.SetKey(key)
	pause(ctx, failover)
	return service.WriteKey(b.azure.KeyFile, key)
}

// lagging has every region but the write region show what was written two seconds ago.
func lagging(_ context.Context, b *blow) error {
	const lag = 2 * time.Second
	b.note = lag.String()
	others := b.azure.Regions()[1:]
	b.heal = func(context.Context) error {
		for _, r := range others {
			if err := b.azure.Lag(r.Name, 0); err != nil {
				return err
			}
		}
		return nil
	}
	for _, r := range others {
		if err := b.azure.Lag(r.Name, lag); err != nil {
			return err
		}
	}
	return nil
}
