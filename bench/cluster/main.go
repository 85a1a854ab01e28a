// Command cluster puts the load of a Kubernetes cluster of many nodes on etcd and on Meridian, in
// turns, in one run: a real API server, controller manager and scheduler, with kwok in the place of
// the kubelets. It compares what the API server and the kernel measured, and first of all whether
// both stores were given the same work.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options are what the person asked for on the command line.
type options struct {
	etcd, meridian, bin  string
	rounds               int
	nodes, pods          int
	fill, steady, change time.Duration
	rollout              float64
	controllers          int
	tls                  string
	only                 string
	limit                time.Duration
	out, json, logs      string
	keep                 bool
}

func parseOptions() (options, error) {
	var o options
	flag.StringVar(&o.etcd, "etcd", "../../conformance/bin/etcd", "etcd 3.7.1")
	flag.StringVar(&o.meridian, "meridian", "../../target/release/meridian", "the store under test")
	flag.StringVar(&o.bin, "bin", "../../conformance/bin", "directory of kube-* and kwok")
	flag.IntVar(&o.rounds, "rounds", 2, "rounds; each runs both stores, in alternating order")
	flag.IntVar(&o.nodes, "nodes", 1000, "nodes that kwok plays")
	flag.IntVar(&o.pods, "pods", 1500, "pods, rounded to whole deployments")
	flag.DurationVar(&o.fill, "fill", 100*time.Second, "length of the phase that fills the cluster")
	flag.DurationVar(&o.steady, "steady", 80*time.Second, "length of the steady phase")
	flag.DurationVar(&o.change, "change", 60*time.Second, "length of the rollout phase")
	flag.Float64Var(&o.rollout, "rollout", 0.33, "share of the deployments that are rolled over")
	flag.IntVar(&o.controllers, "controllers", 3, "clients with an informer on every kind")
	flag.StringVar(&o.tls, "tls", "auto", "mutual TLS to the store: on, off, auto (if both can)")
	flag.StringVar(&o.only, "only", "", "run one store alone (etcd, meridian); compares nothing")
	flag.DurationVar(&o.limit, "limit", 20*time.Minute,
		"begin no round that would not end before this, and end by then in any case")
	flag.StringVar(&o.out, "out", "", "write cluster.md and cluster.json into this folder (docs)")
	flag.StringVar(&o.json, "json", "", "write the figures of every round into this file")
	flag.StringVar(&o.logs, "logs", "", "keep logs in this folder (default: a temporary one)")
	flag.BoolVar(&o.keep, "keep", false, "keep logs and data even if all went well")
	flag.Parse()
	for _, path := range []*string{&o.etcd, &o.meridian, &o.bin, &o.out, &o.json, &o.logs} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return o, err
		}
		*path = absolute
	}
	return o, o.check()
}

// check says what is missing or cannot be before anything is started.
func (o options) check() error {
	if o.rounds < 1 || o.nodes < 1 || o.pods < replicas || o.rollout < 0 || o.rollout > 1 {
		return errors.New("rounds, nodes and pods must be positive, rollout between 0 and 1")
	}
	w := newWorkload(o, &plane{})
	if w.deployments <= w.rolling()+w.scaling() {
		return fmt.Errorf("of %d deployments %d roll over and %d are scaled: none is left to rest",
			w.deployments, w.rolling(), w.scaling())
	}
	if o.tls != "on" && o.tls != "off" && o.tls != "auto" {
		return fmt.Errorf("-tls is on, off or auto, not %q", o.tls)
	}
	needed := []string{o.etcd, o.meridian}
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler",
		"kwok"} {
		needed = append(needed, filepath.Join(o.bin, name))
	}
	for _, path := range needed {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w (run.sh builds what is missing)", err)
		}
	}
	return nil
}

// target is a store's binary that takes etcd's flags.
type target struct{ name, path string }

// order is that of one round: every second one begins with the other store, so that whatever
// drifts with time does not always meet the same one.
func (o options) order(round int) []target {
	both := []target{{"etcd", o.etcd}, {"meridian", o.meridian}}
	if round%2 == 0 {
		both[0], both[1] = both[1], both[0]
	}
	var chosen []target
	for _, t := range both {
		if o.only == "" || o.only == t.name {
			chosen = append(chosen, t)
		}
	}
	return chosen
}

func main() {
	log.SetFlags(log.Ltime)
	o, err := parseOptions()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = conduct(ctx, o)
	cancel()
	if err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

// conduct runs every round and publishes those that are whole, also when a later one fails; every
// child is gone when it returns.
func conduct(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errors.New("-limit is over"))
	defer cancel()
	base := o.logs
	var err error
	if base == "" {
		if base, err = os.MkdirTemp("", "cluster-load-"); err != nil {
			return err
		}
	}
	log.Printf("logs in %s", base)
	secure, err := decideTLS(ctx, o, base)
	if err != nil {
		return err
	}
	r := &results{options: o, tls: secure, began: time.Now()}
	failed := r.runRounds(ctx, base)
	r.took = time.Since(r.began)
	if r.rounds == 0 {
		return failed
	}
	if err := errors.Join(failed, r.publish()); err != nil {
		return err
	}
	if !o.keep && o.logs == "" {
		return os.RemoveAll(base)
	}
	return nil
}

// runRounds runs as many rounds as were asked for and fit into the limit.
func (r *results) runRounds(ctx context.Context, base string) error {
	end, _ := ctx.Deadline()
	for round := 1; round <= r.options.rounds; round++ {
		began := time.Now()
		whole := map[string][]*window{}
		for _, t := range r.options.order(round) {
			log.Printf("round %d of %d: %s", round, r.options.rounds, t.name)
			dir := filepath.Join(base, fmt.Sprintf("%d-%s", round, t.name))
			windows, err := runSide(ctx, r.options, t, dir, r.tls)
			if err != nil {
				return fmt.Errorf("round %d, %s: %w (%v; logs: %s)", round, t.name, err,
					context.Cause(ctx), dir)
			}
			whole[t.name] = windows
		}
		r.add(whole)
		if took := time.Since(began); round < r.options.rounds && time.Until(end) < took {
			log.Printf("no more rounds: one took %.0f s, and -limit is %s", took.Seconds(),
				r.options.limit)
			break
		}
	}
	return nil
}

func machine() string {
	raw, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	for line := range strings.Lines(string(raw)) {
		if rest, found := strings.CutPrefix(line, "model name"); found {
			model = strings.TrimSpace(strings.TrimLeft(rest, "\t :"))
			break
		}
	}
	memory, _ := procNumber("/proc/meminfo", "MemTotal:")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d cores (%s), %.0f GiB, Linux %s", runtime.NumCPU(), model,
		memory/(1<<20), strings.TrimSpace(string(kernel)))
}
