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
	flag.StringVar(&o.Only, "only", "", "run only the scenarios whose name contains this, in capitals or not")
	flag.StringVar(&o.Out, "out", "", "write the table and chart into this folder (docs)")
	flag.Parse()
	checkOut(o.Out)

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
		return table.Write(o.Out, text)
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
}

// runAll runs every scenario of the small stores and the large one against one server.
func runAll(o Options, target Target, certificates *Certificates, table *Table) error {
	for _, g := range []group{
		{"small", nil, smallStore(o)},
		{"small TLS", certificates, tlsStore(o)},
		{"large", nil, largeStore(o)},
	} {
		if !slices.ContainsFunc(g.scenarios, o.chosen) {
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
		if !s.Setup && !o.chosen(s) {
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
