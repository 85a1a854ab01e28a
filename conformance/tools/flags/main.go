// Command flags holds Meridian's flags to etcd's: names, defaults and keys of the config file to
// etcd's own code, refusals and exit codes to its binary; and what some of them do to what a
// client, a collector or a profiler sees of it. It stands among the tools, since it links etcd.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// A check gives what is wrong, or why it could not be made.
type check struct {
	name string
	run  func(binaries) ([]string, error)
}

type binaries struct{ etcd, meridian, docs string }

var checks = []check{
	{"every flag, its default", checkNames},
	{"every key of the file", checkKeys},
	{"help and version", checkHelp},
	{"refusals", checkRefusals},
	{"the sample file", checkSample},
	{"pings", checkPings},
	{"traces", checkTraces},
	{"a profile", checkProfile},
}

func main() {
	var b binaries
	flag.StringVar(&b.etcd, "etcd", os.Getenv("ETCD"), "etcd's binary")
	flag.StringVar(&b.meridian, "meridian", os.Getenv("MERIDIAN"), "the binary that is judged")
	flag.StringVar(&b.docs, "docs", "../../docs/flags.md", "the table of flags")
	flag.Parse()
	failed := false
	for _, check := range checks {
		wrong, err := check.run(b)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", check.name, err)
			os.Exit(2)
		}
		for _, what := range wrong {
			fmt.Printf("WRONG %s: %s\n", check.name, what)
		}
		if len(wrong) == 0 {
			fmt.Printf("%s: no difference\n", check.name)
		}
		failed = failed || len(wrong) > 0
	}
	if failed {
		os.Exit(1)
	}
}

// absolute is for commands that run in another directory.
func (b binaries) absolute() (etcd, meridian string, err error) {
	etcd, err1 := filepath.Abs(b.etcd)
	meridian, err2 := filepath.Abs(b.meridian)
	return etcd, meridian, errors.Join(err1, err2)
}
