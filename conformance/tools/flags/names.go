package main

import (
	"flag"
	"fmt"
	"os/exec"
	"regexp"
	"sort"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// What etcd's command adds to the flags of its package embed, with the defaults its help shows.
var ofTheCommand = map[string]string{
	"config-file":           "",
	"discovery-fallback":    "exit",
	"initial-cluster-state": "new",
	"v2-deprecation":        "write-only",
	"version":               "false",
}

// Flags that are ours alone.
var ofMeridian = map[string]bool{"journal": true, "archive": true, "hold-level": true}

// Flags that 3.7.1 still shows and no longer has.
var shownAndGone = []string{"discovery", "discovery-proxy"}

var helpLine = regexp.MustCompile(`(?m)^  --([a-z0-9-]+)(?: '?([^'\n]*)'?)?$`)

// defined gives etcd's flags and their defaults.
func defined() map[string]string {
	set := flag.NewFlagSet("etcd", flag.ContinueOnError)
	embed.NewConfig().AddFlags(set)
	flags := map[string]string{}
	set.VisitAll(func(f *flag.Flag) { flags[f.Name] = f.DefValue })
	for name, value := range ofTheCommand {
		flags[name] = value
	}
	return flags
}

// shown gives the flags in a help text and their defaults; a switch that is off shows none.
func shown(binary string) (map[string]string, error) {
	out, err := exec.Command(binary, "--help").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --help: %w", binary, err)
	}
	flags := map[string]string{}
	for _, match := range helpLine.FindAllStringSubmatch(string(out), -1) {
		flags[match[1]] = strings.TrimSuffix(match[2], "'")
	}
	return flags, nil
}

func checkNames(b binaries) (wrong []string, err error) {
	etcd := defined()
	ours, err := shown(b.meridian)
	if err != nil {
		return nil, err
	}
	theirs, err := shown(b.etcd)
	if err != nil {
		return nil, err
	}
	if len(etcd) < 100 || len(theirs) < 100 {
		return nil, fmt.Errorf("etcd has %d flags and shows %d: not read", len(etcd), len(theirs))
	}
	for name, value := range etcd {
		found, there := ours[name]
		if !there {
			wrong = append(wrong, "no --"+name)
		} else if text, shows := theirs[name]; !same(value, found) && !(shows && same(text, found)) {
			// Where its code and its help differ, as for what 0 stands for, the help is right as well.
			wrong = append(wrong, fmt.Sprintf("--%s is %q, not %q", name, found, value))
		}
	}
	for name := range ours {
		if _, there := etcd[name]; !there && !ofMeridian[name] {
			wrong = append(wrong, "etcd has no --"+name)
		}
	}
	for _, name := range shownAndGone {
		delete(theirs, name)
	}
	for name := range theirs {
		if _, there := ours[name]; !there {
			wrong = append(wrong, "etcd shows --"+name)
		}
	}
	sort.Strings(wrong)
	return wrong, nil
}

// same compares defaults however they are written.
func same(one, other string) bool {
	a, err1 := time.ParseDuration(one)
	b, err2 := time.ParseDuration(other)
	if err1 == nil && err2 == nil {
		return a == b
	}
	return one == other || one == "false" && other == ""
}
