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
	"strings"
)

// Options says what to run and how large.
type Options struct {
	Etcd, Meridian, Tool string
	Keys                 int
	Requests             int
	Rounds               int
	Only                 string
	Out                  string
}

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
	flag.IntVar(&o.Keys, "keys", 500_000, "keys of 64 + 512 bytes in the large store")
	flag.IntVar(&o.Requests, "requests", 100_000, "requests of each throughput scenario")
	flag.IntVar(&o.Rounds, "rounds", 3, "rounds; the median of each figure is reported")
	flag.StringVar(&o.Only, "only", "", "run only the scenarios whose name contains this")
	flag.StringVar(&o.Out, "out", "", "write the table and chart into this folder (docs)")
	flag.Parse()

	table := NewTable()
	for round := 1; round <= o.Rounds; round++ {
		for _, target := range targets(o) {
			log.Printf("round %d of %d: %s", round, o.Rounds, target.Name)
			if err := runAll(o, target, table); err != nil {
				log.Fatalf("%s: %v", target.Name, err)
			}
		}
	}
	text := header(o) + table.Markdown()
	fmt.Println(text)
	if o.Out != "" {
		if err := table.Write(o.Out, text); err != nil {
			log.Fatal(err)
		}
	}
}

func targets(o Options) []Target {
	return []Target{{Name: "etcd", Path: o.Etcd}, {Name: "meridian", Path: o.Meridian}}
}

// runAll runs every scenario of the small and the large store against one server.
func runAll(o Options, target Target, table *Table) error {
	for _, group := range []struct {
		name      string
		scenarios []Scenario
	}{{"small", smallStore(o)}, {"large", largeStore(o)}} {
		dir, err := os.MkdirTemp("", "bench-"+target.Name)
		if err != nil {
			return err
		}
		err = runGroup(o, target, dir, group.scenarios, table)
		os.RemoveAll(dir)
		if err != nil {
			return fmt.Errorf("%s store: %w", group.name, err)
		}
	}
	return nil
}

func runGroup(o Options, target Target, dir string, scenarios []Scenario, table *Table) error {
	server, err := Start(target, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer server.Stop()
	for _, s := range scenarios {
		if o.Only != "" && !s.Setup && !strings.Contains(s.Name, o.Only) {
			continue
		}
		figures, err := s.Run(server)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		for _, f := range figures {
			log.Printf("  %-34s %12.4g %s", s.Name+" "+f.Name, f.Value, f.Unit)
			table.Add(target.Name, s.Name, f)
		}
	}
	return nil
}

func header(o Options) string {
	return fmt.Sprintf("%d cores shared by server and load; %d keys of 64 B + 512 B in the large store; median of %d rounds.\n\n",
		runtime.NumCPU(), o.Keys, o.Rounds) + versions(o.Etcd, o.Meridian)
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
