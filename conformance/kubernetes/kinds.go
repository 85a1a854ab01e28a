package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
)

// awaitKinds waits until every kind is served from the store by both servers: each has a connection
// of its own to the store, which comes back when its backoff is over. Until then the outage lasts.
func (r *run) awaitKinds(back time.Time) error {
	for i, s := range r.cluster.servers {
		kinds, err := storedKinds(r.clients[i].Discovery())
		if err != nil {
			return err
		}
		client, err := dynamic.NewForConfig(s.config)
		if err != nil {
			return err
		}
		left := kinds
		err = await(r.ctx, 60*time.Second, "every kind of the "+s.name+" API server to be served",
			func(ctx context.Context) (bool, string) {
				var last error
				left = slices.DeleteFunc(left, func(k kind) bool {
					err := absent(ctx, client, k)
					last = errors.Join(last, err)
					return err == nil
				})
				return len(left) == 0, fmt.Sprintf("%d left: %s", len(left),
					firstLine(reason(last)))
			})
		if err != nil {
			return err
		}
		r.report.check(len(kinds) > 40, s.name+" API server serves every kind again",
			"%d kinds, %.1f s after the store was back", len(kinds), time.Since(back).Seconds())
	}
	return nil
}

// kind is one kind of object that the store keeps.
type kind struct {
	resource   schema.GroupVersionResource
	namespaced bool
}

// storedKinds are those that can be got by name.
func storedKinds(c discovery.DiscoveryInterface) ([]kind, error) {
	lists, err := discovery.ServerPreferredResources(c)
	if err != nil {
		return nil, err
	}
	var kinds []kind
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, resource := range list.APIResources {
			if slices.Contains(resource.Verbs, "create") && slices.Contains(resource.Verbs, "get") {
				kinds = append(kinds, kind{group.WithResource(resource.Name), resource.Namespaced})
			}
		}
	}
	return kinds, nil
}

// absent asks for an object that is not there; only the store can tell.
func absent(ctx context.Context, client dynamic.Interface, k kind) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	var objects dynamic.ResourceInterface = client.Resource(k.resource)
	if k.namespaced {
		objects = client.Resource(k.resource).Namespace("default")
	}
	_, err := objects.Get(ctx, "absent", metav1.GetOptions{})
	if status, is := err.(*apierrors.StatusError); is && apierrors.IsNotFound(err) &&
		status.ErrStatus.Details != nil && status.ErrStatus.Details.Name == "absent" {
		return nil
	}
	return fmt.Errorf("%s: %w", k.resource.Resource, err)
}
