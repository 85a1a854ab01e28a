// Command replicas runs the same load against Meridian with one and three replicas on PostgreSQL, a real etcd with three
// members, and kine on the same PostgreSQL, one after the other on one machine, and writes what each request cost and how
// they compare. A client that only inserts and commits shows what that PostgreSQL can do at all.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"conformance/postgres/cluster"
)

// Options says what to run and for how long.
type Options struct {
	Etcd, Kine, Meridian string
	Disk                 string
	Nodes                int
	Rounds               int
	Each                 time.Duration
	Targets              string
	Only                 string
	Out                  string
}

func main() {
	log.SetFlags(log.Ltime)
	var o Options
	flag.StringVar(&o.Etcd, "etcd", "../../conformance/bin/etcd", "etcd 3.7.1")
	flag.StringVar(&o.Kine, "kine", "../out/kine", "kine 0.17.5")
	flag.StringVar(&o.Meridian, "meridian", "../../target/release/meridian", "the server under test")
	flag.StringVar(&o.Disk, "disk", os.TempDir(), "where all data goes; syncs are real if it is a disk")
	flag.IntVar(&o.Nodes, "nodes", 3, "nodes of PostgreSQL: three with synchronous standbys, or one alone")
	flag.IntVar(&o.Rounds, "rounds", 3, "rounds; the median of each figure is reported")
	flag.DurationVar(&o.Each, "each", 5*time.Second, "how long each scenario lasts")
	flag.StringVar(&o.Targets, "targets", "insert,etcd,kine,meridian-1,meridian-3", "what is measured")
	flag.StringVar(&o.Only, "only", "", "only the scenarios whose name contains this")
	flag.StringVar(&o.Out, "out", "", "also write the table into this file")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	cancel()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, o Options) error {
	names := strings.Split(o.Targets, ",")
	for _, name := range names {
		if !slices.Contains(targets, name) {
			return fmt.Errorf("there is no target %q; there are %v", name, targets)
		}
	}
	for _, path := range []*string{&o.Etcd, &o.Kine, &o.Meridian, &o.Disk} {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	table := newTable(names)
	for round := 1; round <= o.Rounds; round++ {
		if err := runRound(ctx, o, round, names, table); err != nil {
			return err
		}
	}
	text := header(o) + table.markdown()
	fmt.Println(text)
	if o.Out != "" {
		return os.WriteFile(o.Out, []byte(text), 0o644)
	}
	return nil
}

// runRound measures every target once, on one fresh PostgreSQL, each in a database of its own.
func runRound(ctx context.Context, o Options, round int, names []string, table *table) error {
	database, err := cluster.Start(ctx, cluster.Options{TempDir: o.Disk, Nodes: o.Nodes,
		Settings: map[string]string{"max_connections": "600"}})
	if err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	defer database.Stop()
	for _, name := range names {
		log.Printf("round %d of %d: %s", round, o.Rounds, name)
		if err := measure(ctx, o, name, database, table); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func measure(ctx context.Context, o Options, name string, database *cluster.Cluster, table *table) error {
	t, err := start(ctx, o, name, database)
	if err != nil {
		return err
	}
	defer t.stop()
	for _, s := range scenarios {
		chosen := s.setup || strings.Contains(s.name, o.Only)
		if !chosen || slices.Contains(s.not, name) {
			continue
		}
		figures, err := s.run(ctx, t, o.Each)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		for _, f := range figures {
			log.Printf("  %-50s %12.4g %s", s.name+": "+f.name, f.value, f.unit)
			table.add(name, s.name, f)
		}
	}
	return nil
}
