package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// judgeLogs reads the API servers' logs for errors that name the store, and says what the store
// used.
func (r *run) judgeLogs() error {
	for _, s := range r.cluster.servers {
		outside, inside, err := storageErrors(s.process.log, r.outages)
		if err != nil {
			return err
		}
		r.report.check(len(outside) == 0, s.name+" log has no error that names storage", "%s",
			few(outside))
		fmt.Printf("    %d such lines in the outages, the first: %s\n", len(inside),
			few(first(inside)))
		unsupported, err := grepFile(s.process.log,
			unsupportedFeature)
		if err != nil {
			return err
		}
		r.report.check(len(unsupported) == 0,
			s.name+" finds RequestWatchProgress and RangeStream supported", "%s", few(unsupported))
	}
	if r.cluster.store.standing != nil {
		r.noteServers()
		return nil
	}
	wrong, err := storeErrors(r.cluster.store.process.log, r.outages)
	if err != nil {
		return err
	}
	r.report.check(len(wrong) == 0, "store's log has no error and no panic", "%s", few(wrong))
	r.noteUsage()
	return nil
}

// storeErrors lists what the store's own log calls an error outside the outages, and a panic at any
// time. A probe that fails is judged by itself.
func storeErrors(path string, outages []*outage) ([]string, error) {
	lines, err := grepFile(path, storeError)
	return slices.DeleteFunc(lines, func(line string) bool {
		at, _ := readErrorLine(line)
		return covered(outages, at) || strings.Contains(line, `"Health check error"`)
	}), err
}

func (r *run) noteUsage() {
	u, b := r.cluster.store.process.usage(), r.cluster.storeBefore
	r.report.note("store: cpu %.1f s before the kill, %.1f s after; resident %d MiB "+
		"(peak %d and %d MiB); written %d MiB",
		b.cpu.Seconds(), u.cpu.Seconds(), u.resident>>20, b.peakResident>>20, u.peakResident>>20,
		(b.written+u.written)>>20)
	r.noteServers()
}

func (r *run) noteServers() {
	for _, s := range r.cluster.servers {
		u := s.process.usage()
		r.report.note("%s API server: cpu %.1f s, resident %d MiB", s.name, u.cpu.Seconds(),
			u.resident>>20)
	}
}

// compactorLag is how long after an outage an API server may find that its watch of compact_rev_key,
// which hears of no progress, was overtaken by compaction; it says so once, on any store.
const compactorLag = time.Minute

var (
	compactorOvertaken = regexp.MustCompile(`compact\.go:\d+\] etcd: endpoint .*: ` +
		`etcdserver: mvcc: required revision has been compacted$`)
	// discardedSync is an API server that gives up its own request while it starts (see discarded); what a store
	// says would be an error of gRPC.
	discardedSync = regexp.MustCompile(`watcher\.go:\d+\] failed to sync with latest state: context canceled$`)
	klogError     = regexp.MustCompile(`^[WEF](\d{4} \d{2}:\d{2}:\d{2}\.\d{6}) +\d+ ([a-z0-9_]+\.go):`)
	storageFiles  = regexp.MustCompile(`^(compact|watcher|store|decoder|lease_manager|etcd3|cacher|` +
		`watch_cache|cache_watcher|delegator|feature_support_checker)\.go$`)
	unsupportedFeature = regexp.MustCompile(`(RequestWatchProgress|RangeStream).*not support|` +
		`not support.*(RequestWatchProgress|RangeStream)`)
	storeError     = regexp.MustCompile(`"level":"(error|dpanic|panic|fatal)"|^panic:|panicked at`)
	compactedWatch = regexp.MustCompile(`^W.*watch chan error: .*required revision has been compacted`)
	storageWords   = regexp.MustCompile(`(?i)etcd|storage|cacher|mvcc|rpc error|transport:|watch chan`)
)

// storageErrors splits a log's error lines that name the store by whether they fall into an
// outage.
func storageErrors(path string, outages []*outage) (outside, inside []string, err error) {
	lines, err := grepFile(path,
		regexp.MustCompile(`^[EF]\d{4} |"level":"(error|dpanic|panic|fatal)"|^panic:|^fatal error:`))
	for _, line := range lines {
		at, names := readErrorLine(line)
		switch {
		case !names, discardedSync.MatchString(line):
		case covered(outages, at), compactorOvertaken.MatchString(line) &&
			covered(outages, at.Add(-compactorLag)):
			inside = append(inside, line)
		default:
			outside = append(outside, line)
		}
	}
	return outside, inside, err
}

// readErrorLine gives a line's time and whether it names the store. A line whose time cannot be
// read lies outside every outage.
func readErrorLine(line string) (time.Time, bool) {
	if parts := klogError.FindStringSubmatch(line); parts != nil {
		at, err := time.ParseInLocation("2006 0102 15:04:05.000000",
			time.Now().Format("2006 ")+parts[1], time.Local)
		names := storageFiles.MatchString(parts[2]) || storageWords.MatchString(line)
		if err != nil {
			return time.Time{}, names
		}
		return at, names
	}
	var record struct {
		At string `json:"ts"`
	}
	if json.Unmarshal([]byte(line), &record) == nil {
		if at, err := time.Parse("2006-01-02T15:04:05.999999Z0700", record.At); err == nil {
			return at, true
		}
	}
	return time.Time{}, true
}

func grepFile(path string, pattern *regexp.Regexp) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []string
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 1<<20), 1<<24)
	for lines.Scan() {
		if pattern.MatchString(lines.Text()) {
			found = append(found, strings.TrimSpace(lines.Text()))
		}
	}
	return found, lines.Err()
}
