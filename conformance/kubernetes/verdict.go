package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
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
	for _, o := range r.outages {
		if o.end.IsZero() {
			return fmt.Errorf("the %s has no end, so nothing can be told apart from it", o.name)
		}
	}
	r.judgeProbes()
	for i, s := range r.cluster.servers {
		r.outsideOutages("etcd_request_errors_total", end[i], i)
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

// outsideOutages passes when a counter grew only between the two scrapes around each outage.
func (r *run) outsideOutages(name string, end metrics, i int, labels ...string) {
	where, inside := outsideGrowth(name, r.outages, end, i, labels...)
	r.report.check(len(where) == 0, fmt.Sprintf("%s %s{%s} is zero outside the outages",
		r.cluster.servers[i].name, name, strings.Join(labels, ",")),
		"outside %s; %.0f in the outages", few(where), inside)
}

// outsideGrowth lists the series of the i-th server that grew while the store was there, and sums
// what they grew while it was not.
func outsideGrowth(name string, outages []*outage, end metrics, i int,
	labels ...string) (where []string, inside float64) {
	started := end
	if len(outages) > 0 {
		started = outages[0].before[i]
	}
	last, since := slices.DeleteFunc(slices.Clone(started), func(s sample) bool { return !discarded(s) }), "the start"
	for _, o := range outages {
		where = append(where, labelled(since, grown(name, last, o.before[i], labels...))...)
		inside += o.after[i].sum(name, labels...) - o.before[i].sum(name, labels...)
		last, since = o.after[i], "the "+o.name
	}
	return append(where, labelled(since, grown(name, last, end, labels...))...), inside
}

func labelled(since string, series []string) []string {
	for i := range series {
		series[i] = "since " + since + " " + series[i]
	}
	return series
}

// judgeProbes holds what the kubelet's probes of the store were told against the outages.
func (r *run) judgeProbes() {
	if r.cluster.store.standing != nil {
		return
	}
	wrong := r.cluster.store.probing.outside(r.outages)
	asked, failed := r.cluster.store.probing.counts()
	r.report.check(len(wrong) == 0 && asked > 0,
		"store's /livez and /readyz are ok outside the outages",
		"asked %d times, failed %d; outside %s", asked, failed, few(wrong))
}

func (r *run) judgeConsistentReads(end metrics) {
	const reads = "apiserver_watch_cache_consistent_read_total"
	r.outsideOutages(reads, end, 0, `fallback="true"`)
	r.outsideOutages(reads, end, 0, `fallback="skipped"`)
	// A read of a kind that is just being taken away fails, whatever the store.
	r.outsideOutages(reads, end, 0, `success="false"`, `!group="conformance.invalid"`)
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
