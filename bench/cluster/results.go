package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// row is what is the same in every round and for both stores.
type row struct{ Phase, Group, Name, Unit string }

// line is a row with what was measured, round by round, and the medians.
type line struct {
	row
	Etcd, Meridian             []float64
	EtcdMedian, MeridianMedian float64
	Ratio                      float64
	Compared                   bool
}

// results collects the windows of every round.
type results struct {
	options options
	tls     bool
	began   time.Time
	took    time.Duration
	lines   []*line
	rounds  int
	windows []map[string][]*window
}

// add takes in a whole round: the windows of each store.
func (r *results) add(round map[string][]*window) {
	r.rounds++
	r.windows = append(r.windows, round)
	for store, windows := range round {
		for _, w := range windows {
			for _, f := range w.figures() {
				r.note(store, row{w.phase, f.group, f.name, f.unit}, f.value, f.compared)
			}
			for _, c := range w.work() {
				r.note(store, row{w.phase, "work", c.name, ""}, c.value, false)
			}
		}
	}
}

func (r *results) note(store string, key row, value float64, compared bool) {
	i := slices.IndexFunc(r.lines, func(l *line) bool { return l.row == key })
	if i < 0 {
		i = len(r.lines)
		r.lines = append(r.lines, &line{row: key, Compared: compared})
	}
	// JSON has no word for what is not a number.
	if math.IsNaN(value) || math.IsInf(value, 0) {
		value = 0
	}
	l := r.lines[i]
	if store == "etcd" {
		l.Etcd = append(l.Etcd, value)
	} else {
		l.Meridian = append(l.Meridian, value)
	}
}

// settle computes medians and ratios.
func (r *results) settle() {
	for _, l := range r.lines {
		l.EtcdMedian, l.MeridianMedian = median(l.Etcd), median(l.Meridian)
		if l.EtcdMedian > 0 {
			l.Ratio = l.MeridianMedian / l.EtcdMedian
		}
	}
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// behind tells whether Meridian's figure is the greater one, and whether every round says so.
func (l *line) behind() (is, always bool) {
	if !l.Compared || len(l.Etcd) == 0 || len(l.Meridian) == 0 || l.Ratio <= 1 {
		return false, false
	}
	return true, slices.Min(l.Meridian) > slices.Max(l.Etcd)
}

// unequal lists, by round and phase, why figures cannot be compared.
func (r *results) unequal() []string {
	var all []string
	for i, round := range r.windows {
		for k := range min(len(round["etcd"]), len(round["meridian"])) {
			a, b := round["etcd"][k], round["meridian"][k]
			for _, why := range differences(a, b) {
				all = append(all, fmt.Sprintf("round %d, %s: %s", i+1, a.phase, why))
			}
		}
	}
	return all
}

// publish prints the tables and writes what was asked for. An error says the comparison is void.
func (r *results) publish() error {
	r.settle()
	text, unequal := r.markdown(), r.unequal()
	fmt.Println(text)
	raw, err := json.MarshalIndent(map[string]any{"machine": machine(), "versions": r.versions(),
		"began": r.began.UTC(), "seconds": r.took.Seconds(), "nodes": r.options.nodes,
		"pods": r.options.pods, "rounds": r.rounds, "tls": r.tls, "void": unequal,
		"figures": r.lines}, "", " ")
	if err != nil {
		return err
	}
	if r.options.json != "" {
		if err := os.WriteFile(r.options.json, append(raw, '\n'), 0o644); err != nil {
			return err
		}
	}
	if r.options.out != "" {
		if err := writePage(r.options.out, text, raw); err != nil {
			return err
		}
	}
	if len(unequal) > 0 && r.options.only == "" {
		return errors.New("void: the two stores were not given the same work")
	}
	return nil
}

// page is what cluster.md says around the figures, if there is none yet.
//
//go:embed page.md
var page string

// writePage puts the figures between the marks of cluster.md and the numbers beside it.
func writePage(folder, text string, raw []byte) error {
	const begin, end = "<!-- figures -->\n", "<!-- /figures -->"
	path := filepath.Join(folder, "cluster.md")
	old, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		old, err = []byte(page), nil
	}
	if err != nil {
		return err
	}
	from, to := strings.Index(string(old), begin), strings.Index(string(old), end)
	if from < 0 || to < from {
		return fmt.Errorf("%s has no marks for the figures", path)
	}
	updated := string(old[:from]) + begin + text + string(old[to:])
	if err := os.WriteFile(path, []byte(updated), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "cluster.json"), append(raw, '\n'), 0o644)
}

func (r *results) versions() []string {
	var all []string
	for _, p := range []struct{ name, path string }{{"etcd", r.options.etcd},
		{"Meridian", r.options.meridian},
		{"kube-apiserver", filepath.Join(r.options.bin, "kube-apiserver")},
		{"kube-controller-manager", filepath.Join(r.options.bin, "kube-controller-manager")},
		{"kube-scheduler", filepath.Join(r.options.bin, "kube-scheduler")},
		{"kwok", filepath.Join(r.options.bin, "kwok")}} {
		out, err := exec.Command(p.path, "--version").Output()
		if err != nil {
			out = []byte(err.Error())
		}
		all = append(all, p.name+": "+strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "; "))
	}
	return all
}
