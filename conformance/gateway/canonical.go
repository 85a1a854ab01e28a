package main

import (
	"regexp"
	"strings"
)

// drawn are the members whose values are a server's own: terms and indexes of Raft, sizes of files,
// ids and tokens that are drawn.
var drawn = regexp.MustCompile(`"(raft_term|raftTerm|raftIndex|raftAppliedIndex|` +
	`commit|applied|term|token|blob)":("[^"]*"|[0-9]+)`)

// sizes of what is stored, which may be 0 and then are not there.
var sizes = regexp.MustCompile(`"(dbSize|dbSizeInUse|remaining_bytes)":"[0-9]+",`)

// drawnIDs are ids of leases and members: small ones were asked for, large ones drawn.
var drawnIDs = regexp.MustCompile(`"ID":"[0-9]{12,}"`)

// drawnKeys are keys that end in a lease's id, in base64.
var drawnKeys = regexp.MustCompile(`"key":"[A-Za-z0-9+/]{20,}=*"`)

// spaces are what Go's protobuf writes one way in one build and another way in the next, so that nobody
// relies on it: a space behind a comma, two between fields of text, an unbreakable one behind "proto:".
var spaces = strings.NewReplacer(", ", ",", "  ", " ", "\u00a0", " ")

// canonical makes an answer comparable.
func canonical(text string) string {
	text = spaces.Replace(text)
	text = drawn.ReplaceAllString(text, `"$1":"..."`)
	text = sizes.ReplaceAllString(text, "")
	text = drawnKeys.ReplaceAllString(text, `"key":"..."`)
	return drawnIDs.ReplaceAllString(text, `"ID":"..."`)
}

// Memory is what one server said that is needed to go on.
type Memory struct {
	words map[string]string
}

// take remembers the member of this name.
func (m *Memory) take(name, text string) {
	if name == "" {
		return
	}
	if m.words == nil {
		m.words = map[string]string{}
	}
	found := regexp.MustCompile(`"` + name + `":"?([^",}]*)`).FindStringSubmatch(text)
	if found != nil {
		m.words[name] = found[1]
	}
}

// fill puts what was remembered where $name stands.
func (m *Memory) fill(text string) string {
	for name, word := range m.words {
		text = strings.ReplaceAll(text, "$"+name, word)
	}
	return text
}
