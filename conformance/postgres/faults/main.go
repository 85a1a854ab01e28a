// Command faults runs three replicas on PostgreSQL under pg_auto_failover, or on an emulated account of Azure Cosmos DB (or
// three members of a real etcd, to judge this judge), strikes the writer, a replica, the database and the ways between them under load, and holds what every client
// was told against one history. It prints for how long writes, reads and watches paused.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"conformance/postgres/disk"
)

type settings struct {
	binary   string
	args     string
	roll     string
	held     string
	before   string
	journal  string
	cosmos   string
	disk     string
	only     string
	out      string
	seed     uint64
	rounds   int
	draw     int
	replicas int
	mixers   int
	paused   time.Duration
	keep     bool
	database bool
}

func main() {
	var s settings
	flag.StringVar(&s.binary, "binary", "../target/release/meridian", "the server's binary; a real etcd needs no PostgreSQL")
	flag.StringVar(&s.args, "args", "", "more arguments for it, separated by spaces")
	flag.StringVar(&s.roll, "roll", "", "no faults: every replica becomes this binary, the first again, and this one for good")
	flag.StringVar(&s.held, "roll-held", "--hold-level=1", "what keeps it at the level of the first")
	flag.StringVar(&s.before, "roll-before", "", "more arguments for the first; --hold-level=1 if both are the same binary")
	flag.StringVar(&s.journal, "journal", "", "an existing PostgreSQL; one is brought up if empty, which can be struck too")
	flag.StringVar(&s.cosmos, "cosmos", "", "on an emulated account of Azure Cosmos DB with this consistency, Strong or BoundedStaleness, instead")
	flag.StringVar(&s.disk, "disk", "", "where data goes; memory if empty")
	flag.StringVar(&s.only, "only", "", "only the faults whose name contains this, or one of these, separated by |")
	flag.StringVar(&s.out, "out", "", "also write the table into this file")
	flag.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()%1e9), "of what the clients draw")
	flag.IntVar(&s.rounds, "rounds", 1, "how often every fault happens")
	flag.IntVar(&s.draw, "draw", 0, "so many faults drawn by the seed, several at once, instead of each by itself")
	flag.IntVar(&s.replicas, "replicas", 3, "how many replicas")
	flag.IntVar(&s.mixers, "mixers", 4, "clients on each replica that share keys, beside its probes")
	flag.DurationVar(&s.paused, "paused", 15*time.Second, "how long the writer is stopped: longer than every time-out")
	flag.BoolVar(&s.database, "database", false, "bring up PostgreSQL beside a real etcd too, and strike it: what its failover takes by itself")
	flag.BoolVar(&s.keep, "keep", false, "keep data and logs")
	flag.Parse()
	if s.equipped() {
		if err := disk.Own(); err != nil {
			fmt.Printf("%v: what needs them is left out\n", err)
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := conduct(ctx, s)
	cancel()
	if err != nil {
		fmt.Printf("FAILED: %v\nrepeat with: go run ./postgres/faults -seed %d -binary %s -roll %q -only %q -draw %d -cosmos %q\n", err, s.seed, s.binary, s.roll, s.only, s.draw, s.cosmos)
		os.Exit(1)
	}
}

// wants tells whether a fault's name has one of the words.
func (s settings) wants(name string) bool {
	return slices.ContainsFunc(strings.Split(s.only, "|"), func(word string) bool { return strings.Contains(name, word) })
}

// equipped tells that proxies, disks and clocks of our own are needed for what is asked for.
func (s settings) equipped() bool {
	if s.roll != "" || s.journal != "" || s.cosmos != "" {
		return false
	}
	return s.draw > 0 || slices.ContainsFunc(faults, func(f fault) bool { return f.equips() && s.wants(f.name) })
}

// episodes are what happens in a round.
func (r *run) episodes() []fault {
	if r.roll != "" {
		return rolling(r.settings)
	}
	return r.possible()
}

// conduct brings everything up, runs all faults and reports.
func conduct(ctx context.Context, s settings) error {
	r, err := newRun(ctx, s)
	if err != nil {
		return err
	}
	defer r.close()
	fmt.Printf("seed %d: %d x %s\n", s.seed, s.replicas, r.version)
	each := r.inTurn
	if s.draw > 0 {
		each = r.byDraw
	}
	if err := each(ctx); err != nil {
		r.failed = true
		return err
	}
	if err := r.conclude(ctx); err != nil {
		r.failed = true
		return fmt.Errorf("after all faults: %w\n%s", err, r.tails())
	}
	if len(r.losses) > 0 {
		r.failed = true
	} else {
		fmt.Printf("%v\nnothing was lost, changed, reordered or invented\n\n", r.tally)
	}
	return errors.Join(r.report(), errors.Join(r.losses...))
}

// inTurn is every fault by itself, round after round.
func (r *run) inTurn(ctx context.Context) error {
	for round := range r.rounds {
		for _, f := range r.episodes() {
			if !r.wants(f.name) {
				continue
			}
			if reason := f.unfit(r); reason != "" {
				if round == 0 {
					fmt.Printf("%-40s left out: %s\n", f.name, reason)
				}
				continue
			}
			if err := r.perform(ctx, f); err != nil {
				return fmt.Errorf("round %d, %s: %w\n%s", round+1, f.name, err, r.tails())
			}
		}
	}
	if len(r.rows) == 0 {
		return fmt.Errorf("no fault is called %q", r.only)
	}
	return nil
}

// versionOf is what the binary calls itself, and whether it is a real etcd.
func versionOf(binary string) (name string, real bool, err error) {
	said, err := exec.Command(binary, "--version").Output()
	if err != nil {
		return "", false, fmt.Errorf("%s --version: %w", binary, err)
	}
	for line := range strings.Lines(string(said)) {
		if version, ok := strings.CutPrefix(line, "Meridian Version: "); ok {
			return "Meridian " + strings.TrimSpace(version), false, nil
		}
	}
	first, _, _ := strings.Cut(string(said), "\n")
	return strings.Replace(strings.TrimSpace(first), " Version:", "", 1), true, nil
}
