package main

import (
	"context"
	"fmt"
	"sort"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"conformance/store"
)

// pair is the server that was judged and the etcd made of its snapshot.
type pair [2]*clientv3.Client

// judgeRestored asks both everything there is to ask.
func judgeRestored(ours, restored *store.Server) error {
	var both pair
	for n, server := range []*store.Server{ours, restored} {
		client, err := connect(server, "root")
		if err != nil {
			return err
		}
		defer client.Close()
		both[n] = client
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	now, compacted, err := both.sameRevisions(ctx)
	if err != nil {
		return err
	}
	for _, check := range []func() error{
		func() error { return both.sameHistory(ctx, compacted, now) },
		func() error { return both.sameEvents(ctx, compacted+1, now) },
		func() error { return both.sameLeases(ctx) },
		func() error { return both.sameAlarms(ctx) },
		func() error { return both.sameAuth(ctx) },
		func() error { return both.goOn(ctx, now) },
	} {
		if err := check(); err != nil {
			return fmt.Errorf("restored into an etcd: %w", err)
		}
	}
	return limited(ctx, restored)
}

// ask asks both and compares the answers as `show` puts them.
func ask[T any](both pair, what string, call func(*clientv3.Client) (T, error), show func(T) string) (T, error) {
	var answers [2]T
	var shown [2]string
	for n, client := range both {
		answer, err := call(client)
		if err != nil {
			return answer, fmt.Errorf("%s: %w", what, err)
		}
		answers[n], shown[n] = answer, show(answer)
	}
	if shown[0] != shown[1] {
		return answers[0], fmt.Errorf("%s: %.2000s\nbut restored: %.2000s", what, shown[0], shown[1])
	}
	return answers[0], nil
}

func (both pair) sameRevisions(ctx context.Context) (now, compacted int64, err error) {
	hash, err := ask(both, "HashKV", func(c *clientv3.Client) (*clientv3.HashKVResponse, error) {
		return c.HashKV(ctx, c.Endpoints()[0], 0)
	}, func(h *clientv3.HashKVResponse) string {
		return fmt.Sprintf("%08x at %d above %d of %d", h.Hash, h.HashRevision, h.CompactRevision, h.Header.Revision)
	})
	if err != nil {
		return 0, 0, err
	}
	for _, client := range both {
		_, err := client.Get(ctx, "key/00", clientv3.WithRev(hash.CompactRevision-1))
		if err != rpctypes.ErrCompacted {
			return 0, 0, fmt.Errorf("a revision before the compacted one: %v", err)
		}
	}
	fmt.Printf("restored: revision %d, compacted %d, HashKV %08x\n", hash.HashRevision, hash.CompactRevision, hash.Hash)
	return hash.HashRevision, hash.CompactRevision, nil
}

func keyValues(kvs []*mvccpb.KeyValue) string {
	var out []byte
	for _, kv := range kvs {
		bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(kv)
		if err != nil {
			return err.Error()
		}
		out = fmt.Appendf(out, "%q\n", bytes)
	}
	return string(out)
}

// sameHistory reads all keys at every revision there is, and their hash.
func (both pair) sameHistory(ctx context.Context, compacted, now int64) error {
	keys := 0
	live, err := both[0].HashKV(ctx, both[0].Endpoints()[0], compacted)
	if err != nil {
		return err
	}
	// At a revision that it compacted itself, etcd repeats what it said before; restored, it cannot.
	remembered := live.CompactRevision != compacted
	for revision := compacted; revision <= now; revision++ {
		what := fmt.Sprintf("the keys at revision %d", revision)
		page, err := ask(both, what, func(c *clientv3.Client) (*clientv3.GetResponse, error) {
			return c.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(revision))
		}, func(page *clientv3.GetResponse) string {
			return fmt.Sprintf("%d of %d: %s", len(page.Kvs), page.Count, keyValues(page.Kvs))
		})
		if err != nil {
			return err
		}
		keys += len(page.Kvs)
		if revision == compacted && remembered {
			fmt.Println("restored: HashKV at the compacted revision is remembered from before: not compared")
			continue
		}
		what = fmt.Sprintf("HashKV at revision %d", revision)
		_, err = ask(both, what, func(c *clientv3.Client) (*clientv3.HashKVResponse, error) {
			return c.HashKV(ctx, c.Endpoints()[0], revision)
		}, func(h *clientv3.HashKVResponse) string {
			return fmt.Sprintf("%08x at %d above %d", h.Hash, h.HashRevision, h.CompactRevision)
		})
		if err != nil {
			return err
		}
	}
	fmt.Printf("restored: %d keys with values, versions and leases at %d revisions, and HashKV at each\n",
		keys, now-compacted+1)
	return nil
}

// sameEvents watches everything from a past revision up to now.
func (both pair) sameEvents(ctx context.Context, from, now int64) error {
	events, err := ask(both, "a watch from the past", func(c *clientv3.Client) ([]string, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var events []string
		watch := c.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithPrevKV())
		for response := range watch {
			if err := response.Err(); err != nil {
				return nil, err
			}
			for _, event := range response.Events {
				before := []*mvccpb.KeyValue{event.Kv}
				if event.PrevKv != nil {
					before = append(before, event.PrevKv)
				}
				events = append(events, fmt.Sprint(event.Type, keyValues(before)))
			}
			if last := len(response.Events); last > 0 && response.Events[last-1].Kv.ModRevision == now {
				return events, nil
			}
		}
		return nil, fmt.Errorf("the watch ended: %w", ctx.Err())
	}, func(events []string) string { return fmt.Sprint(events) })
	if err == nil {
		fmt.Printf("restored: %d events of a watch from revision %d\n", len(events), from)
	}
	return err
}

