package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// streamingLists reads lists as watches that begin with every object and mark where the beginning
// ends, through both servers, and goes on watching.
func (r *run) streamingLists() error {
	for i, s := range r.cluster.servers {
		if err := r.streamingListOf(r.clients[i], s.name); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (r *run) streamingListOf(c kubernetes.Interface, server string) error {
	ctx, cancel := r.within(30 * time.Second)
	defer cancel()
	if err := r.ledger.create(ctx, c, "load-1/streamed-"+server); err != nil {
		return err
	}
	floor := r.ledger.floor()
	whole, err := c.CoreV1().ConfigMaps("load-1").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	all := true
	stream, err := c.CoreV1().ConfigMaps("load-1").Watch(ctx, metav1.ListOptions{
		SendInitialEvents: &all, AllowWatchBookmarks: true,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	if err != nil {
		return err
	}
	defer stream.Stop()
	beginning := untilMark(ctx, stream)
	want := map[string]int64{}
	for i := range whole.Items {
		want[keyOf(&whole.Items[i])] = revisionOf(&whole.Items[i])
	}
	wrong := judgeBeginning(beginning, want, floor)
	r.report.check(len(wrong) == 0, server+" streaming list holds every object and marks its end",
		"%d objects; wrong %s", len(want), few(wrong))
	key := "load-1/after-stream-" + server
	if err := r.ledger.create(ctx, c, key); err != nil {
		return err
	}
	kinds := gather(ctx, stream, 1)
	r.report.check(kinds[watch.Added] == 1, server+" streaming list goes on as a watch", "%v",
		kinds)
	return nil
}

// untilMark takes events up to the bookmark that ends the beginning; fewer when it does not come.
func untilMark(ctx context.Context, stream watch.Interface) []watch.Event {
	var events []watch.Event
	for {
		select {
		case event, open := <-stream.ResultChan():
			if !open {
				return events
			}
			events = append(events, event)
			if event.Type == watch.Bookmark {
				return events
			}
		case <-ctx.Done():
			return events
		}
	}
}

// judgeBeginning holds the first events of a streaming list against the list: each object once, as
// it is, then a bookmark that says so at a revision that is not older than what was acknowledged.
func judgeBeginning(events []watch.Event, want map[string]int64, floor int64) []string {
	var wrong []string
	got := map[string]int64{}
	marked := false
	for _, event := range events {
		object, ok := event.Object.(*corev1.ConfigMap)
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s %v", event.Type, event.Object))
		case event.Type == watch.Bookmark:
			marked = object.Annotations[metav1.InitialEventsAnnotationKey] == "true" &&
				revisionOf(object) >= floor
		case event.Type != watch.Added || got[keyOf(object)] != 0:
			wrong = append(wrong, fmt.Sprintf("%s %s", event.Type, keyOf(object)))
		default:
			got[keyOf(object)] = revisionOf(object)
		}
	}
	if !marked {
		wrong = append(wrong, "no bookmark marks the end of the list")
	}
	return append(wrong, unequal(got, want)...)
}

// unequal tells in what two pictures (key → revision) differ.
func unequal(got, want map[string]int64) []string {
	var wrong []string
	for key, revision := range want {
		if got[key] != revision {
			wrong = append(wrong, fmt.Sprintf("%s is at %d, expected at %d", key, got[key],
				revision))
		}
	}
	for key := range got {
		if _, there := want[key]; !there {
			wrong = append(wrong, key+" is not expected")
		}
	}
	return wrong
}
