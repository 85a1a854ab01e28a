package main

import (
	"debug/buildinfo"
	"fmt"
	"math"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// goal is what a figure is to reach, as a ratio of two targets, or by itself where there is no other.
type goal struct {
	scenario, figure string
	of, to           string
	// least is set where more is better, most where less is.
	least, most float64
}

var goals = []goal{
	{"put, 256 clients", "throughput", "meridian-3", "kine", 10, 0},
	{"put, 256 clients", "throughput", "meridian-3", "etcd", 2, 0},
	{"guaranteed update, 256 clients", "throughput", "meridian-3", "kine", 10, 0},
	{"guaranteed update, 256 clients", "throughput", "meridian-3", "etcd", 2, 0},
	{"put and bare INSERT by turns, 1 client", "put / INSERT", "meridian-1", "", 0, 1.3},
	{"put and bare INSERT by turns, 1 client", "put / INSERT", "meridian-3", "", 0, 1.3},
	{"serializable get, 256 clients", "throughput", "meridian-3", "meridian-1", 1, 0},
}

type line struct{ scenario, figure, unit string }

// table collects every figure of every round.
type table struct {
	names  []string
	order  []line
	values map[line]map[string][]float64
}

func newTable(names []string) *table {
	return &table{names: names, values: map[line]map[string][]float64{}}
}

func (t *table) add(target, scenario string, f figure) {
	l := line{scenario, f.name, f.unit}
	if t.values[l] == nil {
		t.values[l] = map[string][]float64{}
		t.order = append(t.order, l)
	}
	t.values[l][target] = append(t.values[l][target], f.value)
}

func (t *table) median(l line, target string) float64 {
	all := slices.Sorted(slices.Values(t.values[l][target]))
	if len(all) == 0 {
		return math.NaN()
	}
	return all[len(all)/2]
}

// inOrder keeps a scenario's lines together, in the order of the scenarios.
func (t *table) inOrder() []line {
	place := func(l line) int {
		return slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == l.scenario })
	}
	sorted := slices.Clone(t.order)
	slices.SortStableFunc(sorted, func(a, b line) int { return place(a) - place(b) })
	return sorted
}

func (t *table) markdown() string {
	titles := map[string]string{"insert": "bare INSERT", "etcd": "etcd × 3", "kine": "kine", "meridian-1": "Meridian × 1",
		"meridian-3": "Meridian × 3"}
	var b strings.Builder
	b.WriteString("| scenario | figure |")
	for _, name := range t.names {
		fmt.Fprintf(&b, " %s |", titles[name])
	}
	b.WriteString(" Meridian × 3 / etcd | Meridian × 3 / kine | goal | |\n|---|---|" + strings.Repeat("--:|", len(t.names)) + "--:|--:|---|---|\n")
	for _, l := range t.inOrder() {
		fmt.Fprintf(&b, "| %s | %s (%s) |", l.scenario, l.figure, l.unit)
		for _, name := range t.names {
			fmt.Fprintf(&b, " %s |", number(t.median(l, name)))
		}
		ours := t.median(l, "meridian-3")
		aim, reached := t.judge(l)
		fmt.Fprintf(&b, " %s | %s | %s | %s |\n", number(ours/t.median(l, "etcd")), number(ours/t.median(l, "kine")), aim, reached)
	}
	return b.String()
}

// judge says what a line's figure is to reach, and if it does; nothing about what was not measured.
func (t *table) judge(l line) (aim, reached string) {
	var aims, verdicts []string
	for _, g := range goals {
		if g.scenario != l.scenario || g.figure != l.figure {
			continue
		}
		ratio, between := t.median(l, g.of), g.of
		if g.to != "" {
			ratio, between = ratio/t.median(l, g.to), g.of+" / "+g.to
		}
		verdict := "missed"
		if math.IsNaN(ratio) {
			verdict = "not measured"
		} else if g.least > 0 && ratio >= g.least || g.most > 0 && ratio <= g.most {
			verdict = "reached"
		}
		limit := "≥ " + number(g.least)
		if g.most > 0 {
			limit = "≤ " + number(g.most)
		}
		aims = append(aims, between+" "+limit)
		verdicts = append(verdicts, fmt.Sprintf("%s (%s)", verdict, number(ratio)))
	}
	return strings.Join(aims, "; "), strings.Join(verdicts, "; ")
}

// number has three significant digits and no exponent.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

func header(o Options) string {
	standby := "with synchronous standbys under pg_auto_failover"
	if o.Nodes == 1 {
		standby = "alone"
	}
	return fmt.Sprintf("%d cores shared by servers, database and load; values of %d bytes; each scenario lasts %v; median of %d rounds. "+
		"PostgreSQL: %d nodes %s. Figures of CPU and of bytes written are sums over all members, and over all processes of PostgreSQL.\n\n"+
		"* etcd: %s\n* kine: %s\n* Meridian: %s\n\n", runtime.NumCPU(), valueSize, o.Each, o.Rounds, o.Nodes, standby,
		version(o.Etcd), module(o.Kine), version(o.Meridian))
}

// module is the version that a Go program was built from, since kine built from its module says only "dev".
func module(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "not there"
	}
	return info.Main.Path + " " + info.Main.Version
}

// version is what a binary says of itself.
func version(path string) string {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "not there"
	}
	return strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "; ")
}
