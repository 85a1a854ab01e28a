package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// goal is what a figure of Meridian's is to reach, as a share of etcd's.
type goal struct {
	scenario, figure string
	most             float64
}

// goals are those the project has set itself.
var goals = []goal{
	{"put, 256 clients", "server CPU", 1.0 / 3},
	{"get, 256 clients", "server CPU", 1.0 / 3},
	{"put over mutual TLS, 256 clients", "server CPU", 1.0 / 3},
	{"get over mutual TLS, 256 clients", "server CPU", 1.0 / 3},
	{"handshakes over mutual TLS", "server CPU", 1.0 / 2},
	{"put, 1 client", "p50", 1},
	{"count_only of all", "p50", 1.0 / 100},
	{"first 500 of all", "p50", 1.0 / 100},
	{"list of all", "time", 1.0 / 2},
	{"list of all", "extra memory", 1.0 / 5},
	{"put beside lists of all", "p99", 1.0 / 4},
	{"memory after load", "resident", 1},
	{"restart", "resident", 1},
	{"restart", "time", 1.0 / 2},
	{"watch, 100 streams x 10", "p99", 1.0 / 2},
	{"keep-alive, 256 streams", "server CPU", 1.0 / 3},
	{"restore and start", "both", 1.0 / 2},
}

// limits are what Meridian's own figure is to reach, whatever etcd's is.
var limits = []goal{
	{"put with authentication, 1 client", "CPU with / without", 1.25},
	{"put with authentication, 256 clients", "CPU with / without", 1.25},
	{"get with authentication, 1 client", "CPU with / without", 1.25},
	{"get with authentication, 256 clients", "CPU with / without", 1.25},
	{"put over mutual TLS with authentication, 1 client", "CPU with / without", 1.25},
	{"put over mutual TLS with authentication, 256 clients", "CPU with / without", 1.25},
	{"get over mutual TLS with authentication, 1 client", "CPU with / without", 1.25},
	{"get over mutual TLS with authentication, 256 clients", "CPU with / without", 1.25},
	// Twice the search of a hundred ranges is lost in a request; ten thousand steps are not.
	{"get by 1 to 10,000 granted ranges", "CPU with 10,000 / with 1", 1.25},
	{"snapshot beside puts", "disk's rate / snapshot's", 2},
	{"snapshot beside puts", "put p99 beside it / alone", 2},
	{"snapshot beside puts, not written", "disk's rate / snapshot's", 2},
	{"snapshot beside puts, not written", "put p99 beside it / alone", 2},
}

type row struct{ scenario, figure, unit string }

// Table collects every figure of every round.
type Table struct {
	order  []row
	values map[row]map[string][]float64
}

// NewTable is empty.
func NewTable() *Table { return &Table{values: map[row]map[string][]float64{}} }

// Add notes one figure of one target.
func (t *Table) Add(target, scenario string, f Figure) {
	r := row{scenario, f.Name, f.Unit}
	if t.values[r] == nil {
		t.values[r] = map[string][]float64{}
		t.order = append(t.order, r)
	}
	t.values[r][target] = append(t.values[r][target], f.Value)
}

func (t *Table) median(r row, target string) float64 {
	all := slices.Sorted(slices.Values(t.values[r][target]))
	if len(all) == 0 {
		return math.NaN()
	}
	return all[len(all)/2]
}

// ratio is Meridian's share of etcd's figure.
func (t *Table) ratio(r row) float64 { return t.median(r, "meridian") / t.median(r, "etcd") }

// Markdown is the whole table, goals beside the figures that have one.
func (t *Table) Markdown() string {
	var b strings.Builder
	b.WriteString("| scenario | figure | etcd | Meridian | ratio | goal | |\n|---|---|--:|--:|--:|--:|---|\n")
	for _, r := range t.order {
		goalText, verdict := judge(goals, r, t.ratio(r), "")
		if goalText == "" {
			goalText, verdict = judge(limits, r, t.median(r, "meridian"), " here")
		}
		fmt.Fprintf(&b, "| %s | %s (%s) | %s | %s | %s | %s | %s |\n", r.scenario, r.figure, r.unit,
			number(t.median(r, "etcd")), number(t.median(r, "meridian")), number(t.ratio(r)), goalText, verdict)
	}
	return b.String()
}

