package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// report collects every verdict and the time each phase took. Safe for concurrent use.
type report struct {
	mu     sync.Mutex
	passed int
	failed []string
	times  []phaseTime
	notes  []string
}

type phaseTime struct {
	name string
	took time.Duration
}

// check records one verdict and prints it at once; detail is shown in both cases.
func (r *report) check(ok bool, name, format string, args ...any) {
	detail := fmt.Sprintf(format, args...)
	line := name
	if detail != "" {
		line += ": " + detail
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok {
		r.passed++
		fmt.Println("  PASS", line)
		return
	}
	r.failed = append(r.failed, line)
	fmt.Println("  FAIL", line)
}

func (r *report) hasFailed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failed) > 0
}

// note records something worth reading that is neither pass nor fail.
func (r *report) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	r.notes = append(r.notes, line)
	fmt.Println("  note", line)
}

func (r *report) took(name string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, phaseTime{name, d})
}

// conclude prints the summary and gives the exit code.
func (r *report) conclude(logs string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Println("\ntime per phase")
	for _, t := range r.times {
		fmt.Printf("  %6.1f s  %s\n", t.took.Seconds(), t.name)
	}
	for _, note := range r.notes {
		fmt.Println("note", note)
	}
	fmt.Printf("logs %s\n", logs)
	if len(r.failed) > 0 {
		fmt.Printf("FAIL: %d of %d checks\n", len(r.failed), len(r.failed)+r.passed)
		fmt.Println("  " + strings.Join(r.failed, "\n  "))
		return 1
	}
	if r.passed == 0 {
		fmt.Println("FAIL: nothing was checked")
		return 1
	}
	fmt.Printf("PASS: all %d checks\n", r.passed)
	return 0
}

// few shows at most five of the findings, and how many there were.
func few(findings []string) string {
	if len(findings) == 0 {
		return "none"
	}
	shown := findings
	if len(shown) > 5 {
		shown = shown[:5]
	}
	return fmt.Sprintf("%d: %s", len(findings), strings.Join(shown, "; "))
}

// first gives the first finding alone, when there is one.
func first(findings []string) []string { return findings[:min(1, len(findings))] }

// reason is an error's text; nothing when there is none.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
