package main

import (
	"context"
	"fmt"
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
		err := await(r.ctx, 20*time.Second, name+" to see the last write",
			func(context.Context) (bool, string) {
				at := recording.position()
				return at >= fence, fmt.Sprintf("at %d of %d", at, fence)
			})
		if err != nil {
			r.report.check(false, name, "%v", err)
		}
		wrong := recording.judge(r.ledger, r.from)
		r.report.check(len(wrong) == 0, name+" saw every write once and in order",
			"%d events, %d acknowledged writes, %d doubtful; wrong %s", len(recording.events),
			acked, doubtful, few(wrong))
	}
	for _, w := range r.informers {
		err := w.agree(r.ctx, r.ledger)
		r.report.check(err == nil, w.name+" informers hold what was acknowledged", "%s",
			reason(err))
	}
	r.report.check(len(r.ledger.violations) == 0,
		"resourceVersions are unique and follow real time", "%s", few(r.ledger.violations))
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
		r.report.check(streams > 0, s.name+" lists by RangeStream",
			"%.0f streams, %.0f lists streamed", streams,
			end[i].sum("apiserver_storage_list_duration_seconds_count", `streamed="true"`))
		r.report.check(end[i].sum("apiserver_storage_decode_errors_total") == 0,
			s.name+" decodes every value", "")
		r.report.check(end[i].sum("apiserver_storage_size_bytes") > 0,
			s.name+" learns the store's size",
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
	r.report.check(outside == 0, fmt.Sprintf("%s %s{%s} is zero outside the outage", server, name,
		strings.Join(labels, ",")),
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
	r.report.check(fromCache > 0 && notices > 0,
		"consistent reads come from the cache by progress notices",
		"%.0f reads, %.0f notices", fromCache, notices)
	wrong := end.sum("apiserver_storage_consistency_checks_total", `status="failure"`)
	r.report.check(wrong == 0, "watch cache and store agree where the API server compared them",
		"%.0f comparisons",
		end.sum("apiserver_storage_consistency_checks_total"))
}

// compaction waits until the API servers' own compaction overtakes a paged list, whose next page
// must then be refused with a fresh token that works.
func (r *run) compaction() error {
	maps := r.clients[1].CoreV1().ConfigMaps("")
	ctx, cancel := r.within(r.opt.compaction*4 + 60*time.Second)
	defer cancel()
	first, err := maps.List(ctx, metav1.ListOptions{Limit: 50})
	if err != nil {
		return err
	}
	expired, err := r.awaitExpired(ctx, first.Continue)
	if err != nil {
		return err
	}
	token := expired.ErrStatus.Continue
	r.report.check(expired.ErrStatus.Code == 410 && token != "",
		"page of a compacted revision is refused with a fresh token",
		"%s", expired.ErrStatus.Message)
	others, err := maps.List(ctx, metav1.ListOptions{Continue: token})
	if err != nil {
		return err
	}
	whole, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	r.report.check(len(first.Items)+len(others.Items) == len(whole.Items),
		"fresh token goes on after the last page",
		"%d and %d of %d objects", len(first.Items), len(others.Items), len(whole.Items))
	r.checkListed("after compaction")
	return nil
}

// awaitExpired asks for a page until compaction makes it refuse.
func (r *run) awaitExpired(ctx context.Context, token string) (*apierrors.StatusError, error) {
	var expired *apierrors.StatusError
	err := await(ctx, r.opt.compaction*4+30*time.Second,
		"the continue token to expire by compaction",
		func(ctx context.Context) (bool, string) {
			pause(ctx, time.Second)
			page := metav1.ListOptions{Limit: 10, Continue: token}
			_, err := r.clients[1].CoreV1().ConfigMaps("").List(ctx, page)
			if status, is := err.(*apierrors.StatusError); is && apierrors.IsResourceExpired(err) {
				expired = status
				return true, ""
			}
			return false, fmt.Sprint(err)
		})
	return expired, err
}
