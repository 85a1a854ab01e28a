package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// judgeWatches sends one last write through, waits until everybody has seen it, and holds what the
// raw watches and the informers saw of the whole run against the ledger.
func (r *run) judgeWatches() error {
	ctx, cancel := r.within(10 * time.Second)
	defer cancel()
	if err := r.ledger.create(ctx, r.clients[0], "load-0/fence"); err != nil {
		return err
	}
	fence := r.ledger.floor()
	acked, doubtful := r.ledger.counts()
	for _, recording := range r.recordings {
		name := recording.name + " raw watch"
		err := await(r.ctx, 20*time.Second, name+" to see the last write", func(context.Context) (bool, string) {
			at := recording.position()
			return at >= fence, fmt.Sprintf("at %d of %d", at, fence)
		})
		if err != nil {
			r.report.check(false, name, "%v", err)
		}
		wrong := recording.judge(r.ledger, r.from)
		r.report.check(len(wrong) == 0, name+" saw every write once and in order",
			"%d events, %d acknowledged writes, %d doubtful; wrong %s", len(recording.events), acked, doubtful, few(wrong))
	}
	for _, w := range r.informers {
		err := w.agree(r.ctx, r.ledger)
		r.report.check(err == nil, w.name+" informers hold what was acknowledged", "%s", reason(err))
	}
	r.report.check(len(r.ledger.violations) == 0, "resourceVersions are unique and follow real time", "%s", few(r.ledger.violations))
	r.checkListed("at the end")
	return nil
}

// judgeMetrics reads what the API servers themselves counted against the store.
func (r *run) judgeMetrics() error {
	end, err := r.scrapeBoth()
	if err != nil {
		return err
	}
	if r.outage.end.IsZero() {
		return fmt.Errorf("the outage has no end, so nothing can be told apart from it")
	}
	for i, s := range r.cluster.servers {
		r.outsideOutage(s.name, "etcd_request_errors_total", end[i], i)
		streams := end[i].sum("etcd_requests_total", `operation="listStream"`)
		r.report.check(streams > 0, s.name+" lists by RangeStream", "%.0f streams, %.0f lists streamed", streams,
			end[i].sum("apiserver_storage_list_duration_seconds_count", `streamed="true"`))
		r.report.check(end[i].sum("apiserver_storage_decode_errors_total") == 0, s.name+" decodes every value", "")
		r.report.check(end[i].sum("apiserver_storage_size_bytes") > 0, s.name+" learns the store's size",
			"%.0f bytes", end[i].sum("apiserver_storage_size_bytes"))
	}
	r.judgeConsistentReads(end[0])
	return nil
}

// outsideOutage passes when a counter grew only between the two scrapes around the outage.
func (r *run) outsideOutage(server, name string, end metrics, i int, labels ...string) {
	before, after := r.outage.before[i].sum(name, labels...), r.outage.after[i].sum(name, labels...)
	outside := before + end.sum(name, labels...) - after
	var where []string
	if outside > 0 {
		where = append(grown(name, nil, r.outage.before[i], labels...),
			grown(name, r.outage.after[i], end, labels...)...)
	}
	r.report.check(outside == 0, fmt.Sprintf("%s %s{%s} is zero outside the outage", server, name, strings.Join(labels, ",")),
		"%.0f outside, %.0f in the outage; %s", outside, after-before, few(where))
}

func (r *run) judgeConsistentReads(end metrics) {
	const reads = "apiserver_watch_cache_consistent_read_total"
	r.outsideOutage("cached", reads, end, 0, `fallback="true"`)
	r.outsideOutage("cached", reads, end, 0, `fallback="skipped"`)
	// A read of a kind that is just being taken away fails, whatever the store.
	r.outsideOutage("cached", reads, end, 0, `success="false"`, `!group="conformance.invalid"`)
	fromCache := end.sum(reads, `success="true"`, `fallback="false"`)
	notices := end.sum("etcd_bookmark_total")
	r.report.check(fromCache > 0 && notices > 0, "consistent reads come from the cache by progress notices",
		"%.0f reads, %.0f notices", fromCache, notices)
	wrong := end.sum("apiserver_storage_consistency_checks_total", `status="failure"`)
	r.report.check(wrong == 0, "watch cache and store agree where the API server compared them", "%.0f comparisons",
		end.sum("apiserver_storage_consistency_checks_total"))
}

