package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
)

// patches changes objects in every way the API knows, through both servers.
func (r *run) patches() error {
	for i, s := range r.cluster.servers {
		ctx, cancel := r.within(60 * time.Second)
		maps := r.clients[i].CoreV1().ConfigMaps("play")
		err := r.patchesOf(ctx, maps, s.name)
		if err == nil {
			err = r.conflictsOf(ctx, maps, s.name)
		}
		if err == nil {
			err = r.applyOf(ctx, maps, s.name)
		}
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func plainMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
}

func (r *run) patchesOf(ctx context.Context, maps typed.ConfigMapInterface, server string) error {
	name := "patched-" + server
	first, err := maps.Create(ctx, plainMap(name, map[string]string{"a": "1", "b": "2"}),
		metav1.CreateOptions{})
	if err != nil {
		return err
	}
	last := revisionOf(first)
	for _, p := range []struct {
		kind types.PatchType
		body string
		want map[string]string
	}{
		{types.JSONPatchType,
			`[{"op":"test","path":"/data/a","value":"1"},` +
				`{"op":"replace","path":"/data/a","value":"json"}]`,
			map[string]string{"a": "json", "b": "2"}},
		{types.MergePatchType, `{"data":{"b":null,"c":"merge"}}`, map[string]string{"a": "json",
			"c": "merge"}},
		{types.StrategicMergePatchType, `{"data":{"d":"strategic"}}`,
			map[string]string{"a": "json", "c": "merge", "d": "strategic"}},
	} {
		got, err := maps.Patch(ctx, name, p.kind, []byte(p.body), metav1.PatchOptions{})
		if err != nil {
			return fmt.Errorf("%s: %w", p.kind, err)
		}
		again, err := maps.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		ok := fmt.Sprint(again.Data) == fmt.Sprint(p.want) && revisionOf(got) > last &&
			again.ResourceVersion == got.ResourceVersion
		r.report.check(ok, server+" "+string(p.kind), "%v at %s", again.Data, again.ResourceVersion)
		last = revisionOf(got)
	}
	_, err = maps.Patch(ctx, name, types.JSONPatchType,
		[]byte(`[{"op":"test","path":"/data/a","value":"other"}]`), metav1.PatchOptions{})
	r.report.check(apierrors.IsInvalid(err), server+" JSON patch whose test fails is refused",
		"%v", err)
	return nil
}

func (r *run) conflictsOf(ctx context.Context, maps typed.ConfigMapInterface, server string) error {
	name := "stale-" + server
	old, err := maps.Create(ctx, plainMap(name, map[string]string{"n": "1"}),
		metav1.CreateOptions{})
	if err != nil {
		return err
	}
	newer := old.DeepCopy()
	newer.Data["n"] = "2"
	newer, err = maps.Update(ctx, newer, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	old.Data["n"] = "3"
	_, err = maps.Update(ctx, old, metav1.UpdateOptions{})
	r.report.check(apierrors.IsConflict(err), server+" stale update conflicts", "%v", err)
	_, err = maps.Create(ctx, plainMap(name, nil), metav1.CreateOptions{})
	r.report.check(apierrors.IsAlreadyExists(err), server+" second create is refused", "%v", err)
	err = maps.Delete(ctx, name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{ResourceVersion: &old.ResourceVersion}})
	r.report.check(apierrors.IsConflict(err),
		server+" delete at a stale resourceVersion conflicts", "%v", err)
	same, err := maps.Update(ctx, newer, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	r.report.check(same.ResourceVersion == newer.ResourceVersion && same.Data["n"] == "2",
		server+" update that changes nothing keeps its resourceVersion", "%s", same.ResourceVersion)
	return nil
}

// applyOf is server-side apply: two managers, a conflict, and force.
func (r *run) applyOf(ctx context.Context, maps typed.ConfigMapInterface, server string) error {
	name := "applied-" + server
	apply := func(manager, value string, force bool) (*corev1.ConfigMap, error) {
		wanted := applyv1.ConfigMap(name, "play").WithData(map[string]string{"owner": value})
		return maps.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: manager, Force: force})
	}
	if _, err := apply("first", "first", false); err != nil {
		return err
	}
	_, err := apply("second", "second", false)
	r.report.check(apierrors.IsConflict(err), server+" apply conflicts with another manager",
		"%v", err)
	got, err := apply("second", "second", true)
	if err != nil {
		return err
	}
	r.report.check(got.Data["owner"] == "second", server+" forced apply takes the field over",
		"%d managers", len(got.ManagedFields))
	return nil
}
