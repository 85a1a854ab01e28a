package main

import (
	_ "embed"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// emptyPage is size.md before the first figures.
//
//go:embed size_page.md
var emptyPage []byte

// measured is a figure under the group it belongs to.
type measured struct {
	group string
	Figure
}

// Step is what was measured at one size.
type Step struct {
	Size    float64
	figures []measured
}

// add keeps a figure; measured again, it replaces the one before.
func (s *Step) add(group string, f Figure) {
	for i, old := range s.figures {
		if old.group == group && old.Name == f.Name {
			s.figures[i].Figure = f
			return
		}
	}
	s.figures = append(s.figures, measured{group, f})
}

func (s *Step) value(r row) float64 {
	for _, f := range s.figures {
		if (row{f.group, f.Name, f.Unit}) == r {
			return f.Value
		}
	}
	return math.NaN()
}

// Ascent is one server's climb: the steps, and how it ended with either quota.
type Ascent struct {
	Server string
	Steps  []*Step
	Quota  string
	End    string
	Broke  bool
}

func (a *Ascent) last() *Step { return a.Steps[len(a.Steps)-1] }

func (a *Ascent) at(size float64, r row) float64 {
	for _, s := range a.Steps {
		if s.Size == size {
			return s.value(r)
		}
	}
	return math.NaN()
}

// shown is a server's name in words.
func shown(server string) string {
	if server == "meridian" {
		return "Meridian"
	}
	return server
}

// rows of all ascents, in the order of measurement, and the sizes that were reached.
func rowsAndSizes(ascents []*Ascent) (rows []row, sizes []float64) {
	for _, a := range ascents {
		for _, s := range a.Steps {
			if !slices.Contains(sizes, s.Size) && len(s.figures) > 0 {
				sizes = append(sizes, s.Size)
			}
			for _, f := range s.figures {
				if r := (row{f.group, f.Name, f.Unit}); !slices.Contains(rows, r) {
					rows = append(rows, r)
				}
			}
		}
	}
	slices.Sort(sizes)
	return rows, sizes
}

// sizeText is the whole of what is written between the marks.
func sizeText(o SizeOptions, ascents []*Ascent) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d cores shared by server and load; %d watchers; a climb is stopped at %g GiB of memory (file pages not counted), "+
		"%g GB of disk or %g minutes.\n\n| server | with a quota of %g GiB | with the quota raised |\n|---|---|---|\n",
		runtime.NumCPU(), o.Watchers, o.MaxMemory, o.MaxDisk, o.Minutes, o.Quota)
	for _, a := range ascents {
		quota := a.Quota
		if quota == "" {
			quota = "was not used up"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", shown(a.Server), quota, a.End)
	}
	rows, sizes := rowsAndSizes(ascents)
	b.WriteString("\nGiB of live objects:\n\n| figure | server |")
	for _, size := range sizes {
		fmt.Fprintf(&b, " %g |", size)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("--:|", len(sizes)) + "\n")
	for _, r := range rows {
		for i, a := range ascents {
			name := ""
			if i == 0 {
				name = r.words()
			}
			fmt.Fprintf(&b, "| %s | %s |", name, shown(a.Server))
			for _, size := range sizes {
				fmt.Fprintf(&b, " %s |", number(a.at(size, r)))
			}
			b.WriteString("\n")
		}
	}
	return b.String() + behind(ascents)
}

func (r row) words() string {
	words := r.scenario + ", " + r.figure
	if r.unit != "" {
		words += " (" + r.unit + ")"
	}
	return words
}

// moreIsBetter tells speeds from all else.
func (r row) moreIsBetter() bool { return strings.HasSuffix(r.unit, "/s") }

// behind lists every figure in which Meridian is not ahead.
func behind(ascents []*Ascent) string {
	if len(ascents) < 2 {
		return ""
	}
	var lines []string
	rows, sizes := rowsAndSizes(ascents)
	for _, r := range rows {
		var at []string
		for _, size := range sizes {
			etcd, meridian := ascents[0].at(size, r), ascents[1].at(size, r)
			if meridian > etcd && !r.moreIsBetter() || meridian < etcd && r.moreIsBetter() {
				at = append(at, fmt.Sprintf("%g GiB: %s, etcd %s", size, number(meridian), number(etcd)))
			}
		}
		if len(at) > 0 {
			lines = append(lines, "* "+r.words()+": at "+strings.Join(at, "; "))
		}
	}
	if len(lines) == 0 {
		return "\nMeridian is ahead, or level, in every figure that was measured on both.\n"
	}
	return "\nWhere Meridian is behind etcd:\n\n" + strings.Join(lines, "\n") + "\n"
}

// publish prints the text, and writes it and the chart into the folder asked for.
func publish(o SizeOptions, ascents []*Ascent) error {
	text := sizeText(o, ascents)
	fmt.Println(text)
	if o.Out == "" {
		return nil
	}
	page := filepath.Join(o.Out, "size.md")
	if _, err := os.Stat(page); os.IsNotExist(err) {
		if err := os.WriteFile(page, emptyPage, 0o644); err != nil {
			return err
		}
	}
	if err := between(page, Options{}.marks(), versions(o.Etcd, o.Meridian)+text); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.Out, "size.svg"), []byte(sizeChart(ascents)), 0o644)
}
