// Command etcdctl runs a table of every etcdctl command and flag against a real etcd and another
// server and compares output, error output and exit code. Only what two equal servers show
// differently is masked; what explained.go does not list fails the run.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

type settings struct {
	targets  Targets
	only     *regexp.Regexp
	parallel int
	list     bool
}

func parseFlags() (settings, error) {
	var s settings
	var extra, only string
	flag.StringVar(&s.targets.etcd, "etcd", "bin/etcd", "the real etcd")
	flag.StringVar(&s.targets.judged, "meridian", "../target/release/meridian", "the server to judge")
	flag.StringVar(&extra, "meridian-args", "", "more arguments for it, separated by spaces")
	flag.StringVar(&s.targets.tools.etcdctl, "etcdctl", "bin/etcdctl", "etcd's client")
	flag.StringVar(&s.targets.tools.etcdutl, "etcdutl", "bin/etcdutl", "etcd's offline tool")
	flag.StringVar(&only, "only", "", "run the scripts whose name matches")
	flag.IntVar(&s.parallel, "parallel", 3, "how many scripts at once")
	flag.BoolVar(&s.targets.show, "print", false, "print what etcd answers")
	flag.BoolVar(&s.list, "list", false, "list the commands and the explained differences")
	flag.Parse()
	s.targets.extra = strings.Fields(extra)
	for _, path := range []*string{&s.targets.etcd, &s.targets.judged,
		&s.targets.tools.etcdctl, &s.targets.tools.etcdutl} {
		found, err := absolute(*path)
		if err != nil {
			return s, err
		}
		*path = found
	}
	var err error
	s.only, err = regexp.Compile(only)
	return s, err
}

func main() {
	s, err := parseFlags()
	if err != nil {
		cannot(err)
	}
	scripts, err := readScripts()
	if err != nil {
		cannot(err)
	}
	scripts = slices.DeleteFunc(scripts, func(each Script) bool { return !s.only.MatchString(each.Name) })
	if s.list {
		printTable(scripts)
		return
	}
	started := time.Now()
	commands := 0
	for _, each := range scripts {
		commands += len(each.Cases)
	}
	differences, err := runAll(s, scripts)
	if err != nil {
		cannot(err)
	}
	if left := report(differences); left > 0 {
		fmt.Printf("%d commands in %v: %d with unexplained differences\n", commands,
			time.Since(started).Round(time.Second), left)
		os.Exit(1)
	}
	fmt.Printf("%d commands in %v: no unexplained difference\n", commands,
		time.Since(started).Round(time.Second))
}

func cannot(err error) {
	fmt.Fprintln(os.Stderr, "cannot judge:", err)
	os.Exit(2)
}

func runAll(s settings, scripts []Script) ([]Difference, error) {
	results := make([][]Difference, len(scripts))
	failures := make([]error, len(scripts))
	slots := make(chan struct{}, max(1, s.parallel))
	var done sync.WaitGroup
	for i, each := range scripts {
		done.Add(1)
		slots <- struct{}{}
		go func() {
			defer done.Done()
			defer func() { <-slots }()
			started := time.Now()
			results[i], failures[i] = runScript(s.targets, each)
			fmt.Printf("script %s: %d commands in %v\n", each.Name, len(each.Cases),
				time.Since(started).Round(100*time.Millisecond))
		}()
	}
	done.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return slices.Concat(results...), nil
}

const linesShown = 4

// report prints what differs by command and counts the commands that nothing explains.
func report(differences []Difference) int {
	counts := map[string]int{}
	left, last, lines := 0, "", 0
	for _, each := range differences {
		if name, ok := explain(each); ok {
			counts[name]++
			continue
		}
		if each.Case != last {
			left++
			last, lines = each.Case, 0
			fmt.Printf("DIFFERENCE %s\n", each.Case)
		}
		if lines++; lines <= linesShown {
			fmt.Println(each)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Printf("  explained %d times: %s\n", counts[name], name)
	}
	return left
}

func printTable(scripts []Script) {
	for _, script := range scripts {
		for _, each := range script.Cases {
			fmt.Println(each.Name)
		}
	}
	for _, each := range explained {
		fmt.Printf("explained: %s: %s\n", each.Name, each.Reason)
	}
}
