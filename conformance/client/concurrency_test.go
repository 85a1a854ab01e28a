package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func TestMutexExcludes(t *testing.T) {
	ctx, client := begin(t)
	const holders, turns = 6, 5
	var inside, most, total int
	var mu sync.Mutex
	var done sync.WaitGroup
	for range holders {
		done.Go(func() {
			session, err := concurrency.NewSession(client, concurrency.WithTTL(20))
			if err != nil {
				t.Error(err)
				return
			}
			defer session.Close()
			mutex := concurrency.NewMutex(session, "/lock")
			for range turns {
				if err := mutex.Lock(ctx); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				inside++
				most = max(most, inside)
				total++
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
				mu.Lock()
				inside--
				mu.Unlock()
				if err := mutex.Unlock(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
	if most != 1 || total != holders*turns {
		t.Fatalf("%d at once, %d turns", most, total)
	}
}

func TestMutexIsFreedWithItsSession(t *testing.T) {
	ctx, client := begin(t)
	first := must(concurrency.NewSession(client))(t)
	second := must(concurrency.NewSession(client))(t)
	defer second.Close()
	held := concurrency.NewMutex(first, "/lock")
	if err := held.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	other := concurrency.NewMutex(second, "/lock")
	if err := other.TryLock(ctx); !errors.Is(err, concurrency.ErrLocked) {
		t.Fatalf("a held mutex was had: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := other.Lock(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestMutexIsFreedWhenItsHolderDies(t *testing.T) {
	ctx, client := begin(t)
	dead := must(concurrency.NewSession(client, concurrency.WithTTL(2)))(t)
	if err := concurrency.NewMutex(dead, "/lock").Lock(ctx); err != nil {
		t.Fatal(err)
	}
	dead.Orphan()
	started := time.Now()
	heir := must(concurrency.NewSession(client))(t)
	defer heir.Close()
	if err := concurrency.NewMutex(heir, "/lock").Lock(ctx); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(started); waited < time.Second || waited > 10*time.Second {
		t.Fatalf("the lock came free after %v", waited)
	}
}

func TestElection(t *testing.T) {
	ctx, client := begin(t)
	first := must(concurrency.NewSession(client))(t)
	second := must(concurrency.NewSession(client))(t)
	defer second.Close()
	one, two := concurrency.NewElection(first, "/vote"), concurrency.NewElection(second, "/vote")
	if _, err := one.Leader(ctx); !errors.Is(err, concurrency.ErrElectionNoLeader) {
		t.Fatalf("a leader before the election: %v", err)
	}
	if err := one.Campaign(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	observed := two.Observe(ctx)
	expect := func(want string) {
		t.Helper()
		reply, ok := <-observed
		if !ok || string(reply.Kvs[0].Value) != want {
			t.Fatalf("observed %v, want %q", reply, want)
		}
	}
	expect("one")
	if err := one.Proclaim(ctx, "one again"); err != nil {
		t.Fatal(err)
	}
	expect("one again")
	won := make(chan error, 1)
	go func() { won <- two.Campaign(ctx, "two") }()
	select {
	case err := <-won:
		t.Fatalf("two leaders: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if err := one.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-won; err != nil {
		t.Fatal(err)
	}
	expect("two")
}

func TestTransactionalMemoryKeepsTheSum(t *testing.T) {
	ctx, client := begin(t)
	const accounts, clients, turns, start = 5, 6, 15, 100
	name := func(i int) string { return fmt.Sprintf("account/%d", i) }
	for i := range accounts {
		put(t, ctx, client, name(i), strconv.Itoa(start))
	}
	levels := []concurrency.Isolation{concurrency.SerializableSnapshot, concurrency.Serializable}
	var done sync.WaitGroup
	for c := range clients {
		done.Go(func() {
			for n := range turns {
				from, to := name((c+n)%accounts), name((c*3+n*2+1)%accounts)
				if from == to {
					continue
				}
				move := func(stm concurrency.STM) error {
					a, _ := strconv.Atoi(stm.Get(from))
					b, _ := strconv.Atoi(stm.Get(to))
					stm.Put(from, strconv.Itoa(a-7))
					stm.Put(to, strconv.Itoa(b+7))
					return nil
				}
				isolation := concurrency.WithIsolation(levels[n%len(levels)])
				_, err := concurrency.NewSTM(client, move, concurrency.WithAbortContext(ctx), isolation)
				for errors.Is(err, rpctypes.ErrFutureRev) {
					// A member that is behind has not the revision that the first read showed; nothing was done.
					_, err = concurrency.NewSTM(client, move, concurrency.WithAbortContext(ctx), isolation)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	sum := 0
	for _, kv := range get(t, context.Background(), client, "account/", prefix).Kvs {
		amount, _ := strconv.Atoi(string(kv.Value))
		sum += amount
	}
	if sum != accounts*start {
		t.Fatalf("the sum is %d, not %d", sum, accounts*start)
	}
}
