package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// tally counts what informers ask for: fresh lists (by list, or by a watch that begins with all
// objects) and watches taken up where they stood.
type tally struct {
	mu      sync.Mutex
	lists   int
	watches int
	next    http.RoundTripper
}

func (t *tally) RoundTrip(request *http.Request) (*http.Response, error) {
	query := request.URL.Query()
	t.mu.Lock()
	if query.Get("watch") == "" || query.Get("sendInitialEvents") == "true" {
		t.lists++
	} else {
		t.watches++
	}
	t.mu.Unlock()
	return t.next.RoundTrip(request)
}

func (t *tally) counts() (lists, watches int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lists, t.watches
}

// watchers are the informers of one API server, for the kinds that this run touches most.
type watchers struct {
	name       string
	tally      *tally
	configMaps cache.SharedIndexInformer
	pods       cache.SharedIndexInformer
	kinds      int
}

// startInformers starts them and waits until each has its first full picture.
func startInformers(ctx context.Context, s *apiServer) (*watchers, error) {
	w := &watchers{name: s.name, tally: &tally{}}
	config := rest.CopyConfig(s.config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		w.tally.next = next
		return w.tally
	})
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	w.configMaps = factory.Core().V1().ConfigMaps().Informer()
	w.pods = factory.Core().V1().Pods().Informer()
	all := []cache.SharedIndexInformer{w.configMaps, w.pods,
		factory.Apps().V1().ReplicaSets().Informer(), factory.Apps().V1().Deployments().Informer(),
		factory.Core().V1().Namespaces().Informer(), factory.Core().V1().Secrets().Informer(),
		factory.Coordination().V1().Leases().Informer(),
		factory.Core().V1().ServiceAccounts().Informer()}
	w.kinds = len(all)
	factory.StartWithContext(ctx)
	return w, await(ctx, 60*time.Second, s.name+" informers to sync", func(context.Context) (bool,
		string) {
		synced := 0
		for _, informer := range all {
			if informer.HasSynced() {
				synced++
			}
		}
		return synced == len(all), fmt.Sprintf("%d of %d synced", synced, len(all))
	})
}

// written lists what the informer holds of the ledger's objects.
func (w *watchers) written() map[string]int64 {
	listed := map[string]int64{}
	for _, item := range w.configMaps.GetStore().List() {
		object, ok := item.(*corev1.ConfigMap)
		if ok && object.Labels[ledgerLabel] != "" {
			listed[keyOf(object)] = revisionOf(object)
		}
	}
	return listed
}

// agree waits until the informer holds exactly what the ledger says, and tells what differs if not.
func (w *watchers) agree(ctx context.Context, l *ledger) error {
	return await(ctx, 20*time.Second, w.name+" informer to agree with the ledger",
		func(context.Context) (bool, string) {
			wrong := l.compare(w.written())
			return len(wrong) == 0, few(wrong)
		})
}

// listWritten lists the ledger's objects through an API server.
func listWritten(ctx context.Context, c kubernetes.Interface) (map[string]int64, error) {
	list, err := c.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{LabelSelector: ledgerLabel})
	if err != nil {
		return nil, err
	}
	listed := map[string]int64{}
	for i := range list.Items {
		listed[keyOf(&list.Items[i])] = revisionOf(&list.Items[i])
	}
	return listed, nil
}