func (both pair) sameLeases(ctx context.Context) error {
	_, err := ask(both, "the leases", func(c *clientv3.Client) ([]string, error) {
		all, err := c.Leases(ctx)
		if err != nil {
			return nil, err
		}
		var found []string
		for _, lease := range all.Leases {
			one, err := c.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
			if err != nil {
				return nil, err
			}
			if one.TTL <= 0 || one.TTL > one.GrantedTTL {
				return nil, fmt.Errorf("lease %x has %d of %d seconds", lease.ID, one.TTL, one.GrantedTTL)
			}
			// etcd gives the keys in no order.
			sort.Slice(one.Keys, func(a, b int) bool { return string(one.Keys[a]) < string(one.Keys[b]) })
			found = append(found, fmt.Sprintf("%x %d %q", uint64(lease.ID), one.GrantedTTL, one.Keys))
		}
		sort.Strings(found)
		if len(found) != len(leases) {
			return nil, fmt.Errorf("%d leases were granted, there are %q", len(leases), found)
		}
		return found, nil
	}, func(found []string) string { return fmt.Sprint(found) })
	if err == nil {
		fmt.Printf("restored: %d leases, their times and keys\n", len(leases))
	}
	return err
}

func (both pair) sameAlarms(ctx context.Context) error {
	alarms, err := ask(both, "the alarms", func(c *clientv3.Client) (*clientv3.AlarmResponse, error) {
		return c.AlarmList(ctx)
	}, func(r *clientv3.AlarmResponse) string { return fmt.Sprint(r.Alarms) })
	if err == nil {
		fmt.Printf("restored: alarms %v\n", alarms.Alarms)
	}
	return err
}

func (both pair) sameAuth(ctx context.Context) error {
	_, err := ask(both, "the auth status", func(c *clientv3.Client) (*clientv3.AuthStatusResponse, error) {
		return c.AuthStatus(ctx)
	}, func(r *clientv3.AuthStatusResponse) string { return fmt.Sprint(r.Enabled, r.AuthRevision) })
	if err != nil {
		return err
	}
	users, err := ask(both, "the users", func(c *clientv3.Client) (*clientv3.AuthUserListResponse, error) {
		return c.UserList(ctx)
	}, func(r *clientv3.AuthUserListResponse) string { return fmt.Sprint(r.Users) })
	if err != nil {
		return err
	}
	for _, user := range users.Users {
		_, err := ask(both, "user "+user, func(c *clientv3.Client) (*clientv3.AuthUserGetResponse, error) {
			return c.UserGet(ctx, user)
		}, func(r *clientv3.AuthUserGetResponse) string { return fmt.Sprint(r.Roles) })
		if err != nil {
			return err
		}
	}
	roles, err := ask(both, "the roles", func(c *clientv3.Client) (*clientv3.AuthRoleListResponse, error) {
		return c.RoleList(ctx)
	}, func(r *clientv3.AuthRoleListResponse) string { return fmt.Sprint(r.Roles) })
	if err != nil {
		return err
	}
	for _, role := range roles.Roles {
		_, err := ask(both, "role "+role, func(c *clientv3.Client) (*clientv3.AuthRoleGetResponse, error) {
			return c.RoleGet(ctx, role)
		}, func(r *clientv3.AuthRoleGetResponse) string { return fmt.Sprint(r.Perm) })
		if err != nil {
			return err
		}
	}
	fmt.Printf("restored: users %v, roles %v\n", users.Users, roles.Roles)
	return nil
}

// goOn ends the alarm and writes: the next revision is the same.
func (both pair) goOn(ctx context.Context, now int64) error {
	_, err := ask(both, "the next revision", func(c *clientv3.Client) (int64, error) {
		if _, err := c.Put(ctx, "next", ""); err != rpctypes.ErrNoSpace {
			return 0, fmt.Errorf("a put in spite of the alarm: %v", err)
		}
		alarm := clientv3.AlarmMember{MemberID: member, Alarm: 1}
		if _, err := c.AlarmDisarm(ctx, &alarm); err != nil {
			return 0, err
		}
		put, err := c.Put(ctx, "next", "")
		if err != nil {
			return 0, err
		}
		if put.Header.Revision != now+1 {
			return 0, fmt.Errorf("revision %d follows %d", put.Header.Revision, now)
		}
		return put.Header.Revision, nil
	}, func(revision int64) string { return fmt.Sprint(revision) })
	if err == nil {
		fmt.Printf("restored: the next put is revision %d\n", now+1)
	}
	return err
}

// limited has a user with a password and few rights ask the restored etcd.
func limited(ctx context.Context, restored *store.Server) error {
	client, err := connect(restored, "ann")
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := client.Get(ctx, "key/", clientv3.WithPrefix()); err != nil {
		return fmt.Errorf("what a user may read: %w", err)
	}
	if _, err := client.Put(ctx, "key/00", ""); err != rpctypes.ErrPermissionDenied {
		return fmt.Errorf("what a user may not write: %v", err)
	}
	fmt.Println("restored: a user's password and rights")
	return nil
}
