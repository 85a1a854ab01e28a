// Command bench runs the same load against etcd and Meridian, one after the other on the same
// machine, and writes the ratios. The load generator shares the cores with the server, so the
// server's CPU time per request is the figure that counts; throughput and latency stand beside it.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Options says what to run and how large.
type Options struct {
	Etcd, Meridian, Tool string
	Etcdutl              string
	Keys                 int
	Requests             int
	Rounds               int
	Only                 string
	Out                  string
	// SnapshotSize is the bytes of values in the store that snapshots are taken of, RestoreKeys the keys
	// in the one that is restored.
	SnapshotSize int64
	RestoreKeys  int
	// snapshot is the file to restore, made once a run.
	snapshot string
}

// apart are the measurements that run only when -only is exactly their name, and have a table of their own.
var apart = []string{"auth", "snapshot", "restore"}

func main() {
	log.SetFlags(log.Ltime)
	if len(os.Args) > 1 && os.Args[1] == "size" {
		sizeMain(os.Args[2:])
		return
	}
	var o Options
	flag.StringVar(&o.Etcd, "etcd", "../conformance/bin/etcd", "etcd 3.7.1")
	flag.StringVar(&o.Meridian, "meridian", "../target/release/meridian", "the server under test")
	flag.StringVar(&o.Tool, "benchmark", "../conformance/bin/benchmark", "etcd's own benchmark tool")
	flag.StringVar(&o.Etcdutl, "etcdutl", "../conformance/bin/etcdutl", "etcdutl 3.7.1")
	flag.Int64Var(&o.SnapshotSize, "snapshot-size", 1<<30, "bytes of values, for -only snapshot")
	flag.IntVar(&o.RestoreKeys, "restore-keys", 1_000_000, "keys, for -only restore")
	flag.IntVar(&o.Keys, "keys", 500_000, "keys of 64 + 512 bytes in the large store")
	flag.IntVar(&o.Requests, "requests", 100_000, "requests of each throughput scenario")
	flag.IntVar(&o.Rounds, "rounds", 3, "rounds; the median of each figure is reported")
	flag.StringVar(&o.Only, "only", "", "run only the scenarios whose name contains this, in capitals or not; auth, snapshot and restore run only so")
	flag.StringVar(&o.Out, "out", "", "write the table and chart into this folder (docs)")
	flag.Parse()
	checkOut(o.Out)

	if err := checkMarks(o); err != nil {
		log.Fatal(err)
	}
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

// checkOut ends the program if there is no such folder: better now than after the measuring.
func checkOut(folder string) {
	if folder == "" {
		return
	}
	if about, err := os.Stat(folder); err != nil || !about.IsDir() {
		log.Fatalf("-out %s: no such folder, seen from bench/; for the documentation say -out ../docs", folder)
	}
}

// run measures every round with the same certificates, and reports.
func run(o Options) error {
	dir, err := os.MkdirTemp("", "bench-certificates")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	certificates, err := NewCertificates(dir)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if o.Only == "restore" {
		log.Printf("an etcd of %d keys is made, to be restored from", o.RestoreKeys)
		if o.snapshot, err = makeSnapshot(o, dir); err != nil {
			return fmt.Errorf("the snapshot to restore: %w", err)
		}
	}
	table := NewTable()
	for round := 1; round <= o.Rounds; round++ {
		for _, target := range targets(o) {
			log.Printf("round %d of %d: %s", round, o.Rounds, target.Name)
			if err := runAll(o, target, certificates, table); err != nil {
				return fmt.Errorf("%s: %w", target.Name, err)
			}
		}
	}
	text := header(o) + table.Markdown()
	fmt.Println(text)
	if o.Out != "" {
		return table.Write(o, text)
	}
	return nil
}

func targets(o Options) []Target {
	return []Target{{Name: "etcd", Path: o.Etcd}, {Name: "meridian", Path: o.Meridian}}
}

// group is a server's life: its scenarios follow one another on one store.
type group struct {
	name         string
	certificates *Certificates
	scenarios    []Scenario
	// apart is the one -only that runs it, if it does not run with the others.
	apart string
}

// runs says whether anything of the group is to be measured.
func (g group) runs(o Options) bool {
	if slices.Contains(apart, o.Only) || g.apart != "" {
		return g.apart == o.Only
	}
	return slices.ContainsFunc(g.scenarios, o.chosen)
}

// runAll runs every scenario of the small stores and the large one against one server.
func runAll(o Options, target Target, certificates *Certificates, table *Table) error {
	for _, g := range []group{
		{"small", nil, smallStore(o), ""},
		{"small TLS", certificates, tlsStore(o), ""},
		{"large", nil, largeStore(o), ""},
		{"users", nil, authStore(o, ""), "auth"},
		{"users TLS", certificates, authStore(o, " over mutual TLS"), "auth"},
		{"snapshot", nil, snapshotStore(o), "snapshot"},
		{"restored", nil, restoreStore(o), "restore"},
	} {
		if !g.runs(o) {
			continue
		}
		dir, err := os.MkdirTemp("", "bench-"+target.Name)
		if err != nil {
			return err
		}
		err = runGroup(o, target, dir, g, table)
		os.RemoveAll(dir)
		if err != nil {
			return fmt.Errorf("%s store: %w", g.name, err)
		}
	}
	return nil
}

// chosen says whether -only lets a scenario run for its own sake.
func (o Options) chosen(s Scenario) bool {
	return strings.Contains(strings.ToLower(s.Name), strings.ToLower(o.Only))
}

func runGroup(o Options, target Target, dir string, g group, table *Table) error {
	server, err := Start(target, filepath.Join(dir, "data"), g.certificates)
	if err != nil {
		return err
	}
	defer server.Stop()
	for _, s := range g.scenarios {
		if !s.Setup && g.apart == "" && !o.chosen(s) {
			continue
		}
		figures, err := s.Run(server)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		for _, f := range figures {
			log.Printf("  %-46s %12.4g %s", s.Name+" "+f.Name, f.Value, f.Unit)
			table.Add(target.Name, s.Name, f)
		}
	}
	return nil
}

func header(o Options) string {
	store := fmt.Sprintf("%d keys of 64 B + 512 B in the large store", o.Keys)
	switch o.Only {
	case "auth":
		store = fmt.Sprintf("%d keys of 64 B + 256 B, %d requests of each kind in %d turns", space, o.Requests, turns)
	case "snapshot":
		store = fmt.Sprintf("%d MB of values of %d B", o.SnapshotSize/1e6, snapshotValue)
	case "restore":
		store = fmt.Sprintf("%d keys of 64 B + 512 B in etcd's snapshot", o.RestoreKeys)
	}
	return fmt.Sprintf("%d cores shared by server and load; %s; median of %d rounds.\n\n",
		runtime.NumCPU(), store, o.Rounds) + versions(o.Etcd, o.Meridian)
}

// versions is what both servers say of themselves.
func versions(etcd, meridian string) string {
	version := func(path string) string {
		out, err := exec.Command(path, "--version").Output()
		if err != nil {
			return path + ": " + err.Error()
		}
		return strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "; ")
	}
	return fmt.Sprintf("* etcd: %s\n* Meridian: %s\n\n", version(etcd), version(meridian))
}
