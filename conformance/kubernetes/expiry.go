package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	retry "k8s.io/client-go/tools/watch"
)

const expiringEvents = 10

// expiry follows events, which live on leases of the store, from their creation to their end.
type expiry struct {
	mu      sync.Mutex
	made    time.Time
	ended   map[string]int
	soonest time.Duration
	stop    context.CancelFunc
}

// eventsAndLeases hands leadership from one candidate to another and makes events that will expire.
func (r *run) eventsAndLeases() error {
	if err := r.handOver(); err != nil {
		return err
	}
	ctx, cancel := r.within(30 * time.Second)
	defer cancel()
	list, err := r.clients[1].CoreV1().Events("play").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	r.events = &expiry{made: time.Now(), ended: map[string]int{}}
	if err := r.events.follow(r.ctx, r.clients[1], list.ResourceVersion); err != nil {
		return err
	}
	for i := range expiringEvents {
		event := &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("expiring-%d", i),
				Namespace: "play"},
			InvolvedObject: corev1.ObjectReference{Kind: "ConfigMap", Namespace: "play",
				Name: "any"},
			Reason: "Conformance", Type: corev1.EventTypeNormal,
			Message: "lives on a lease",
		}
		_, err := r.clients[i%2].CoreV1().Events("play").Create(ctx, event, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	return r.checkEvents("are there when made")
}

func (r *run) checkEvents(when string) error {
	ctx, cancel := r.within(10 * time.Second)
	defer cancel()
	list, err := r.clients[1].CoreV1().Events("play").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	r.report.check(len(list.Items) == expiringEvents, "events "+when, "%d of %d", len(list.Items),
		expiringEvents)
	return nil
}

// follow counts the ends of events, across whatever the watch has to survive.
func (e *expiry) follow(ctx context.Context, c kubernetes.Interface, from string) error {
	ctx, e.stop = context.WithCancel(ctx)
	source := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context,
		o metav1.ListOptions) (watch.Interface, error) {
		return c.CoreV1().Events("play").Watch(ctx, o)
	}}
	stream, err := retry.NewRetryWatcherWithContext(ctx, from, source)
	if err != nil {
		return err
	}
	go func() {
		for event := range stream.ResultChan() {
			e.take(event)
		}
	}()
	return nil
}

func (e *expiry) take(event watch.Event) {
	object, ok := event.Object.(*corev1.Event)
	if !ok || event.Type != watch.Deleted {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ended) == 0 {
		e.soonest = time.Since(e.made)
	}
	e.ended[object.Name]++
}

// eventsExpire waits for the end of every event, and checks that none ended early.
func (r *run) eventsExpire() error {
	if r.events == nil {
		return fmt.Errorf("no events were made")
	}
	defer r.events.stop()
	limit := r.opt.eventTTL + 60*time.Second
	err := await(r.ctx, limit, "events to expire", func(ctx context.Context) (bool, string) {
		list, err := r.clients[1].CoreV1().Events("play").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err.Error()
		}
		r.events.mu.Lock()
		defer r.events.mu.Unlock()
		return len(list.Items) == 0 && len(r.events.ended) == expiringEvents,
			fmt.Sprintf("%d left, end of %d seen", len(list.Items), len(r.events.ended))
	})
	if err != nil {
		return err
	}
	r.events.mu.Lock()
	defer r.events.mu.Unlock()
	twice := 0
	for _, times := range r.events.ended {
		if times != 1 {
			twice++
		}
	}
	r.report.check(twice == 0, "end of each event is seen once", "%d events", len(r.events.ended))
	r.report.check(r.events.soonest >= r.opt.eventTTL, "no event ends before its time",
		"first after %.1f s, TTL %s", r.events.soonest.Seconds(), r.opt.eventTTL)
	return nil
}

// handOver runs two candidates for one lease: the second leads only when the first has let go.
func (r *run) handOver() error {
	ctx, cancel := r.within(60 * time.Second)
	defer cancel()
	led := make(chan string, 4)
	first, letGo := context.WithCancel(ctx)
	defer letGo()
	if err := r.candidate(first, 0, led); err != nil {
		return err
	}
	if err := awaitLeader(ctx, led, "candidate-0"); err != nil {
		return err
	}
	if err := r.candidate(ctx, 1, led); err != nil {
		return err
	}
	select {
	case name := <-led:
		return fmt.Errorf("%s leads beside candidate-0", name)
	case <-time.After(2 * time.Second):
	}
	letGo()
	if err := awaitLeader(ctx, led, "candidate-1"); err != nil {
		return err
	}
	r.report.check(true, "leadership passes by lease from one candidate to the other", "")
	return nil
}

func awaitLeader(ctx context.Context, led <-chan string, want string) error {
	select {
	case name := <-led:
		if name != want {
			return fmt.Errorf("%s leads instead of %s", name, want)
		}
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("waited 20s for %s to lead", want)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// uncancelled lets a request that has begun come to its end: one given up by its client would be
// counted by the API server as an error of the store.
type uncancelled struct{ next http.RoundTripper }

func (u uncancelled) RoundTrip(request *http.Request) (*http.Response, error) {
	return u.next.RoundTrip(request.WithContext(context.WithoutCancel(request.Context())))
}

func (r *run) candidate(ctx context.Context, server int, led chan<- string) error {
	name := fmt.Sprintf("candidate-%d", server)
	config := rest.CopyConfig(r.cluster.servers[server].config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return uncancelled{next} })
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: "play", Name: "office"},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		},
		LeaseDuration: 5 * time.Second, RenewDeadline: 4 * time.Second,
		RetryPeriod:     300 * time.Millisecond,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { led <- name },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return err
	}
	go elector.Run(ctx)
	return nil
}
