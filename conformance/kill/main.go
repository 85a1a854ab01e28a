// Command kill loads a server from many clients, kills it with SIGKILL at random moments, starts
// it again and checks, round by round, that nothing that a client was told has changed: every
// acknowledged write, every event a watcher saw, every lease, every hash. With -disk it is the disk under the
// data directory that is struck: it is full, becomes read-only, or fails.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"conformance/store"
)

type settings struct {
	seed   uint64
	rounds int
	server string
	args   string
	dir    string
	load   time.Duration
	disk   bool
	// size is how large the judge's file systems are.
	size int64
	only string
}

func main() {
	var s settings
	flag.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "what the load and the moments follow from")
	flag.IntVar(&s.rounds, "rounds", 100, "how often the server is killed")
	flag.StringVar(&s.server, "server", "../target/release/meridian", "the server's binary")
	flag.StringVar(&s.args, "args", "", "more arguments for it, separated by spaces")
	flag.StringVar(&s.dir, "dir", "", "base for the data directory; memory if empty")
	flag.DurationVar(&s.load, "load", 900*time.Millisecond, "the longest load before a kill")
	flag.BoolVar(&s.disk, "disk", false, "strike the disk instead; needs root (exit code 3 if nothing can be mounted)")
	flag.Int64Var(&s.size, "size", 768<<20, "with -disk, the size of the file systems")
	flag.StringVar(&s.only, "only", "full killed checkpoint remount readonly cutoff", "with -disk, the strikes")
	flag.Parse()
	os.Exit(judged(s))
}

// judged runs the rounds and gives the exit code.
func judged(s settings) int {
	if s.disk && os.Getenv(inNamespace) == "" {
		code, err := ownMounts()
		if err == nil {
			return code
		}
		fmt.Printf("NOT JUDGED: %v\n", err)
		return 3
	}
	work, mode := run, ""
	if s.disk {
		work, mode = runDisk, " -disk"
	}
	err := work(s)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNoMounts):
		fmt.Printf("NOT JUDGED: %v\n", err)
		return 3
	default:
		fmt.Printf("FAILED: %v\nrepeat with: go run ./kill%s -seed %d -rounds %d -server %s -args %q\n",
			err, mode, s.seed, s.rounds, s.server, s.args)
		return 1
	}
}

func run(s settings) error {
	options := store.Options{Binary: s.server, Args: strings.Fields(s.args)}
	if s.dir != "" {
		dir, err := os.MkdirTemp(s.dir, "kill-")
		if err != nil {
			return err
		}
		options.Dir = dir
	}
	fmt.Printf("seed %d: %d rounds of %s\n", s.seed, s.rounds, filepath.Base(s.server))
	server, err := store.Start(options)
	if err != nil {
		return err
	}
	judge, err := newJudge(s, server)
	if err != nil {
		server.Remove()
		return err
	}
	started := time.Now()
	for round := range s.rounds {
		if err := judge.round(); err != nil {
			server.Kill()
			return fmt.Errorf("round %d: %w\nthe data is kept in %s; the log ends with\n%s",
				round, err, server.Dir, server.LogTail(8))
		}
		if (round+1)%10 == 0 {
			fmt.Printf("round %d: %v\n", round+1, judge.score)
		}
	}
	if err := judge.leasesEnd(); err != nil {
		server.Kill()
		return fmt.Errorf("after the last round: %w\nthe data is kept in %s", err, server.Dir)
	}
	judge.close()
	fmt.Printf("%v in %v\nnothing was lost, changed or invented\n", judge.score,
		time.Since(started).Round(time.Second))
	return nil
}
