package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// run is one pass over one store: what is running, what was written, what was seen.
type run struct {
	ctx        context.Context
	cancel     context.CancelFunc
	opt        options
	dir        string
	report     *report
	cluster    *cluster
	clients    [2]*kubernetes.Clientset
	dynamic    dynamic.Interface
	ledger     *ledger
	from       int64
	began      time.Time
	recordings []*recording
	informers  []*watchers
	events     *expiry
	held       *held
	nodes      []*node
	outages    []*outage
	once       sync.Once
}

// phase is one part of the run. After a vital one fails nothing else makes sense.
type phase struct {
	name  string
	vital bool
	do    func(*run) error
}

func (r *run) phases() []phase {
	return []phase{
		{"bootstrap", true, (*run).bootstrap},
		{"who is let in", false, (*run).access},
		{"create objects", true, (*run).createObjects},
		{"pages while others write", false, (*run).pages},
		{"a page is held", false, (*run).holdPages},
		{"resource versions", false, (*run).resourceVersions},
		{"streaming lists", false, (*run).streamingLists},
		{"patches and conflicts", false, (*run).patches},
		{"kubectl", false, (*run).kubectlTour},
		{"deployment", false, (*run).deployment},
		{"events and leases", false, (*run).eventsAndLeases},
		{"store killed under load", true, (*run).crash},
		{"rollout and scale down", false, (*run).rollout},
		{"custom resources", false, (*run).customResources},
		{"finalizers and collections", false, (*run).removals},
		{"namespace deletion", false, (*run).namespaceDeletion},
		{"events expire", false, (*run).eventsExpire},
		{"encryption at rest", false, (*run).encryption},
		{"store's certificates", false, (*run).certificates},
		{"store restarted under load", true, (*run).restarts},
		{"store frozen", true, (*run).freeze},
		{"store away", true, (*run).absence},
		{"controllers and scheduler come back", false, (*run).comeBack},
		{"watches and informers", false, (*run).judgeWatches},
		{"metrics and probes", false, (*run).judgeMetrics},
		{"compaction under a paged list", false, (*run).compaction},
		{"logs and resources", false, (*run).judgeLogs},
	}
}

func newRun(parent context.Context, opt options) (*run, error) {
	dir := opt.logs
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "kubernetes-conformance-")
	} else if dir, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		return nil, fmt.Errorf("%s holds the data of an earlier run", dir)
	}
	if err := quietClient(dir); err != nil {
		return nil, err
	}
	r := &run{opt: opt, dir: dir, report: &report{}, ledger: newLedger(), began: time.Now()}
	r.ctx, r.cancel = context.WithCancel(parent)
	if r.cluster, err = newCluster(opt, dir); err != nil {
		return nil, err
	}
	for i, s := range r.cluster.servers {
		if r.clients[i], err = kubernetes.NewForConfig(s.config); err != nil {
			return nil, err
		}
	}
	r.dynamic, err = dynamic.NewForConfig(r.cluster.servers[0].config)
	return r, err
}

// quietClient sends what the client library logs of itself to a file.
func quietClient(dir string) error {
	out, err := os.Create(filepath.Join(dir, "client.log"))
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	klog.SetOutput(out)
	return flags.Parse([]string{"-logtostderr=false", "-stderrthreshold=FATAL"})
}

// perform runs one phase under a limit of its own and tells whether the run may go on.
func (r *run) perform(p phase) bool {
	fmt.Println(p.name)
	began := time.Now()
	err := p.do(r)
	r.report.took(p.name, time.Since(began))
	if r.ctx.Err() != nil {
		r.report.check(false, p.name, "stopped by a signal")
		return false
	}
	if err != nil {
		r.report.check(false, p.name, "%v", err)
	}
	if fallen := r.cluster.fallen(); len(fallen) > 0 {
		r.report.check(false, "every process still runs", "%s", few(fallen))
		return false
	}
	return err == nil || !p.vital
}

// close ends every child and removes the data of a run that passed; safe to call twice.
func (r *run) close() {
	r.once.Do(func() {
		r.cancel()
		stopped := r.cluster.close()
		if !r.opt.standing.any() {
			r.report.check(stopped, "store stops on SIGTERM", "within 10 s")
		}
		if !r.opt.keep && !r.report.hasFailed() {
			if err := r.removeData(); err != nil {
				r.report.note("data directory not removed: %v", err)
			}
		}
	})
}

// within gives a context for one request or one small group of them.
func (r *run) within(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.ctx, patient(limit))
}
