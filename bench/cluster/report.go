package main

import (
	"fmt"
	"math"
	"strings"
)

// phases in the order in which they are shown; a reader asks for the steady one first.
var phases = []struct{ name, what string }{
	{"steady", "Steady: leases, events, statuses, reads and lists"},
	{"rollout", "Rollout: deployments rolled over beside the steady mix"},
	{"fill", "Fill: nodes join, pods are created, bound and started"},
	{"boot", "Boot: from nothing to a control plane with its informers"},
}

// markdown is the whole of what was measured.
func (r *results) markdown() string {
	var b strings.Builder
	b.WriteString(r.heading())
	if unequal := r.unequal(); len(unequal) > 0 {
		b.WriteString("**Void: the two stores were not given the same work.**\n\n")
		for _, why := range unequal {
			fmt.Fprintf(&b, "* %s\n", why)
		}
		b.WriteString("\n")
	}
	for _, phase := range phases {
		fmt.Fprintf(&b, "### %s\n\n", phase.what)
		r.table(&b, phase.name)
	}
	r.histogramTable(&b)
	r.missed(&b)
	return b.String()
}

func (r *results) heading() string {
	o := r.options
	way := "plaintext"
	if r.tls {
		way = "mutual TLS"
	}
	text := fmt.Sprintf("%s, %s. %d nodes, %d pods, %d clients with informers on every kind; %s to "+
		"the store; %d rounds, in alternating order, %.0f minutes. Phases: fill %s, steady %s, "+
		"rollout %s.\n\n", r.began.UTC().Format("2006-01-02 15:04 UTC"), machine(), o.nodes,
		o.pods/replicas*replicas, o.controllers, way, r.rounds, r.took.Minutes(), o.fill, o.steady,
		o.change)
	text += fmt.Sprintf("    bench/cluster/run.sh -rounds %d -nodes %d -pods %d -tls %s -out docs\n\n",
		o.rounds, o.nodes, o.pods, map[bool]string{true: "on", false: "off"}[r.tls])
	for _, v := range r.versions() {
		text += "* " + v + "\n"
	}
	return text + "\n"
}

func (r *results) table(b *strings.Builder, phase string) {
	b.WriteString("| | figure | etcd | Meridian | ratio | |\n|---|---|--:|--:|--:|---|\n")
	group := ""
	for _, l := range r.lines {
		if l.Phase != phase || l.Group == "histograms" || len(l.Etcd)+len(l.Meridian) == 0 {
			continue
		}
		shown := l.Group
		if shown == group {
			shown = ""
		}
		group = l.Group
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", shown, l.label(), shownOr(l.Etcd,
			l.EtcdMedian), shownOr(l.Meridian, l.MeridianMedian), l.ratioText(), l.verdict())
	}
	b.WriteString("\n")
}

func (l *line) label() string {
	if l.Unit == "" {
		return l.Name
	}
	return l.Name + " (" + l.Unit + ")"
}

func (l *line) ratioText() string {
	if l.Ratio == 0 {
		return "–"
	}
	return number(l.Ratio)
}

func (l *line) verdict() string {
	is, always := l.behind()
	switch {
	case !l.Compared || l.Ratio == 0:
		return ""
	case always:
		return "behind"
	case is:
		return "behind, within the rounds' spread"
	default:
		return "ahead"
	}
}

// histogramTable shows the API server's own quantiles, whose first bucket ends at 5 ms.
func (r *results) histogramTable(b *strings.Builder) {
	b.WriteString("### As a dashboard shows it\n\nFrom the differences of " +
		"`apiserver_request_duration_seconds`: the quantiles are interpolated in buckets of which " +
		"the first ends at 5 ms; the mean is exact.\n\n" +
		"| phase | figure | etcd | Meridian | ratio |\n|---|---|--:|--:|--:|\n")
	for _, phase := range phases {
		for _, l := range r.lines {
			if l.Phase == phase.name && l.Group == "histograms" {
				fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", l.Phase, l.label(),
					shownOr(l.Etcd, l.EtcdMedian), shownOr(l.Meridian, l.MeridianMedian),
					l.ratioText())
			}
		}
	}
	b.WriteString("\n")
}

// missed lists every figure in which Meridian is not ahead.
func (r *results) missed(b *strings.Builder) {
	b.WriteString("### Where Meridian is not ahead\n\n")
	none := true
	compared := 0
	for _, l := range r.lines {
		if l.Compared && l.Ratio > 0 {
			compared++
		}
		if is, always := l.behind(); is {
			none = false
			sure := "in every round"
			if !always {
				sure = "rounds overlap"
			}
			fmt.Fprintf(b, "* %s, %s, %s: %s against %s (%s; %s)\n", l.Phase, l.Group, l.label(),
				number(l.MeridianMedian), number(l.EtcdMedian), number(l.Ratio), sure)
		}
	}
	if none {
		b.WriteString("In nothing that is compared.\n")
	}
	fmt.Fprintf(b, "\n%d figures are compared.\n", compared)
}

func shownOr(all []float64, median float64) string {
	if len(all) == 0 {
		return "–"
	}
	return number(median)
}

// number has three significant digits and no exponent.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.3f", v)
	case a == 0:
		return "0"
	default:
		return fmt.Sprintf("%.4f", v)
	}
}
