// Command cosmos measures three replicas of Meridian on an emulated account of Azure Cosmos DB, some milliseconds away:
// how long requests take beside a client that only creates items, how many requests and request units they cost, and with
// -nodes what a Kubernetes cluster of so many nodes costs.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options say what to run and for how long.
type options struct {
	meridian string
	args     string
	delay    time.Duration
	each     time.Duration
	rounds   int
	idle     time.Duration
	nodes    int
	last     time.Duration
	replicas int
	out      string
}

func main() {
	log.SetFlags(log.Ltime)
	var o options
	flag.StringVar(&o.meridian, "meridian", "../../target/release/meridian", "the server under test")
	flag.StringVar(&o.args, "args", "", "more arguments for it, separated by spaces")
	flag.DurationVar(&o.delay, "delay", 5*time.Millisecond, "what the way to the service takes, there and back")
	flag.DurationVar(&o.each, "each", 5*time.Second, "how long each scenario lasts")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; the median of each figure is reported")
	flag.DurationVar(&o.idle, "idle", time.Minute, "how long an idle cluster is looked at")
	flag.IntVar(&o.nodes, "nodes", 0, "instead: what so many nodes of a Kubernetes cluster cost")
	flag.DurationVar(&o.last, "last", 2*time.Minute, "with -nodes: how long they are simulated")
	flag.IntVar(&o.replicas, "replicas", 3, "how many replicas")
	flag.StringVar(&o.out, "out", "", "also write the table into this file")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	cancel()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, o options) error {
	var err error
	if o.meridian, err = filepath.Abs(o.meridian); err != nil {
		return err
	}
	measure := speed
	if o.nodes > 0 {
		measure = nodes
	}
	text, err := measure(ctx, o)
	if err != nil {
		return err
	}
	fmt.Println(text)
	if o.out != "" {
		return os.WriteFile(o.out, []byte(text), 0o644)
	}
	return nil
}

// version is what a binary says of itself.
func version(path string) string {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "not there"
	}
	for line := range strings.Lines(string(out)) {
		if found, ok := strings.CutPrefix(line, "Meridian Version: "); ok {
			return "Meridian " + strings.TrimSpace(found)
		}
	}
	return strings.TrimSpace(string(out))
}
