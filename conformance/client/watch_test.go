package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// events takes so many events from a watch and fails if they do not come.
func events(t *testing.T, ctx context.Context, watch clientv3.WatchChan, count int) []*clientv3.Event {
	t.Helper()
	var all []*clientv3.Event
	for len(all) < count {
		select {
		case reply, ok := <-watch:
			if !ok || reply.Err() != nil {
				t.Fatalf("the watch ended after %d of %d events: %v", len(all), count, reply.Err())
			}
			all = append(all, reply.Events...)
		case <-ctx.Done():
			t.Fatalf("%d of %d events came", len(all), count)
		}
	}
	return all
}

func TestWatchResumesOverRestarts(t *testing.T) {
	server := serve(t)
	client, ctx := connect(t, server), limited(t)
	watch := client.Watch(ctx, "w/", prefix)
	const rounds, each = 3, 50
	go func() {
		for n := range rounds * each {
			for {
				short, cancel := context.WithTimeout(ctx, time.Second)
				// A put whose answer was lost may be made twice; the value tells.
				_, err := client.Put(short, fmt.Sprintf("w/%d", n), "x")
				cancel()
				if err == nil || ctx.Err() != nil {
					break
				}
			}
		}
	}()
	seen := map[string]bool{}
	var last int64
	next := each / 2
	for len(seen) < rounds*each {
		for _, event := range events(t, ctx, watch, 1) {
			if event.Kv.ModRevision <= last {
				t.Fatalf("revision %d after %d", event.Kv.ModRevision, last)
			}
			last = event.Kv.ModRevision
			seen[string(event.Kv.Key)] = true
		}
		if len(seen) >= next && next < rounds*each {
			next += each
			server.bounce(t, ctx)
		}
	}
}

func TestWatchFromThePastWithPrevious(t *testing.T) {
	ctx, client := begin(t)
	first := put(t, ctx, client, "k", "1")
	put(t, ctx, client, "k", "2")
	must(client.Delete(ctx, "k"))(t)
	seen := events(t, ctx, client.Watch(ctx, "k", clientv3.WithRev(first), clientv3.WithPrevKV()), 3)
	if !seen[0].IsCreate() || seen[0].PrevKv != nil || !seen[1].IsModify() ||
		string(seen[1].PrevKv.Value) != "1" || string(seen[2].PrevKv.Value) != "2" {
		t.Fatalf("%v", seen)
	}
	filtered := client.Watch(ctx, "k", clientv3.WithRev(first), clientv3.WithFilterPut())
	if only := events(t, ctx, filtered, 1); only[0].Type != clientv3.EventTypeDelete {
		t.Fatalf("%v", only)
	}
}

func TestCompactedWatchAndGet(t *testing.T) {
	ctx, client := begin(t)
	var last int64
	for n := range 10 {
		last = put(t, ctx, client, "k", fmt.Sprint(n))
	}
	must(client.Compact(ctx, last-2, clientv3.WithCompactPhysical()))(t)
	reply := <-client.Watch(ctx, "k", clientv3.WithRev(2))
	// Of several members another may be asked than the one that has compacted, and be a moment behind.
	for range 40 {
		if os.Getenv("REPLICAS") == "" || reply.CompactRevision != 0 {
			break
		}
		time.Sleep(25 * time.Millisecond)
		reply = <-client.Watch(ctx, "k", clientv3.WithRev(2))
	}
	if reply.CompactRevision != last-2 || !errors.Is(reply.Err(), rpctypes.ErrCompacted) {
		t.Errorf("a compacted watch gets %+v", reply)
	}
	if _, err := client.Get(ctx, "k", clientv3.WithRev(last-3)); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("a compacted get: %v", err)
	}
	if value := get(t, ctx, client, "k", clientv3.WithRev(last-2)).Kvs[0].Value; string(value) != "7" {
		t.Errorf("at the compacted revision: %q", value)
	}
	if _, err := client.Get(ctx, "k", clientv3.WithRev(last+1)); !errors.Is(err, rpctypes.ErrFutureRev) {
		t.Errorf("a future get: %v", err)
	}
	if _, err := client.Compact(ctx, last-2); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("compacted twice: %v", err)
	}
	events(t, ctx, client.Watch(ctx, "k", clientv3.WithRev(last-2)), 3)
}

func TestProgressOnRequest(t *testing.T) {
	ctx, client := begin(t)
	first := put(t, ctx, client, "k", "1")
	watch := client.Watch(ctx, "k", clientv3.WithRev(first), clientv3.WithCreatedNotify())
	if reply := <-watch; !reply.Created {
		t.Fatalf("not created but %+v", reply)
	}
	events(t, ctx, watch, 1) // so that whichever member watches has heard of the first put
	last := put(t, ctx, client, "elsewhere", "1")
	for told := int64(0); told != last; {
		if err := client.RequestProgress(ctx); err != nil {
			t.Fatal(err)
		}
		reply := <-watch
		told = reply.Header.Revision
		// A member of several may not have heard of the put yet.
		behind := os.Getenv("REPLICAS") != "" && told == last-1
		if !reply.IsProgressNotify() || told != last && !behind {
			t.Fatalf("not a notice at %d but %+v", last, reply)
		}
	}
}

func TestProgressInIntervals(t *testing.T) {
	ctx, client := begin(t, "--watch-progress-notify-interval=300ms")
	watch := client.Watch(ctx, "k", clientv3.WithProgressNotify())
	last := put(t, ctx, client, "elsewhere", "1")
	for range 3 {
		reply := <-watch
		if !reply.IsProgressNotify() || reply.Header.Revision > last {
			t.Fatalf("not a notice but %+v", reply)
		}
	}
}

func TestManyWatchersOnOneStream(t *testing.T) {
	ctx, client := begin(t)
	const count, puts = 300, 20
	watches := make([]clientv3.WatchChan, count)
	for i := range watches {
		watches[i] = client.Watch(ctx, "p/", prefix, clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
		<-watches[i]
	}
	for n := range puts {
		put(t, ctx, client, "p/x", fmt.Sprint(n))
	}
	for _, watch := range watches {
		seen := events(t, ctx, watch, puts)
		for n, event := range seen {
			if string(event.Kv.Value) != fmt.Sprint(n) || (n > 0) != (event.PrevKv != nil) {
				t.Fatalf("event %d is %v", n, event)
			}
		}
	}
}

func TestFragmentsAreOneResponse(t *testing.T) {
	ctx, client := begin(t)
	const count = 12
	value := strings.Repeat("x", 400<<10)
	var last int64
	for n := range count {
		last = put(t, ctx, client, fmt.Sprintf("f/%02d", n), value)
	}
	watch := client.Watch(ctx, "f/", prefix, clientv3.WithFragment(), clientv3.WithPrevKV(), clientv3.WithRev(last+1))
	// One revision of 12 events with 4.8 MB of previous values: larger than a fragment.
	time.Sleep(100 * time.Millisecond)
	must(client.Delete(ctx, "f/", prefix))(t)
	reply := <-watch
	if len(reply.Events) != count {
		t.Fatalf("%d events in one response", len(reply.Events))
	}
}
