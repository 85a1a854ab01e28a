// Snapshot judges a server's `Maintenance.Snapshot`: the file it streams is, but for what tells one
// server from another, entry by entry the file that a real etcd makes of the same requests; bbolt and
// etcdutl find nothing wrong with it; and an etcd restored from it answers as the server does.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"conformance/store"
)

// settings are the command line.
type settings struct {
	server, bin string
	seed        int64
	requests    int
}

func main() {
	var s settings
	flag.StringVar(&s.server, "server", "../../target/release/meridian", "the server to judge")
	flag.StringVar(&s.bin, "bin", "../bin", "where etcd, etcdctl, etcdutl and bbolt are")
	flag.Int64Var(&s.seed, "seed", 1, "of the requests")
	flag.IntVar(&s.requests, "requests", 1000, "how many requests that write")
	flag.Parse()
	if err := judge(s); err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("the snapshot is etcd's")
}

// tool is the path of one of etcd's binaries.
func (s settings) tool(name string) string { return filepath.Join(s.bin, name) }

// side is one server and the snapshot it gave.
type side struct {
	name     string
	server   *store.Server
	snapshot string
}

func judge(s settings) error {
	ours, err := take(s, "the server", s.server)
	if err != nil {
		return err
	}
	defer ours.server.Remove()
	reference, err := take(s, "etcd", s.tool("etcd"))
	if err != nil {
		return err
	}
	defer reference.server.Remove()
	if err := judgeFile(s, ours, reference); err != nil {
		return err
	}
	restored, err := restore(s, ours)
	if err != nil {
		return fmt.Errorf("an etcd restored from %s: %w", ours.snapshot, err)
	}
	defer restored.Remove()
	return judgeRestored(ours.server, restored)
}

// take starts a server, gives it the requests, and saves its snapshot.
func take(s settings, name, binary string) (*side, error) {
	server, err := store.Start(store.Options{Binary: binary, SameIdentity: true})
	if err != nil {
		return nil, err
	}
	taken := &side{name: name, server: server, snapshot: filepath.Join(server.Dir, "snapshot.db")}
	if err := write(server, s.seed, s.requests); err != nil {
		server.Remove()
		return nil, fmt.Errorf("writing to %s: %w", name, err)
	}
	_, err = run(s.tool("etcdctl"), "--endpoints="+server.Endpoint, "--user=root:"+password,
		"snapshot", "save", taken.snapshot)
	if err != nil {
		server.Remove()
		return nil, fmt.Errorf("saving the snapshot of %s: %w", name, err)
	}
	return taken, nil
}

// restore makes an etcd of a snapshot, with the identity that the others have, and starts it.
func restore(s settings, from *side) (*store.Server, error) {
	dir, err := os.MkdirTemp(store.TempDir(), "conformance-")
	if err != nil {
		return nil, err
	}
	const peers = "http://127.0.0.1:32380"
	_, err = run(s.tool("etcdutl"), "snapshot", "restore", from.snapshot,
		"--data-dir="+filepath.Join(dir, "data"), "--name=conformance",
		"--initial-cluster=conformance="+peers, "--initial-advertise-peer-urls="+peers,
		"--initial-cluster-token=conformance")
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	server, err := store.Start(store.Options{Binary: s.tool("etcd"), Dir: dir, SameIdentity: true})
	if err != nil {
		os.RemoveAll(dir)
	}
	return server, err
}
