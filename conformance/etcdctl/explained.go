package main

import "regexp"

// Explained is a difference that is no fault, with the reason why. Whatever no entry explains
// fails the run. Each pattern must match; keep them narrow.
type Explained struct {
	Name, Reason           string
	Case, Where, Want, Got *regexp.Regexp
}

// explained is the whole list.
var explained = []Explained{
	{
		Name: "a second member",
		Reason: "a journal in a file has one member, so MemberAdd is refused with the way to replicas; " +
			"etcd adds a learner that never starts",
		Case: regexp.MustCompile(`^learner: member (add two|list)`), Where: all, Want: all,
		Got: regexp.MustCompile(`a journal in a file has one member|^\d*$|^MEMBER, started`),
	},
	{
		Name:   "the size of an empty store",
		Reason: "a store that nothing was written to takes no room, and a zero is left out of JSON",
		Case:   regexp.MustCompile(`^quota: endpoint status -w json$`), Where: all,
		Want: regexp.MustCompile(`"dbSize":`), Got: regexp.MustCompile(`"dbSizeQuota":1,`),
	},
}

var all = regexp.MustCompile(``)

func explain(d Difference) (string, bool) {
	for _, each := range explained {
		if each.Case.MatchString(d.Case) && each.Where.MatchString(d.Where) &&
			each.Want.MatchString(d.Want) && each.Got.MatchString(d.Got) {
			return each.Name, true
		}
	}
	return "", false
}
