package main

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// mask hides one thing that two equal servers show differently.
type mask struct {
	// lines limits it to commands that match; empty means all.
	lines   string
	pattern *regexp.Regexp
	with    string
}

// masks are all of it: times, ids that are drawn, and what measures the engine. Nothing that a
// client could rely on is in here; what is zero on one side only stays a difference.
var masks = []mask{
	// The client's own log and messages.
	{"", regexp.MustCompile(`"ts":"[^"]*"`), `"ts":"…"`},
	{"", regexp.MustCompile(`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`), "DATE"},
	{"", regexp.MustCompile(`took"?[ :=]*"?[0-9.]+[nµm]?s"?`), "took …"},
	{"", regexp.MustCompile(`(127\.0\.0\.1:)\d+(->127\.0\.0\.1:)\d+`), "$1…$2…"},
	{"", regexp.MustCompile(`0x[0-9a-f]+`), "ADDRESS"},
	{"", regexp.MustCompile(`(LocalAddr: ')[^']*(')`), "${1}…${2}"},
	// Raft's numbers, sizes.
	{"", regexp.MustCompile(`(?i)("?(?:raft_?term|raft_?index|raft_?applied_?index|db_?size|db_?size_?in_?use)"?\s*:\s*)[1-9]\d*`), "${1}…"},
	{"^endpoint status", regexp.MustCompile(`(, )[\d.]+ [kMG]?B, [\d.]+ [kMG]?B, \d+%, `), "${1}SIZE, SIZE, SHARE, "},
	{"^endpoint status", regexp.MustCompile(`((?:true|false), (?:true|false)), [1-9]\d*, [1-9]\d*, [1-9]\d*`), "$1, TERM, INDEX, APPLIED"},
	{"^endpoint status.* -w table", regexp.MustCompile(`[\d.]+ [kMG]?B │ [\d.]+ [kMG]?B │ \d+% │`), "SIZE │ SIZE │ SHARE │"},
	{"^endpoint status.* -w table", regexp.MustCompile(`((?:true|false) │ (?:true|false) │) [1-9]\d* │ [1-9]\d* │ [1-9]\d* │`), "$1 TERM │ INDEX │ APPLIED │"},
	{"^endpoint health", regexp.MustCompile(`\b\d[\d.]*[nµm]?s\b`), "TOOK"},
	// Time left.
	{"", regexp.MustCompile(`remaining\([1-9]\d*s\)`), "remaining(…)"},
	{"^lease timetolive", regexp.MustCompile(`("ttl":|"TTL" : )[1-9]\d*`), "${1}…"},
	{"^lease timetolive", regexp.MustCompile(`(?m)^(3: )[1-9]\d*$`), "${1}…"},
	// Tokens, and the hash of a snapshot file, which holds the engine's own records.
	{"", regexp.MustCompile(`\b[A-Za-z]{16}\.\d+\b`), "TOKEN"},
	{"^check", regexp.MustCompile(`(?m)^[^\n]*\r`), ""},
	{"^check", regexp.MustCompile(`(?m)^.*p/s.*$`), "PROGRESS"},
	{"^check", regexp.MustCompile(`\d+(\.\d+)?`), "N"},
	{"^etcdutl snapshot status", regexp.MustCompile(`(?m)^[0-9a-f]{1,8}, `), "HASH, "},
	{"^etcdutl snapshot status", regexp.MustCompile(`("[hH]ash" ?: ?)\d+`), "${1}HASH"},
	{"^etcdutl snapshot status", regexp.MustCompile(`│ [0-9a-f]{1,8} │`), "│ HASH │"},
	{"^etcdutl", regexp.MustCompile(`[\d.]+ [kM]B`), "SIZE"},
	{"^etcdutl", regexp.MustCompile(`("totalSize":|"Size" : )[1-9]\d*`), "${1}…"},
	{"^snapshot", regexp.MustCompile(`"size":"[^"]*"`), `"size":"…"`},
}

var (
	// jsonBytes finds the fields that hold base64, so that ids inside of them can be masked.
	jsonBytes = regexp.MustCompile(`"(key|value|range_end|Key|RangeEnd)":"([A-Za-z0-9+/]*={0,2})"`)
	// A text pads an id to sixteen digits, and one in sixteen ids is shorter.
	padded = regexp.MustCompile(` +(MEMBER|CLUSTER)\b`)
	blanks = regexp.MustCompile(` {2,}`)
	dashes = regexp.MustCompile(`[-─═]{3,}`)
)

// canonical makes an output comparable with the other side's.
func (s *side) canonical(c Case, output Output) Output {
	if strings.Contains(c.Line, "-w protobuf") {
		output.Stdout = wireText(output.Stdout)
	}
	output.Stdout = s.masked(c, output.Stdout)
	output.Stderr = s.masked(c, output.Stderr)
	if strings.HasPrefix(c.Line, "lease list") {
		// etcd lists leases by the time that is left.
		lines := strings.Split(output.Stdout, "\n")
		slices.Sort(lines)
		output.Stdout = strings.Join(lines, "\n")
	}
	if c.Loose {
		output.Stdout, output.Stderr = loosely(output.Stdout), loosely(output.Stderr)
	}
	return output
}

func (s *side) masked(c Case, text string) string {
	text = jsonBytes.ReplaceAllStringFunc(text, func(field string) string {
		parts := jsonBytes.FindStringSubmatch(field)
		plain, err := base64.StdEncoding.DecodeString(parts[2])
		if err != nil {
			return field
		}
		return fmt.Sprintf("%q:bytes(%q)", parts[1], plain)
	})
	for _, each := range s.namesByLength() {
		text = strings.ReplaceAll(text, each.text, each.stands)
	}
	text = padded.ReplaceAllString(text, " $1")
	if strings.Contains(c.Line, "-w table") {
		// The width of a column follows what stands in it.
		text = blanks.ReplaceAllString(dashes.ReplaceAllString(text, "---"), " ")
	}
	for _, each := range masks {
		if each.lines == "" || regexp.MustCompile(each.lines).MatchString(c.Line) {
			text = each.pattern.ReplaceAllString(text, each.with)
		}
	}
	return text
}

// namesByLength is what stands for this side's ids, the longest text first, so that none is
// replaced inside of another.
func (s *side) namesByLength() []name {
	names := slices.Clone(s.names)
	for i, id := range s.leases {
		stands := fmt.Sprintf("LEASE%d", i+1)
		names = append(names, name{fmt.Sprintf("%016x", id), stands},
			name{fmt.Sprintf("%x", id), stands}, name{fmt.Sprint(id), stands})
	}
	slices.SortStableFunc(names, func(a, b name) int { return cmp.Compare(len(b.text), len(a.text)) })
	return names
}

var (
	numbers = regexp.MustCompile(`\d+`)
	// balancer is followed by which of its attempts a client has seen last.
	balancer = regexp.MustCompile(`(latest balancer error: )[^}\n]*`)
)

// loosely leaves each line's words without numbers, and without how a connection has failed.
func loosely(text string) string {
	return numbers.ReplaceAllString(balancer.ReplaceAllString(text, "$1…"), "N")
}
