package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// watchers are the clients that listen: controllers with an informer on every kind, and what each
// node's kubelet watches besides what kwok does.
type watchers struct {
	config    *rest.Config
	kinds     int
	informers []cache.SharedIndexInformer
	open      atomic.Int64
	reopened  atomic.Int64
}

// startControllers gives each client an informer on every kind that can be listed and watched.
func (w *watchers) startControllers(ctx context.Context, clients int) error {
	kinds, err := everyKind(w.config)
	if err != nil {
		return err
	}
	w.kinds = len(kinds)
	for i := range clients {
		config := rest.CopyConfig(w.config)
		config.UserAgent = fmt.Sprintf("controller-%d", i)
		client, err := metadata.NewForConfig(config)
		if err != nil {
			return err
		}
		factory := metadatainformer.NewSharedInformerFactory(client, 0)
		for _, kind := range kinds {
			w.informers = append(w.informers, factory.ForResource(kind).Informer())
		}
		factory.Start(ctx.Done())
	}
	return await(ctx, 60*time.Second, "every informer to sync",
		func(context.Context) (bool, string) {
			synced := 0
			for _, informer := range w.informers {
				if informer.HasSynced() {
					synced++
				}
			}
			return synced == len(w.informers), fmt.Sprintf("%d of %d", synced, len(w.informers))
		})
}

func everyKind(config *rest.Config) ([]schema.GroupVersionResource, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	lists, err := client.ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	var all []schema.GroupVersionResource
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			// Events are one resource under two groups.
			twice := gv.Group == "events.k8s.io"
			if slices.Contains(r.Verbs, "watch") && slices.Contains(r.Verbs, "list") && !twice {
				all = append(all, gv.WithResource(r.Name))
			}
		}
	}
	return all, nil
}

// startKubelet opens what a kubelet watches of its own: its pods and its node.
func (w *watchers) startKubelet(ctx context.Context, client rest.Interface, node string) {
	go w.follow(ctx, client, "/api/v1/pods", "spec.nodeName="+node)
	go w.follow(ctx, client, "/api/v1/nodes", "metadata.name="+node)
}

// follow holds one watch open, from a first picture on, and reads whatever comes.
func (w *watchers) follow(ctx context.Context, client rest.Interface, path, field string) {
	query := url.Values{"watch": {"true"}, "fieldSelector": {field},
		"allowWatchBookmarks": {"true"}, "sendInitialEvents": {"true"},
		"resourceVersionMatch": {string(metav1.ResourceVersionMatchNotOlderThan)},
		"timeoutSeconds":       {"1800"}}
	for ctx.Err() == nil {
		stream, err := client.Get().RequestURI(path + "?" + query.Encode()).Stream(ctx)
		if err == nil {
			w.open.Add(1)
			// How a watch ends is in the count of those opened again.
			_, _ = io.Copy(io.Discard, stream)
			stream.Close()
			w.open.Add(-1)
		}
		if ctx.Err() == nil {
			w.reopened.Add(1)
			pause(ctx, time.Second)
		}
	}
}

func (w *watchers) String() string {
	return strings.Join([]string{fmt.Sprintf("%d informers on %d kinds", len(w.informers), w.kinds),
		fmt.Sprintf("%d watches of kubelets, %d opened again", w.open.Load(), w.reopened.Load())},
		", ")
}
