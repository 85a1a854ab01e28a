package main

import (
	"fmt"
	"strings"
)

// Difference is one line of a command's output, or its exit code, that is not alike.
type Difference struct {
	// Case is the stable name of the command.
	Case string
	// Where is stdout, stderr or exit, with the line's number.
	Where string
	// Want is etcd's, Got the other's.
	Want, Got string
}

func (d Difference) String() string {
	return fmt.Sprintf("    %s\n      etcd:  %s\n      other: %s", d.Where, clip(d.Want), clip(d.Got))
}

func clip(text string) string {
	const limit = 600
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}

func (o Output) text() string {
	return fmt.Sprintf("%s[stderr] %s[exit %d]\n", o.Stdout, o.Stderr, o.Exit)
}

// compare lists what differs, line by line; of lines that are missing, the first stands for all.
func compare(c Case, want, got Output) []Difference {
	var differences []Difference
	add := func(where, a, b string) {
		if a != b {
			differences = append(differences, Difference{Case: c.Name, Where: where, Want: a, Got: b})
		}
	}
	add("exit", fmt.Sprint(want.Exit), fmt.Sprint(got.Exit))
	lines := func(where, a, b string) {
		x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
		for i := range min(len(x), len(y)) {
			add(fmt.Sprintf("%s line %d", where, i+1), x[i], y[i])
		}
		if len(x) != len(y) {
			add(where+" lines", fmt.Sprint(len(x)), fmt.Sprint(len(y)))
		}
	}
	lines("stdout", want.Stdout, got.Stdout)
	lines("stderr", want.Stderr, got.Stderr)
	return differences
}
