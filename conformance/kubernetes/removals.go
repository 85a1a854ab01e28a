package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
)

// removals deletes with finalizers and deletes collections, through both servers.
func (r *run) removals() error {
	for i, s := range r.cluster.servers {
		ctx, cancel := r.within(60 * time.Second)
		err := errors.Join(r.finalizer(ctx, r.clients[i], s.name), r.collection(ctx, r.clients[i],
			s.name))
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (r *run) finalizer(ctx context.Context, c kubernetes.Interface, server string) error {
	maps := c.CoreV1().ConfigMaps("play")
	object := plainMap("finalized-"+server, nil)
	object.Finalizers = []string{"conformance.invalid/hold"}
	made, err := maps.Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	stream, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: made.ResourceVersion,
		FieldSelector: "metadata.name=" + made.Name})
	if err != nil {
		return err
	}
	defer stream.Stop()
	if err := maps.Delete(ctx, made.Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	held, err := maps.Get(ctx, made.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	r.report.check(held.DeletionTimestamp != nil, server+" finalizer holds a deleted object", "")
	_, err = maps.Patch(ctx, made.Name, types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":null}}`),
		metav1.PatchOptions{})
	if err != nil {
		return err
	}
	_, err = maps.Get(ctx, made.Name, metav1.GetOptions{})
	r.report.check(apierrors.IsNotFound(err), server+" object goes when its finalizer does", "%v",
		err)
	kinds := gather(ctx, stream, 2)
	r.report.check(kinds[watch.Modified] == 1 && kinds[watch.Deleted] == 1,
		server+" watch sees the mark and then the end", "%v", kinds)
	return nil
}

// collection deletes by selector, a part of the ledger's objects among them.
func (r *run) collection(ctx context.Context, c kubernetes.Interface, server string) error {
	maps := c.CoreV1().ConfigMaps("play")
	for i := range 60 {
		object := plainMap(fmt.Sprintf("collected-%s-%02d", server, i), nil)
		group := []string{"keep", "drop"}[i%2] + "-" + server
		object.Labels = map[string]string{"group": group, ledgerLabel: "ledger"}
		made, err := maps.Create(ctx, object, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		r.ledger.note(made, watch.Added)
		if i%2 == 1 {
			r.ledger.noteRemoved(keyOf(made))
		}
	}
	err := maps.DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: "group=drop-" + server})
	if err != nil {
		return err
	}
	counts := [2]int{}
	for i, group := range []string{"keep", "drop"} {
		list, err := maps.List(ctx,
			metav1.ListOptions{LabelSelector: "group=" + group + "-" + server})
		if err != nil {
			return err
		}
		counts[i] = len(list.Items)
	}
	r.report.check(counts == [2]int{30, 0}, server+" collection is deleted, the rest stays",
		"%d kept, %d left", counts[0], counts[1])
	return nil
}

// namespaceDeletion deletes a namespace full of objects of several kinds and waits for its end.
func (r *run) namespaceDeletion() error {
	ctx, cancel := r.within(120 * time.Second)
	defer cancel()
	core := r.clients[0].CoreV1()
	if err := fillNamespace(ctx, core); err != nil {
		return err
	}
	began := time.Now()
	for _, name := range []string{"doomed", "work"} {
		if err := core.Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	for _, name := range []string{"doomed", "work"} {
		err := await(ctx, 90*time.Second, "namespace "+name+" to be gone",
			func(ctx context.Context) (bool, string) {
				got, err := r.clients[1].CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
				if err == nil {
					return false, fmt.Sprint(got.Status.Conditions)
				}
				return apierrors.IsNotFound(err), err.Error()
			})
		if err != nil {
			return err
		}
		left, err := r.clients[1].CoreV1().ConfigMaps(name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		r.report.check(len(left.Items) == 0, "namespace "+name+" is gone with all in it",
			"after %.1f s", time.Since(began).Seconds())
	}
	return nil
}

// fillNamespace makes a namespace with two kinds of objects in it.
func fillNamespace(ctx context.Context, core typed.CoreV1Interface) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "doomed"}}
	if _, err := core.Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return err
	}
	for i := range 40 {
		name := fmt.Sprintf("object-%02d", i)
		_, err := core.ConfigMaps("doomed").Create(ctx, plainMap(name, nil), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err = core.Secrets("doomed").Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}
