package main

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"conformance/store"
)

// traffic does a little of everything, so that what counts has something to count, and then looks, while its client and
// the client's watch are still there: how soon a server notices that they have gone is its own matter.
func traffic(server *store.Server, look func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint}})
	if err != nil {
		return err
	}
	defer client.Close()
	events := client.Watch(ctx, "key", clientv3.WithPrefix())
	lease, err := client.Grant(ctx, 60)
	if err != nil {
		return err
	}
	if err := write(ctx, client, lease.ID); err != nil {
		return err
	}
	for seen := 0; seen < 50; {
		select {
		case response := <-events:
			seen += len(response.Events)
		case <-ctx.Done():
			return fmt.Errorf("the watch saw %d events", seen)
		}
	}
	if _, err := client.KeepAliveOnce(ctx, lease.ID); err != nil {
		return err
	}
	if _, err := client.Revoke(ctx, lease.ID); err != nil {
		return err
	}
	if _, err := client.Compact(ctx, 20); err != nil {
		return err
	}
	if _, err := client.HashKV(ctx, server.Endpoint, 0); err != nil {
		return err
	}
	if _, err := client.Defragment(ctx, server.Endpoint); err != nil {
		return err
	}
	_, err = client.Get(ctx, "key", clientv3.WithRev(1))
	if err == nil {
		return fmt.Errorf("a compacted revision was read")
	}
	return look()
}

func write(ctx context.Context, client *clientv3.Client, lease clientv3.LeaseID) error {
	for i := range 50 {
		key := fmt.Sprintf("key/%d", i)
		unwritten := clientv3.Compare(clientv3.ModRevision(key), "=", 0)
		put := clientv3.OpPut(key, "value", clientv3.WithLease(lease))
		if _, err := client.Txn(ctx).If(unwritten).Then(put, clientv3.OpGet(key)).Commit(); err != nil {
			return err
		}
		if _, err := client.Put(ctx, "another", key); err != nil {
			return err
		}
		if _, err := client.Get(ctx, "key", clientv3.WithPrefix()); err != nil {
			return err
		}
	}
	_, err := client.Delete(ctx, "another")
	return err
}

// alarm raises one, or takes it back.
func alarm(server *store.Server, action pb.AlarmRequest_AlarmAction, kind pb.AlarmType) error {
	conn, err := server.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = pb.NewMaintenanceClient(conn).Alarm(ctx,
		&pb.AlarmRequest{Action: action, MemberID: 1, Alarm: kind})
	return err
}
