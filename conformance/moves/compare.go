package main

import "fmt"

// shown is how many differences of one kind are printed.
const shown = 5

// compare lists what two pictures disagree about.
func compare(want, got *picture) []string {
	wrong := compareNewest(want, got)
	answers := got.answers()
	for _, f := range want.facts {
		if answer, asked := answers[f.question]; !asked {
			wrong = append(wrong, fmt.Sprintf("%s: %s says %s, %s nothing", f.question, want.name, f.answer, got.name))
		} else if answer != f.answer {
			wrong = append(wrong, fmt.Sprintf("%s: %s says %s, %s says %s", f.question, want.name, f.answer,
				got.name, answer))
		}
	}
	known := want.answers()
	for _, f := range got.facts {
		if _, asked := known[f.question]; !asked {
			wrong = append(wrong, fmt.Sprintf("%s: only %s says %s", f.question, got.name, f.answer))
		}
	}
	return wrong
}

func (p *picture) answers() map[string]string {
	all := map[string]string{}
	for _, f := range p.facts {
		all[f.question] = f.answer
	}
	return all
}

// compareNewest walks both lists, which are in the order of the keys.
func compareNewest(want, got *picture) []string {
	var wrong []string
	a, b := want.newest, got.newest
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].key < b[0].key:
			wrong, a = append(wrong, fmt.Sprintf("%q is not in %s", a[0].key, got.name)), a[1:]
		case len(a) == 0 || b[0].key < a[0].key:
			wrong, b = append(wrong, fmt.Sprintf("%q is only in %s", b[0].key, got.name)), b[1:]
		default:
			if a[0] != b[0] {
				wrong = append(wrong, fmt.Sprintf("%+v in %s is %+v in %s", a[0], want.name, b[0], got.name))
			}
			a, b = a[1:], b[1:]
		}
	}
	return wrong
}

// judge prints what differs and counts it.
func (j *journey) judge(want, got *picture) {
	wrong := compare(want, got)
	if len(wrong) == 0 {
		j.say("%s: as %s (%d keys, %d answers)", got.name, want.name, len(got.newest), len(got.facts))
		return
	}
	j.differ("%s: %d differences from %s", got.name, len(wrong), want.name)
	for _, w := range wrong[:min(shown, len(wrong))] {
		fmt.Println("      ", w[:min(len(w), 600)])
	}
}

// same is one answer held against another.
func (j *journey) same(what, want, got string) {
	if want == got {
		j.say("%s: the same", what)
		return
	}
	j.differ("%s:\n       %s\n       %s", what, want, got)
}

func (j *journey) differ(format string, arguments ...any) {
	j.differences++
	j.say("DIFFERS: "+format, arguments...)
}
