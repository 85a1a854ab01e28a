package main

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/v3"

	"conformance/store"
)

// password is every user's.
const password = "secret"

// member is whose alarm is on: nobody's here.
const member = 77

// leases are there with these times to live; nothing belongs to the last.
var leases = map[int64]int64{7001: 3600, -7002: 7200, math.MinInt64 + 1: 100000, 7003: 1000}

func connect(server *store.Server, user string) (*clientv3.Client, error) {
	config := clientv3.Config{Endpoints: []string{server.Endpoint}, DialTimeout: 10 * time.Second}
	if user != "" {
		config.Username, config.Password = user, password
	}
	return clientv3.New(config)
}

// write makes a history with something of everything: keys that were overwritten, deleted and made
// again, transactions of several changes, leases with and without keys, a compaction at a deletion,
// users, roles and an alarm. The same seed is the same requests.
func write(server *store.Server, seed int64, requests int) error {
	client, err := connect(server, "")
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for id, ttl := range leases {
		request := &pb.LeaseGrantRequest{ID: id, TTL: ttl}
		if _, err := pb.NewLeaseClient(client.ActiveConnection()).LeaseGrant(ctx, request); err != nil {
			return err
		}
	}
	random := rand.New(rand.NewSource(seed))
	for n := range requests {
		if _, err := client.Do(ctx, change(random)); err != nil {
			return err
		}
		if n == requests/2 || n == requests*3/4 {
			if err := compactAtDeletion(ctx, client); err != nil {
				return err
			}
		}
	}
	if err := writeAuth(ctx, client); err != nil {
		return err
	}
	request := &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: member, Alarm: pb.AlarmType_NOSPACE}
	if _, err := pb.NewMaintenanceClient(client.ActiveConnection()).Alarm(ctx, request); err != nil {
		return err
	}
	_, err = client.AuthEnable(ctx)
	return err
}

// compactAtDeletion compacts at a revision that deletes a key, and after it is all carried out, writes on.
func compactAtDeletion(ctx context.Context, client *clientv3.Client) error {
	if _, err := client.Put(ctx, "deleted", "soon"); err != nil {
		return err
	}
	deleted, err := client.Delete(ctx, "deleted")
	if err != nil {
		return err
	}
	_, err = client.Compact(ctx, deleted.Header.Revision, clientv3.WithCompactPhysical())
	return err
}

func key(random *rand.Rand) string { return fmt.Sprintf("key/%02d", random.Intn(60)) }

// value is mostly short, sometimes empty, larger than a page, or than several.
func value(random *rand.Rand) string {
	size := random.Intn(300)
	switch random.Intn(20) {
	case 0:
		size = 0
	case 1:
		size = 3000 + random.Intn(9000)
	case 2:
		size = 200000
	}
	return strings.Repeat(string(rune('a'+random.Intn(26))), size)
}

func put(random *rand.Rand, key string) clientv3.Op {
	ids := []clientv3.LeaseID{7001, -7002, math.MinInt64 + 1}
	if random.Intn(4) == 0 {
		return clientv3.OpPut(key, value(random), clientv3.WithLease(ids[random.Intn(3)]))
	}
	return clientv3.OpPut(key, value(random))
}

func change(random *rand.Rand) clientv3.Op {
	switch random.Intn(10) {
	case 0:
		return clientv3.OpDelete(key(random))
	case 1:
		from := key(random)
		return clientv3.OpDelete(from, clientv3.WithRange(from+"0"))
	case 2:
		ops := []clientv3.Op{put(random, "txn/a"), put(random, "txn/b"), clientv3.OpDelete(key(random))}
		return clientv3.OpTxn(nil, ops, nil)
	default:
		return put(random, key(random))
	}
}

func writeAuth(ctx context.Context, client *clientv3.Client) error {
	steps := []func() error{
		func() error { _, err := client.RoleAdd(ctx, "root"); return err },
		func() error { _, err := client.RoleAdd(ctx, "empty"); return err },
		func() error { _, err := client.RoleAdd(ctx, "reader"); return err },
		grant(ctx, client, "reader", "key/", clientv3.GetPrefixRangeEnd("key/"), clientv3.PermRead),
		grant(ctx, client, "reader", "one", "", clientv3.PermReadWrite),
		grant(ctx, client, "reader", "open", "\x00", clientv3.PermWrite),
		func() error { _, err := client.UserAdd(ctx, "root", password); return err },
		func() error { _, err := client.UserAdd(ctx, "ann", password); return err },
		func() error {
			options := &clientv3.UserAddOptions{NoPassword: true}
			_, err := client.UserAddWithOptions(ctx, "certificate", "", options)
			return err
		},
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "ann", "reader"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "ann", "empty"); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func grant(ctx context.Context, client *clientv3.Client, role, from, to string, kind authpb.Permission_Type) func() error {
	return func() error {
		_, err := client.RoleGrantPermission(ctx, role, from, to, clientv3.PermissionType(kind))
		return err
	}
}
