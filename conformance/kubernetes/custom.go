package main

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

const widgetDefinition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.conformance.invalid}
spec:
  group: conformance.invalid
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {size: {type: integer, minimum: 1}}
          status:
            type: object
            properties: {phase: {type: string}}
`

var widgets = schema.GroupVersionResource{Group: "conformance.invalid", Version: "v1",
	Resource: "widgets"}

func widget(name string, size int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "conformance.invalid/v1", "kind": "Widget",
		"metadata": map[string]any{"name": name, "namespace": "play"},
		"spec":     map[string]any{"size": size},
	}}
}

// customResources defines a kind, uses it, and takes it away again.
func (r *run) customResources() error {
	if _, err := r.kubectl(widgetDefinition, "apply", "-f", "-"); err != nil {
		return err
	}
	r.checkKubectl("custom kind is established", "condition met", "", "wait",
		"--for=condition=Established",
		"crd/widgets.conformance.invalid", "--timeout=30s")
	if err := r.useWidgets(); err != nil {
		return err
	}
	r.checkKubectl("kubectl get of a custom kind", "widget-07", "", "-n", "play", "get", "widgets")
	_, err := r.kubectl("", "delete", "crd", "widgets.conformance.invalid", "--timeout=60s")
	if err != nil {
		return err
	}
	err = await(r.ctx, 30*time.Second, "the custom kind to be gone",
		func(ctx context.Context) (bool, string) {
			_, err := r.dynamic.Resource(widgets).Namespace("play").List(ctx, metav1.ListOptions{})
			return apierrors.IsNotFound(err), fmt.Sprint(err)
		})
	r.report.check(err == nil, "custom kind and its objects are gone", "")
	return err
}

func (r *run) useWidgets() error {
	ctx, cancel := r.within(60 * time.Second)
	defer cancel()
	client := r.dynamic.Resource(widgets).Namespace("play")
	err := await(ctx, 30*time.Second, "the custom kind to be served",
		func(ctx context.Context) (bool, string) {
			_, err := client.List(ctx, metav1.ListOptions{})
			return err == nil, fmt.Sprint(err)
		})
	if err != nil {
		return err
	}
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	stream, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return err
	}
	defer stream.Stop()
	for i := range 20 {
		object := widget(fmt.Sprintf("widget-%02d", i), int64(i+1))
		if _, err := client.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if err := r.changeWidgets(ctx, client); err != nil {
		return err
	}
	kinds := gather(ctx, stream, 21)
	r.report.check(fmt.Sprint(kinds) == "map[ADDED:20 MODIFIED:1]", "custom objects are watched",
		"%v", kinds)
	return nil
}

func (r *run) changeWidgets(ctx context.Context, client dynamic.ResourceInterface) error {
	_, err := client.Create(ctx, widget("wrong", 0), metav1.CreateOptions{})
	r.report.check(apierrors.IsInvalid(err), "custom object outside its schema is refused", "%v",
		err)
	_, err = client.Patch(ctx, "widget-07", types.MergePatchType,
		[]byte(`{"status":{"phase":"Done"}}`),
		metav1.PatchOptions{}, "status")
	if err != nil {
		return err
	}
	list, err := client.List(ctx, metav1.ListOptions{Limit: 7})
	if err != nil {
		return err
	}
	others, err := client.List(ctx, metav1.ListOptions{Limit: 100, Continue: list.GetContinue()})
	if err != nil {
		return err
	}
	r.report.check(len(list.Items) == 7 && len(others.Items) == 13, "custom objects list in pages",
		"%d and %d", len(list.Items), len(others.Items))
	return nil
}

// gather counts the kinds of the next n events; fewer when ten seconds bring no more.
func gather(ctx context.Context, stream watch.Interface, n int) map[watch.EventType]int {
	kinds := map[watch.EventType]int{}
	limit := time.After(10 * time.Second)
	for range n {
		select {
		case event, open := <-stream.ResultChan():
			if !open {
				return kinds
			}
			kinds[event.Type]++
		case <-limit:
			return kinds
		case <-ctx.Done():
			return kinds
		}
	}
	return kinds
}
