// Package client runs the official Go client, its recipes and etcdctl against one server: the
// one that STORE names, "etcd" or "meridian" (the default). ETCD and MERIDIAN give other paths
// to the binaries than bin/etcd and ../target/release/meridian. With REPLICAS=3 each test has a cluster of so many
// members instead, its client has all their endpoints, and who is killed is the leader; Meridian's are replicas
// on JOURNAL, postgres://….
package client

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"conformance/postgres/replicas"
	"conformance/store"
)

const testLimit = 40 * time.Second

// binary is the path of the server under test, or of the real etcd.
func binary(t *testing.T, name string) string {
	t.Helper()
	var variable, usual string
	switch name {
	case "etcd":
		variable, usual = "ETCD", "../bin/etcd"
	case "meridian":
		variable, usual = "MERIDIAN", "../../target/release/meridian"
	default:
		t.Fatalf("STORE is %q, neither etcd nor meridian", name)
	}
	if path := os.Getenv(variable); path != "" {
		usual = path
	}
	path, err := filepath.Abs(usual)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no %s: %v", name, err)
	}
	return path
}

func underTest() string {
	if name := os.Getenv("STORE"); name != "" {
		return name
	}
	return "meridian"
}

// served is what one test asks: a server, or the members of a cluster.
type served struct {
	Endpoints []string
	server    *store.Server
	set       *replicas.Set
}

// serve starts the server under test for one test.
func serve(t *testing.T, args ...string) *served {
	t.Helper()
	if count := os.Getenv("REPLICAS"); count != "" {
		return serveMany(t, count, args)
	}
	server, err := store.Start(store.Options{Binary: binary(t, underTest()), Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log ends with:\n%s", server.LogTail(10))
		}
		server.Remove()
	})
	return &served{Endpoints: []string{server.Endpoint}, server: server}
}

// serveMany starts a cluster of its own for one test.
func serveMany(t *testing.T, count string, args []string) *served {
	t.Helper()
	options := replicas.Options{Binary: binary(t, underTest()), Journal: os.Getenv("JOURNAL"), Args: args,
		Token: fmt.Sprintf("client-%d", time.Now().UnixNano())}
	if options.Journal == "" && underTest() == "meridian" {
		t.Fatal("replicas of Meridian want JOURNAL=postgres://…")
	}
	options.Count = must(strconv.Atoi(count))(t)
	set := must(replicas.Start(options))(t)
	t.Cleanup(func() {
		for _, each := range set.Replicas {
			if t.Failed() {
				t.Logf("the log of %s ends with:\n%s", each.Name, each.LogTail(10))
			}
		}
		if err := set.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &served{Endpoints: set.Endpoints(), set: set}
}

// bounce kills the server, or the member that leads, and starts it again.
func (s *served) bounce(t *testing.T, ctx context.Context) {
	t.Helper()
	server := s.server
	if s.set != nil {
		server = must(s.set.Writer(ctx))(t).Server
	}
	server.Kill()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
}

// connect opens an official client.
func connect(t *testing.T, server *served) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: server.Endpoints,
		DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// begin starts a server and a client, with the test's own deadline.
func begin(t *testing.T, args ...string) (context.Context, *clientv3.Client) {
	t.Helper()
	client := connect(t, serve(t, args...))
	return limited(t), client
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	t.Cleanup(cancel)
	return ctx
}

// must ends the test on an error.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func put(t *testing.T, ctx context.Context, client clientv3.KV, key, value string,
	options ...clientv3.OpOption) int64 {
	t.Helper()
	return must(client.Put(ctx, key, value, options...))(t).Header.Revision
}

func get(t *testing.T, ctx context.Context, client clientv3.KV, key string,
	options ...clientv3.OpOption) *clientv3.GetResponse {
	t.Helper()
	return must(client.Get(ctx, key, options...))(t)
}

func keysOf(reply *clientv3.GetResponse) string {
	text := ""
	for _, kv := range reply.Kvs {
		text += fmt.Sprintf("%s ", kv.Key)
	}
	return text
}
