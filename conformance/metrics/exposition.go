package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Labels are a series' labels by name.
type Labels map[string]string

// Family is everything of one name.
type Family struct {
	Type   string
	Series []Labels
	// Sum adds up the values; of a histogram, its counts.
	Sum float64
	// Bounds are a histogram's, as numbers, in order of appearance, each once.
	Bounds []float64
}

// LabelNames are those that the series have, sorted, without a histogram's own.
func (f *Family) LabelNames() []string {
	var names []string
	for _, labels := range f.Series {
		for name := range labels {
			if name != "le" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Parse reads Prometheus' text format. A family without series is left out, as a scraper does.
func Parse(text string) (map[string]*Family, error) {
	families := map[string]*Family{}
	for number, line := range strings.Split(text, "\n") {
		if fields := strings.Fields(line); len(fields) == 4 && fields[0] == "#" && fields[1] == "TYPE" {
			families[fields[2]] = &Family{Type: fields[3]}
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if err := parseSample(families, line); err != nil {
			return nil, fmt.Errorf("line %d: %w: %s", number+1, err, line)
		}
	}
	for name, family := range families {
		if len(family.Series) == 0 {
			delete(families, name)
		}
	}
	return families, nil
}

func parseSample(families map[string]*Family, line string) error {
	name, labels, value, err := splitSample(line)
	if err != nil {
		return err
	}
	family, suffix := familyOf(families, name)
	if family == nil {
		return fmt.Errorf("%s was not announced by a TYPE line", name)
	}
	switch suffix {
	case "_bucket":
		bound, err := strconv.ParseFloat(labels["le"], 64)
		if err != nil {
			return err
		}
		if !slices.Contains(family.Bounds, bound) {
			family.Bounds = append(family.Bounds, bound)
		}
		return nil
	case "_sum":
		return nil
	}
	family.Series = append(family.Series, labels)
	family.Sum += value
	return nil
}

func familyOf(families map[string]*Family, name string) (*Family, string) {
	if family := families[name]; family != nil {
		return family, ""
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, found := strings.CutSuffix(name, suffix)
		if family := families[base]; found && family != nil && family.Type != "counter" {
			return family, suffix
		}
	}
	return nil, ""
}

// splitSample takes `name{label="value",...} value` apart.
func splitSample(line string) (string, Labels, float64, error) {
	end := strings.IndexAny(line, "{ ")
	if end < 0 {
		return "", nil, 0, fmt.Errorf("no value")
	}
	name, rest, labels := line[:end], line[end:], Labels{}
	if rest[0] == '{' {
		rest = rest[1:]
		for rest[0] != '}' {
			label, after, found := strings.Cut(rest, "=")
			if !found {
				return "", nil, 0, fmt.Errorf("a label without a value")
			}
			quoted, err := strconv.QuotedPrefix(after)
			if err != nil {
				return "", nil, 0, err
			}
			if labels[label], err = strconv.Unquote(quoted); err != nil {
				return "", nil, 0, err
			}
			rest = strings.TrimPrefix(after[len(quoted):], ",")
			if rest == "" {
				return "", nil, 0, fmt.Errorf("labels without an end")
			}
		}
		rest = rest[1:]
	}
	value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
	return name, labels, value, err
}
