package client

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

var prefix = clientv3.WithPrefix()

func TestGetOptions(t *testing.T) {
	ctx, client := begin(t)
	revisions := map[string]int64{}
	for _, key := range []string{"b", "a", "d", "c", "a"} {
		revisions[key] = put(t, ctx, client, "k/"+key, "value of "+key)
	}
	cases := []struct {
		name    string
		key     string
		want    string
		options []clientv3.OpOption
	}{
		{"prefix", "k/", "k/a k/b k/c k/d ", []clientv3.OpOption{prefix}},
		{"limit", "k/", "k/a k/b ", []clientv3.OpOption{prefix, clientv3.WithLimit(2)}},
		{"range", "k/b", "k/b k/c ", []clientv3.OpOption{clientv3.WithRange("k/d")}},
		{"from key", "k/c", "k/c k/d ", []clientv3.OpOption{clientv3.WithFromKey()}},
		{"everything", "", "k/a k/b k/c k/d ", []clientv3.OpOption{clientv3.WithFromKey()}},
		{"descending", "k/", "k/d k/c k/b k/a ", []clientv3.OpOption{prefix,
			clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend)}},
		{"by mod revision", "k/", "k/b k/d k/c k/a ", []clientv3.OpOption{prefix,
			clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortAscend)}},
		{"by creation", "k/", "k/b k/a k/d k/c ", []clientv3.OpOption{prefix,
			clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend)}},
		{"by version", "k/", "k/a ", []clientv3.OpOption{prefix, clientv3.WithLimit(1),
			clientv3.WithSort(clientv3.SortByVersion, clientv3.SortDescend)}},
		{"by value", "k/", "k/d ", []clientv3.OpOption{prefix, clientv3.WithLimit(1),
			clientv3.WithSort(clientv3.SortByValue, clientv3.SortDescend)}},
		{"last key", "k/", "k/d ", clientv3.WithLastKey()},
		{"first created", "k/", "k/b ", clientv3.WithFirstCreate()},
		{"min mod revision", "k/", "k/a k/c ", []clientv3.OpOption{prefix,
			clientv3.WithMinModRev(revisions["c"])}},
		{"max creation", "k/", "k/a k/b ", []clientv3.OpOption{prefix,
			clientv3.WithMaxCreateRev(revisions["b"] + 1)}},
		{"in the past", "k/", "k/b ", []clientv3.OpOption{prefix, clientv3.WithRev(revisions["b"])}},
		{"serializable", "k/a", "k/a ", []clientv3.OpOption{clientv3.WithSerializable()}},
	}
	for _, each := range cases {
		if got := keysOf(get(t, ctx, client, each.key, each.options...)); got != each.want {
			t.Errorf("%s: %q, want %q", each.name, got, each.want)
		}
	}
	counted := get(t, ctx, client, "k/", prefix, clientv3.WithCountOnly())
	if counted.Count != 4 || len(counted.Kvs) != 0 {
		t.Errorf("count only: %v", counted)
	}
	for _, kv := range get(t, ctx, client, "k/", prefix, clientv3.WithKeysOnly()).Kvs {
		if len(kv.Value) != 0 || kv.ModRevision != revisions[string(kv.Key[2:])] {
			t.Errorf("keys only: %v", kv)
		}
	}
}

func TestPagesShowOneRevisionWhileWritesGoOn(t *testing.T) {
	ctx, client := begin(t)
	const keys, page = 1000, 37
	for n := range keys {
		put(t, ctx, client, fmt.Sprintf("p/%04d", n), "before")
	}
	var stop atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		for n := 0; !stop.Load(); n++ {
			if _, err := client.Put(ctx, fmt.Sprintf("p/%04d", n*7%1500), "after"); err != nil {
				t.Error(err)
			}
			if _, err := client.Delete(ctx, fmt.Sprintf("p/%04d", n*13%1500)); err != nil {
				t.Error(err)
			}
		}
	})
	defer done.Wait()
	defer stop.Store(true)
	first := get(t, ctx, client, "p/", prefix, clientv3.WithLimit(page))
	at, total := first.Header.Revision, first.Count
	whole := get(t, ctx, client, "p/", prefix, clientv3.WithRev(at))
	reply, all := first, first.Kvs
	for reply.More {
		next := string(all[len(all)-1].Key) + "\x00"
		reply = get(t, ctx, client, next, clientv3.WithRange("p0"), clientv3.WithLimit(page),
			clientv3.WithRev(at))
		if reply.Header.Revision < at || reply.Count != total-int64(len(all)) {
			t.Fatalf("a page of %d with count %d after %d", total, reply.Count, len(all))
		}
		all = append(all, reply.Kvs...)
	}
	if int64(len(all)) != total || len(whole.Kvs) != len(all) {
		t.Fatalf("%d keys in pages, %d at once, count %d", len(all), len(whole.Kvs), total)
	}
	for i, kv := range all {
		if kv.String() != whole.Kvs[i].String() || kv.ModRevision > at {
			t.Fatalf("page has %v, the whole %v", kv, whole.Kvs[i])
		}
	}
}

func TestBigValues(t *testing.T) {
	ctx, client := begin(t)
	const count = 6
	value := strings.Repeat("v", 1400<<10)
	for n := range count {
		put(t, ctx, client, fmt.Sprintf("big/%d", n), value)
	}
	reply := get(t, ctx, client, "big/", prefix)
	for _, kv := range reply.Kvs {
		if string(kv.Value) != value {
			t.Fatalf("%s came back with %d bytes", kv.Key, len(kv.Value))
		}
	}
	if len(reply.Kvs) != count {
		t.Fatalf("%d values", len(reply.Kvs))
	}
	_, err := client.Put(ctx, "big", strings.Repeat("v", 1600<<10))
	if !errors.Is(err, rpctypes.ErrRequestTooLarge) {
		t.Errorf("1.6 MiB: %v", err)
	}
	if _, err = client.Put(ctx, "big", strings.Repeat("v", 3<<20)); err == nil ||
		!strings.Contains(err.Error(), "larger than max") {
		t.Errorf("3 MiB: %v", err)
	}
}

func TestTransactions(t *testing.T) {
	ctx, client := begin(t)
	created := must(client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision("k"), "=", 0)).
		Then(clientv3.OpPut("k", "1")).Else(clientv3.OpGet("k")).Commit())(t)
	again := must(client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision("k"), "=", 0)).
		Then(clientv3.OpPut("k", "2")).Else(clientv3.OpGet("k")).Commit())(t)
	if !created.Succeeded || again.Succeeded ||
		string(again.Responses[0].GetResponseRange().Kvs[0].Value) != "1" {
		t.Fatalf("%v, %v", created, again)
	}
	nested := must(client.Txn(ctx).Then(clientv3.OpPut("a", "1"), clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.Value("k"), "=", "1")},
		[]clientv3.Op{clientv3.OpGet("a"), clientv3.OpDelete("k", clientv3.WithPrevKV())}, nil)).Commit())(t)
	inner := nested.Responses[1].GetResponseTxn()
	if !inner.Succeeded || len(inner.Responses[0].GetResponseRange().Kvs) != 1 ||
		inner.Responses[1].GetResponseDeleteRange().Deleted != 1 {
		t.Fatalf("%v", nested)
	}
	_, err := client.Txn(ctx).Then(clientv3.OpPut("a", "1"), clientv3.OpPut("a", "2")).Commit()
	if !errors.Is(err, rpctypes.ErrDuplicateKey) {
		t.Errorf("%v", err)
	}
}