// compaction waits until the API servers' own compaction overtakes a paged list, whose next page must
// then be refused with a fresh token that works.
func (r *run) compaction() error {
	maps := r.clients[1].CoreV1().ConfigMaps("")
	ctx, cancel := r.within(r.opt.compaction*4 + 60*time.Second)
	defer cancel()
	first, err := maps.List(ctx, metav1.ListOptions{Limit: 50})
	if err != nil {
		return err
	}
	var expired *apierrors.StatusError
	err = await(ctx, r.opt.compaction*4+30*time.Second, "the continue token to expire by compaction",
		func(ctx context.Context) (bool, string) {
			pause(ctx, time.Second)
			_, err := maps.List(ctx, metav1.ListOptions{Limit: 10, Continue: first.Continue})
			if status, is := err.(*apierrors.StatusError); is && apierrors.IsResourceExpired(err) {
				expired = status
				return true, ""
			}
			return false, fmt.Sprint(err)
		})
	if err != nil {
		return err
	}
	token := expired.ErrStatus.Continue
	r.report.check(expired.ErrStatus.Code == 410 && token != "", "page of a compacted revision is refused with a fresh token",
		"%s", expired.ErrStatus.Message)
	others, err := maps.List(ctx, metav1.ListOptions{Continue: token})
	if err != nil {
		return err
	}
	whole, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	r.report.check(len(first.Items)+len(others.Items) == len(whole.Items), "fresh token goes on after the last page",
		"%d and %d of %d objects", len(first.Items), len(others.Items), len(whole.Items))
	r.checkListed("after compaction")
	return nil
}

// judgeLogs reads the API servers' logs for errors that name the store, and says what the store used.
func (r *run) judgeLogs() error {
	for _, s := range r.cluster.servers {
		outside, inside, err := storageErrors(s.process.log, r.outage)
		if err != nil {
			return err
		}
		r.report.check(len(outside) == 0, s.name+" log has no error that names storage", "%s", few(outside))
		for _, line := range inside {
			fmt.Println("    in the outage:", line)
		}
		unsupported, err := grepFile(s.process.log, regexp.MustCompile(`(RequestWatchProgress|RangeStream).*not support|not support.*(RequestWatchProgress|RangeStream)`))
		if err != nil {
			return err
		}
		r.report.check(len(unsupported) == 0, s.name+" finds RequestWatchProgress and RangeStream supported", "%s", few(unsupported))
	}
	u, b := r.cluster.store.usage(), r.cluster.storeBefore
	r.report.note("store: cpu %.1f s before the kill, %.1f s after; resident %d MiB (peak %d and %d MiB); written %d MiB",
		b.cpu.Seconds(), u.cpu.Seconds(), u.resident>>20, b.peakResident>>20, u.peakResident>>20, (b.written+u.written)>>20)
	for _, s := range r.cluster.servers {
		u := s.process.usage()
		r.report.note("%s API server: cpu %.1f s, resident %d MiB", s.name, u.cpu.Seconds(), u.resident>>20)
	}
	return nil
}

var (
	klogError    = regexp.MustCompile(`^[EF](\d{4} \d{2}:\d{2}:\d{2}\.\d{6}) +\d+ ([a-z0-9_]+\.go):`)
	storageFiles = regexp.MustCompile(`^(compact|watcher|store|decoder|lease_manager|feature_support_checker|etcd3|cacher|watch_cache|cache_watcher|delegator)\.go$`)
	storageWords = regexp.MustCompile(`(?i)etcd|storage|cacher|mvcc|rpc error|transport:|watch chan`)
)

// storageErrors splits a log's error lines that name the store by whether they fall into the outage.
func storageErrors(path string, o outage) (outside, inside []string, err error) {
	lines, err := grepFile(path, regexp.MustCompile(`^[EF]\d{4} |"level":"(error|dpanic|panic|fatal)"|^panic:|^fatal error:`))
	for _, line := range lines {
		at, names := readErrorLine(line)
		switch {
		case !names:
		case o.covers(at):
			inside = append(inside, line)
		default:
			outside = append(outside, line)
		}
	}
	return outside, inside, err
}

// readErrorLine gives a line's time and whether it names the store. A line whose time cannot be read
// lies outside every outage.
func readErrorLine(line string) (time.Time, bool) {
	if parts := klogError.FindStringSubmatch(line); parts != nil {
		at, err := time.ParseInLocation("2006 0102 15:04:05.000000", time.Now().Format("2006 ")+parts[1], time.Local)
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
