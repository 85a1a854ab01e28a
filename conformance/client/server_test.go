// Package client runs the official Go client, its recipes and etcdctl against one server: the
// one that STORE names, "etcd" or "meridian" (the default). ETCD and MERIDIAN give other paths
// to the binaries than bin/etcd and ../target/release/meridian.
package client

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

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

// serve starts the server under test for one test.
func serve(t *testing.T, args ...string) *store.Server {
	t.Helper()
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
	return server
}

// connect opens an official client.
func connect(t *testing.T, server *store.Server) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint},
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
