package main

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed scripts/*.txt
var scriptFiles embed.FS

// Script is a list of commands for one fresh pair of servers.
type Script struct {
	Name string
	// Args are the servers' flags.
	Args []string
	// Own lets each server advertise where it listens, so that ids differ and are masked; else
	// both have one identity and ids must agree.
	Own bool
	// Masked hides ids.
	Masked bool
	// Secure serves over TLS with client certificates.
	Secure bool
	// Second starts one more server a side: {second}.
	Second bool
	Cases  []Case
}

// Case is one command line with what goes in and what happens while it runs.
type Case struct {
	// Name is stable: the script's name and the line, with a number if the line stands there twice.
	Name string
	// Line is split as a shell would; a first word of etcdutl runs that instead of etcdctl.
	Line  string
	Env   []string
	Input string
	// Running tells that the command does not end by itself: it is interrupted when both
	// sides are quiet.
	Running bool
	// Hold are commands that run beside it from before its start, until "release" or its end.
	Hold []string
	// While are commands to run once it waits.
	While []string
	// Loose compares no more than the shape: what the line measures differs every time.
	Loose bool
}

var formats = []string{"simple", "json", "fields", "table", "protobuf"}

// readScripts parses every file of the table. A line is a command; with "*" before it, it runs
// in all formats; with "~", it runs until interrupted. Indented lines belong to it:
//
//	< text            a line of its input
//	env: NAME=value   one more variable
//	hold: command     runs beside it, until "release"
//	while: command    runs once it waits
//	loose             only the shape of the output is compared
//
// "pause 3s" is no command. "!" lines before the first command set the servers' flags, or one of: own, secure, second.
func readScripts() ([]Script, error) {
	entries, err := scriptFiles.ReadDir("scripts")
	if err != nil {
		return nil, err
	}
	var scripts []Script
	for _, entry := range entries {
		text, err := scriptFiles.ReadFile(path.Join("scripts", entry.Name()))
		if err != nil {
			return nil, err
		}
		script, err := parseScript(strings.TrimSuffix(entry.Name(), ".txt"), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		scripts = append(scripts, script)
	}
	return scripts, nil
}

func parseScript(name, text string) (Script, error) {
	script := Script{Name: name}
	var group []Case
	seen := map[string]int{}
	flush := func() {
		for _, each := range group {
			seen[each.Line]++
			each.Name = name + ": " + each.Line
			if count := seen[each.Line]; count > 1 {
				each.Name += fmt.Sprintf(" #%d", count)
			}
			script.Cases = append(script.Cases, each)
		}
		group = nil
	}
	for number, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || line[0] == '#':
		case line[0] == '!':
			script.setting(strings.TrimSpace(line[1:]))
		case line[0] == ' ' || line[0] == '\t':
			if len(group) == 0 {
				return script, fmt.Errorf("line %d belongs to no command", number+1)
			}
			for i := range group {
				if err := group[i].detail(trimmed); err != nil {
					return script, fmt.Errorf("line %d: %w", number+1, err)
				}
			}
		default:
			flush()
			group = commandLine(trimmed)
		}
	}
	flush()
	return script, nil
}

func (s *Script) setting(word string) {
	switch word {
	case "own":
		s.Own = true
	case "secure":
		s.Secure = true
	case "second":
		s.Second = true
	default:
		s.Args = append(s.Args, word)
	}
}

func commandLine(line string) []Case {
	running, all := false, false
	for {
		switch line[0] {
		case '~':
			running = true
		case '*':
			all = true
		default:
			if !all {
				return []Case{{Line: line, Running: running}}
			}
			var group []Case
			for _, format := range formats {
				group = append(group, Case{Line: insertFormat(line, format), Running: running})
			}
			return group
		}
		line = strings.TrimSpace(line[1:])
	}
}

// insertFormat puts the flag before "--", behind which it would be an argument.
func insertFormat(line, format string) string {
	if before, after, found := strings.Cut(line, " -- "); found {
		return before + " -w " + format + " -- " + after
	}
	return line + " -w " + format
}

func (c *Case) detail(line string) error {
	switch word, rest, _ := strings.Cut(line, " "); word {
	case "<":
		c.Input += rest + "\n"
	case "env:":
		c.Env = append(c.Env, rest)
	case "hold:":
		c.Hold = append(c.Hold, rest)
	case "while:":
		c.While = append(c.While, rest)
	case "loose":
		c.Loose = true
	default:
		return fmt.Errorf("unknown detail %q", word)
	}
	return nil
}

// split cuts a line into words as a shell does: quotes of both kinds, no escapes.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	started := false
	quote := rune(0)
	for _, char := range line {
		switch {
		case quote != 0 && char == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(char)
		case char == '\'' || char == '"':
			quote, started = char, true
		case char == ' ':
			if started || word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
			started = false
		default:
			word.WriteRune(char)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is open in %q", line)
	}
	if started || word.Len() > 0 {
		words = append(words, word.String())
	}
	return words, nil
}
