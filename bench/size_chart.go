package main

import (
	"fmt"
	"math"
	"strings"
)

// panel is one small chart: a figure over the size of the store, both axes logarithmic.
type panel struct {
	title string
	row   row
}

var panels = []panel{
	{"guaranteed update, server CPU (µs)", row{"guaranteed update", "server CPU", "µs each"}},
	{"guaranteed update, p99 (ms)", row{"guaranteed update", "p99", "ms"}},
	{"watch lag, p99 (ms)", row{"watch", "lag p99", "ms"}},
	{"page of 500 pods, p50 (ms)", row{"pages of 500, pods, up to 100,000", "p50", "ms"}},
	{"list in one reply (s)", row{"list in one reply", "time", "s"}},
	{"extra memory of that list (MB)", row{"list in one reply", "extra memory", "MB"}},
	{"resident memory (GB)", row{"memory", "resident", "GB"}},
	{"longest wait beside defragmentation (ms)", row{"defragmentation", "longest update beside it", "ms"}},
	{"restart after SIGKILL (s)", row{"restart", "after SIGKILL", "s"}},
}

var colours = map[string]string{"etcd": "#b5483a", "meridian": "#2a7f62"}

const (
	panelWidth, panelHeight = 290.0, 200.0
	plotLeft, plotTop       = 52.0, 34.0
	plotWidth, plotHeight   = 225.0, 130.0
)

// sizeChart draws the panels three in a row.
func sizeChart(ascents []*Ascent) string {
	var b strings.Builder
	height := 34 + panelHeight*math.Ceil(float64(len(panels))/3)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="11">`+"\n", 3*panelWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="10" y="20" font-size="12">`+
		`By GiB of live objects (less is better): <tspan fill="%s">etcd 3.7.1</tspan>, <tspan fill="%s">Meridian</tspan>. A line ends where its server was stopped or broke.</text>`+"\n",
		colours["etcd"], colours["meridian"])
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%.0f %.0f)">`+"\n", float64(i%3)*panelWidth, 34+float64(i/3)*panelHeight)
		p.draw(&b, ascents)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// scale places v between two powers of its base on a length.
func scale(v, low, high, length float64) float64 {
	if high <= low {
		return 0
	}
	return (math.Log(v) - math.Log(low)) / (math.Log(high) - math.Log(low)) * length
}

func (p panel) draw(b *strings.Builder, ascents []*Ascent) {
	_, sizes := rowsAndSizes(ascents)
	if len(sizes) == 0 {
		return
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, a := range ascents {
		for _, size := range sizes {
			if v := a.at(size, p.row); v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	fmt.Fprintf(b, `<text x="%.0f" y="22">%s</text>`+"\n", plotLeft, p.title)
	if math.IsInf(low, 1) {
		return
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Floor(math.Log10(high))+1)
	y := func(v float64) float64 { return plotTop + plotHeight - scale(v, low, high, plotHeight) }
	x := func(size float64) float64 {
		if len(sizes) == 1 {
			return plotLeft + plotWidth/2
		}
		return plotLeft + scale(size, sizes[0], sizes[len(sizes)-1], plotWidth)
	}
	for tick := low; tick <= high*1.001; tick *= 10 {
		fmt.Fprintf(b, `<line x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f" stroke="#ccc"/><text x="%.0f" y="%.1f" text-anchor="end">%g</text>`+"\n",
			plotLeft, plotLeft+plotWidth, y(tick), y(tick), plotLeft-6, y(tick)+4, tick)
	}
	for _, size := range sizes {
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f" text-anchor="middle">%g</text>`+"\n", x(size), plotTop+plotHeight+16, size)
	}
	for _, a := range ascents {
		p.line(b, a, sizes, x, y)
	}
}

// line is one server's, with a dot at every size measured; nothing used at all stands on the bottom.
func (p panel) line(b *strings.Builder, a *Ascent, sizes []float64, x, y func(float64) float64) {
	var points []string
	for _, size := range sizes {
		v := a.at(size, p.row)
		if math.IsNaN(v) {
			continue
		}
		at := plotTop + plotHeight
		if v > 0 {
			at = y(v)
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", x(size), at))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(size), at, colours[a.Server])
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colours[a.Server])
}
