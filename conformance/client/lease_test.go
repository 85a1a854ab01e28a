package client

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestKeepAliveOutlivesTheTTL(t *testing.T) {
	ctx, client := begin(t)
	lease := must(client.Grant(ctx, 2))(t)
	put(t, ctx, client, "kept", "x", clientv3.WithLease(lease.ID))
	answers := must(client.KeepAlive(ctx, lease.ID))(t)
	end := time.After(5 * time.Second)
	count := 0
	for alive := true; alive; {
		select {
		case reply := <-answers:
			if reply == nil {
				t.Fatal("the keep-alive ended")
			}
			if reply.TTL != 2 {
				t.Fatalf("TTL %d", reply.TTL)
			}
			count++
		case <-end:
			alive = false
		}
	}
	if count < 3 || len(get(t, ctx, client, "kept").Kvs) != 1 {
		t.Fatalf("%d renewals and the key is gone", count)
	}
}

func TestExpiryIsADeletionWithItsOwnRevision(t *testing.T) {
	ctx, client := begin(t)
	lease := must(client.Grant(ctx, 2))(t)
	granted := time.Now()
	put(t, ctx, client, "l/b", "1", clientv3.WithLease(lease.ID))
	last := put(t, ctx, client, "l/a", "2", clientv3.WithLease(lease.ID))
	events := client.Watch(ctx, "l/", prefix, clientv3.WithPrevKV(), clientv3.WithRev(last+1))
	reply := <-events
	if took := time.Since(granted); took < 1900*time.Millisecond || took > 8*time.Second {
		t.Errorf("expired after %v", took)
	}
	if len(reply.Events) != 2 {
		t.Fatalf("%d events in the first response: %v", len(reply.Events), reply.Events)
	}
	for i, key := range []string{"l/a", "l/b"} {
		event := reply.Events[i]
		if event.Type != clientv3.EventTypeDelete || string(event.Kv.Key) != key ||
			event.Kv.ModRevision != last+1 || event.PrevKv == nil {
			t.Errorf("event %d is %v", i, event)
		}
	}
	left := must(client.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys()))(t)
	if left.TTL != -1 || left.GrantedTTL != 0 || len(left.Keys) != 0 {
		t.Errorf("an expired lease has %+v", left)
	}
	if _, err := client.KeepAliveOnce(ctx, lease.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Errorf("renewing an expired lease: %v", err)
	}
}

func TestLeaseSurvivesRestart(t *testing.T) {
	server := serve(t)
	client, ctx := connect(t, server), limited(t)
	lease := must(client.Grant(ctx, 4))(t)
	put(t, ctx, client, "kept", "x", clientv3.WithLease(lease.ID))
	server.bounce(t, ctx)
	restarted := time.Now()
	left := must(client.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys()))(t)
	if left.GrantedTTL != 4 || left.TTL < 2 || len(left.Keys) != 1 {
		t.Fatalf("after a restart the lease has %+v", left)
	}
	watch := client.Watch(ctx, "kept", clientv3.WithRev(must(client.Get(ctx, "kept"))(t).Header.Revision+1))
	if reply := <-watch; len(reply.Events) != 1 || reply.Events[0].Type != clientv3.EventTypeDelete {
		t.Fatalf("not the deletion: %v", reply)
	}
	// etcd gives every lease its whole time again when it starts.
	if took := time.Since(restarted); took < 3*time.Second || took > 15*time.Second {
		t.Fatalf("expired %v after the restart", took)
	}
}

func TestRevokeAndErrors(t *testing.T) {
	ctx, client := begin(t)
	lease := must(client.Grant(ctx, 100))(t)
	put(t, ctx, client, "a", "x", clientv3.WithLease(lease.ID))
	leases := must(client.Leases(ctx))(t)
	if len(leases.Leases) != 1 || leases.Leases[0].ID != lease.ID {
		t.Errorf("leases: %v", leases.Leases)
	}
	must(client.Revoke(ctx, lease.ID))(t)
	if len(get(t, ctx, client, "a").Kvs) != 0 {
		t.Error("the key outlived its lease")
	}
	if _, err := client.Revoke(ctx, lease.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Error(err)
	}
	if _, err := client.Put(ctx, "a", "x", clientv3.WithLease(1234)); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Error(err)
	}
	if _, err := client.Grant(ctx, 9_000_000_001); !errors.Is(err, rpctypes.ErrLeaseTTLTooLarge) {
		t.Error(err)
	}
}