// judge finds the goal of a row, if it has one, and says if it is reached.
func judge(among []goal, r row, value float64, suffix string) (text, verdict string) {
	for _, g := range among {
		if g.scenario == r.scenario && g.figure == r.figure {
			text, verdict = "≤ "+number(g.most)+suffix, "missed"
			if value <= g.most {
				verdict = "reached"
			}
		}
	}
	return text, verdict
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
	case a >= 0.1:
		return fmt.Sprintf("%.3f", v)
	default:
		return fmt.Sprintf("%.4f", v)
	}
}

// Write puts the table between its marks of performance.md, and draws the chart of the whole run beside it.
func (t *Table) Write(o Options, text string) error {
	if err := between(filepath.Join(o.Out, "performance.md"), o.marks(), text); err != nil {
		return err
	}
	if slices.Contains(apart, o.Only) {
		return nil
	}
	return os.WriteFile(filepath.Join(o.Out, "performance.svg"), []byte(t.chart()), 0o644)
}

// marks are the lines between which a run's table belongs.
func (o Options) marks() [2]string {
	of := ""
	if slices.Contains(apart, o.Only) {
		of = " of " + o.Only
	}
	return [2]string{"<!-- figures" + of + " -->\n", "<!-- /figures" + of + " -->"}
}

// checkMarks says before the measuring that its table would have no place.
func checkMarks(o Options) error {
	if o.Out == "" {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(o.Out, "performance.md"))
	if err != nil {
		return err
	}
	for _, mark := range o.marks() {
		if !strings.Contains(string(raw), mark) {
			return fmt.Errorf("performance.md in %s has no %s", o.Out, mark)
		}
	}
	return nil
}

// between replaces what stands between the marks of a page.
func between(page string, marks [2]string, text string) error {
	raw, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	from, to := strings.Index(string(raw), marks[0]), strings.Index(string(raw), marks[1])
	if from < 0 || to < from {
		return fmt.Errorf("%s has no marks for the figures", page)
	}
	updated := string(raw[:from]) + marks[0] + text + string(raw[to:])
	return os.WriteFile(page, []byte(updated), 0o644)
}

// chart draws each goal's ratio on a logarithmic scale: a bar left of the middle line is less than etcd's.
func (t *Table) chart() string {
	const width, left, right, step = 860.0, 270.0, 30.0, 30
	scale := func(v float64) float64 {
		clamped := min(max(math.Log10(v), -3), 1)
		return left + (clamped+3)/4*(width-left-right)
	}
	var b strings.Builder
	charted := slices.DeleteFunc(slices.Clone(goals), func(g goal) bool { return g.scenario == "restore and start" })
	height := step*len(charted) + 60
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="10" y="20">Meridian as a share of etcd 3.7.1 in the same run (less is better; the mark is the goal)</text>`+"\n")
	for _, tick := range []float64{0.001, 0.01, 0.1, 1, 10} {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="30" y2="%d" stroke="#ccc"/><text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n",
			scale(tick), scale(tick), height-22, scale(tick), height-8, tick)
	}
	for i, g := range charted {
		for _, r := range t.order {
			if r.scenario != g.scenario || r.figure != g.figure || math.IsNaN(t.ratio(r)) {
				continue
			}
			y, v := 36+i*step, t.ratio(r)
			colour := "#2a7f62"
			if v > g.most {
				colour = "#b5483a"
			}
			fmt.Fprintf(&b, `<text x="%.0f" y="%d" text-anchor="end">%s, %s</text><rect x="%.1f" y="%d" width="%.1f" height="18" fill="%s"/>`+
				`<text x="%.1f" y="%d">%s</text><line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="black" stroke-width="2"/>`+"\n",
				left-8, y+14, r.scenario, r.figure, left, y, scale(v)-left, colour, scale(v)+4, y+14, number(v), scale(g.most), scale(g.most), y-2, y+20)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}
