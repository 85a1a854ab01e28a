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
	standing   standing
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
	defineStanding(&opt.standing)
	flag.Parse()
	if opt.store == "" && !opt.standing.any() {
		return opt, errors.New("-store PATH is required: the binary of etcd or of what stands in its place; " +
			"or -endpoints URL,URL of a cluster that runs")
	}
	var err error
	if opt.standing.any() {
		if opt.store != "" || opt.move {
			return opt, errors.New("-endpoints goes without -store and -move")
		}
		opt.tls = opt.standing.secure()
		err = opt.standing.check()
	} else {
		opt.store, err = filepath.Abs(opt.store)
	}
	if err != nil {
		return opt, err
	}
	if opt.bin, err = filepath.Abs(opt.bin); err != nil {
		return opt, err
	}
	return opt, requireBinaries(opt)
}

// defineStanding names the options of a cluster that somebody else runs.
func defineStanding(s *standing) {
	flag.StringVar(&s.endpoints, "endpoints", "", "instead of -store: the client URLs of a running cluster, by commas")
	flag.StringVar(&s.ca, "endpoints-ca", "", "with https: the authority's certificate")
	flag.StringVar(&s.cert, "endpoints-cert", "", "with https: the client's certificate")
	flag.StringVar(&s.key, "endpoints-key", "", "with https: the client's key")
	flag.StringVar(&s.killWriter, "kill-writer", "", "with -endpoints: a command that kills the writer and returns when another leads")
	flag.StringVar(&s.restoreWriter, "restore-writer", "", "a command that brings it back")
	flag.StringVar(&s.failDatabase, "fail-database", "",
		"with -endpoints: a command that strikes what takes the database's writes and returns when another does")
	flag.StringVar(&s.database, "database", "PostgreSQL", "what the database is called")
	flag.StringVar(&s.restoreDatabase, "restore-database", "", "a command that brings it back")
}

// requireBinaries says what is missing, and how to get it, before anything is started.
func requireBinaries(opt options) error {
	if !opt.standing.any() {
		if _, err := os.Stat(opt.store); err != nil {
			return fmt.Errorf("the store's binary: %w", err)
		}
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
	fmt.Printf("store %s%s\nlogs  %s\n", opt.store, opt.standing.endpoints, r.dir)
	phases := r.phases()
	if opt.move {
		phases = movePhases()
	} else if opt.standing.any() {
		phases = r.standingPhases()
	}
	for _, phase := range phases {
		if !r.perform(phase) {
			break
		}
	}
	r.close()
	return r.report.conclude(r.dir)
}
