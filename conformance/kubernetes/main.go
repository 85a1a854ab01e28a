// Command kubernetes runs a real Kubernetes control plane on an etcd-compatible store and judges
// whether anything above the store could tell it from etcd: it drives two API servers (one with its
// watch cache, one without) and the controllers with the official Go client and kubectl, kills the
// store, freezes it, takes it away and restarts it under load, and ends with a list of PASS and FAIL lines and a matching exit code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are what the person asked for on the command line.
type options struct {
	store      string
	bin        string
	logs       string
	objects    int
	nodes      int
	down       time.Duration
	outage     time.Duration
	restarts   int
	compaction time.Duration
	eventTTL   time.Duration
	keep       bool
	tls        bool
	move       bool
}

func parseOptions() (options, error) {
	var opt options
	flag.StringVar(&opt.store, "store", "", "the store's binary (takes etcd's flags); required")
	flag.StringVar(&opt.bin, "bin", "../bin",
		"directory of Kubernetes' programs, as build-kubernetes.sh makes it")
	flag.StringVar(&opt.logs, "logs", "", "directory for logs (default: a new temporary one)")
	flag.IntVar(&opt.objects, "objects", 500, "objects created in the first load")
	flag.DurationVar(&opt.down, "down", 2*time.Second, "how long the killed store stays down")
	flag.DurationVar(&opt.outage, "outage", 20*time.Second,
		"how long the store is frozen, and how long it is away")
	flag.IntVar(&opt.restarts, "restarts", 3, "how often the store is restarted under load")
	flag.IntVar(&opt.nodes, "nodes", 3, "nodes played by this program")
	flag.DurationVar(&opt.compaction, "compaction", 60*time.Second,
		"the API servers' compaction interval")
	flag.DurationVar(&opt.eventTTL, "event-ttl", 20*time.Second, "how long events live")
	flag.BoolVar(&opt.keep, "keep", false, "keep the store's data directory even when all passes")
	flag.BoolVar(&opt.tls, "tls", true, "reach the store over mutual TLS; =false for plaintext")
	flag.BoolVar(&opt.move, "move", false,
		"begin on etcd, move to the store and back while all goes on; other phases than without")
	flag.Float64Var(&patience, "patience", 1, "multiplies every limit, for a busy machine")
	flag.Parse()
	if opt.store == "" {
		return opt,
			errors.New("-store PATH is required: the binary of etcd or of what stands in its place")
	}
	var err error
	if opt.store, err = filepath.Abs(opt.store); err != nil {
		return opt, err
	}
	if opt.bin, err = filepath.Abs(opt.bin); err != nil {
		return opt, err
	}
	return opt, requireBinaries(opt)
}

// requireBinaries says what is missing, and how to get it, before anything is started.
func requireBinaries(opt options) error {
	if _, err := os.Stat(opt.store); err != nil {
		return fmt.Errorf("the store's binary: %w", err)
	}
	programs := []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"}
	if opt.move {
		programs = append(programs, "etcd", "etcdctl", "etcdutl")
	}
	for _, name := range programs {
		if _, err := os.Stat(filepath.Join(opt.bin, name)); err != nil {
			return fmt.Errorf("%w (run conformance/build-kubernetes.sh, or build-tools.sh for etcd)", err)
		}
	}
	return nil
}

func main() {
	opt, err := parseOptions()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := conduct(ctx, opt)
	cancel()
	os.Exit(code)
}

// conduct runs everything once and gives the exit code; every child is gone when it returns.
func conduct(ctx context.Context, opt options) int {
	r, err := newRun(ctx, opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer r.close()
	fmt.Printf("store %s\nlogs  %s\n", opt.store, r.dir)
	phases := r.phases()
	if opt.move {
		phases = movePhases()
	}
	for _, phase := range phases {
		if !r.perform(phase) {
			break
		}
	}
	r.close()
	return r.report.conclude(r.dir)
}
