package main

import "regexp"

// Explained is a difference that is no fault, with the reason why. Whatever no entry explains
// fails the run. Each pattern must match; keep them narrow.
type Explained struct {
	Name, Reason           string
	Case, Where, Want, Got *regexp.Regexp
}

var any_ = regexp.MustCompile(``)

// explained is the whole list.
var explained = []Explained{}

func explain(d Difference) (string, bool) {
	for _, each := range explained {
		if each.Case.MatchString(d.Case) && each.Where.MatchString(d.Where) &&
			each.Want.MatchString(d.Want) && each.Got.MatchString(d.Got) {
			return each.Name, true
		}
	}
	return "", false
}
