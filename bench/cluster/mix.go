package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// startMix begins what people and controllers do in a cluster at rest, at rates that grow with its
// nodes. It ends with ctx; the caller waits for the pacer.
func (w *workload) startMix(ctx context.Context, p *pacer) {
	// n times a second for each thousand nodes.
	per := func(n float64) time.Duration {
		return time.Duration(float64(time.Second) * 1000 / n / float64(w.options.nodes))
	}
	p.every(ctx, per(20), 0, w.readOne)
	p.every(ctx, per(10), 0, w.sendEvent)
	p.every(ctx, per(10), 0, w.patchStatus)
	p.every(ctx, per(5), 0, w.updateConfig)
	p.every(ctx, 2*time.Second, 0, w.listSome)
	p.every(ctx, 10*time.Second, 0, w.listEvents)
	p.every(ctx, 10*time.Second, 0, w.scale)
}

// choosePods fixes the pods that the mix is about: those that neither rollout nor scaling removes.
func (w *workload) choosePods() error {
	w.chosen = nil
	for _, key := range w.pods.ListKeys() {
		var n int
		_, name, _ := strings.Cut(key, "/")
		if _, err := fmt.Sscanf(name, "service-%d-", &n); err != nil {
			continue
		}
		if n >= w.rolling() && n < w.deployments-w.scaling() {
			w.chosen = append(w.chosen, key)
		}
	}
	slices.Sort(w.chosen)
	if len(w.chosen) == 0 {
		return errors.New("no pods are left for the mix: fewer rollouts or more pods are needed")
	}
	return nil
}

// somePod is one of the chosen ones, in its newest state.
func (w *workload) somePod(i int) (*corev1.Pod, error) {
	key := w.chosen[(i*7919)%len(w.chosen)]
	item, _, err := w.pods.GetByKey(key)
	if pod, ok := item.(*corev1.Pod); ok && err == nil {
		return pod, nil
	}
	return nil, fmt.Errorf("pod %s is gone", key)
}

// readOne is a read of the newest state of one object: the store answers it.
func (w *workload) readOne(ctx context.Context, i int) error {
	core, get := w.client.CoreV1(), metav1.GetOptions{}
	var err error
	switch i % 4 {
	case 0:
		_, err = core.Nodes().Get(ctx, nodeName((i*7919)%w.options.nodes), get)
	case 1:
		_, err = core.ConfigMaps(namespaceName(i)).Get(ctx, configName(i), get)
	case 2:
		n := (i * 7919) % w.deployments
		_, err = w.client.AppsV1().Deployments(namespaceName(n)).Get(ctx, serviceName(n), get)
	case 3:
		_, err = w.client.CoordinationV1().Leases("kube-node-lease").Get(ctx,
			nodeName((i*7919)%w.options.nodes), get)
	}
	return err
}

func (w *workload) sendEvent(ctx context.Context, i int) error {
	pod, err := w.somePod(i)
	if err != nil {
		return err
	}
	_, err = w.client.CoreV1().Events(pod.Namespace).Create(ctx, eventObject(pod, i),
		metav1.CreateOptions{})
	return err
}

// patchStatus is what a kubelet does when something about a pod changed.
func (w *workload) patchStatus(ctx context.Context, i int) error {
	pod, err := w.somePod(i)
	if err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"load/Probed","status":"True",`+
		`"message":"probe %d","lastProbeTime":%q}]}}`, i, time.Now().UTC().Format(time.RFC3339))
	_, err = w.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name,
		types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	return err
}

func (w *workload) updateConfig(ctx context.Context, i int) error {
	patch := fmt.Sprintf(`{"data":{"turn":"%d"}}`, i)
	_, err := w.client.CoreV1().ConfigMaps(namespaceName(i)).Patch(ctx, configName(i/namespaces),
		types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// listSome lists as people do: the newest state, whole or by namespace, in pages of 500.
func (w *workload) listSome(ctx context.Context, i int) error {
	core := w.client.CoreV1()
	return everyPage(func(options metav1.ListOptions) (string, error) {
		switch i % 4 {
		case 0:
			list, err := core.Pods("").List(ctx, options)
			return list.GetContinue(), err
		case 1:
			list, err := core.Nodes().List(ctx, options)
			return list.GetContinue(), err
		case 2:
			list, err := core.Pods(namespaceName(i)).List(ctx, options)
			return list.GetContinue(), err
		default:
			list, err := core.Secrets("").List(ctx, options)
			return list.GetContinue(), err
		}
	})
}

// listEvents goes to the store, page by page: the API server keeps no cache of events.
func (w *workload) listEvents(ctx context.Context, i int) error {
	return everyPage(func(options metav1.ListOptions) (string, error) {
		list, err := w.client.CoreV1().Events(namespaceName(i)).List(ctx, options)
		return list.GetContinue(), err
	})
}

func everyPage(page func(metav1.ListOptions) (string, error)) error {
	options := metav1.ListOptions{Limit: 500}
	for {
		next, err := page(options)
		if err != nil || next == "" {
			return err
		}
		options.Continue = next
	}
}

// scale grows one deployment by a third, and takes it back at the next turn but one.
func (w *workload) scale(ctx context.Context, i int) error {
	n := w.deployments - 1 - (i/2)%w.scaling()
	count := int32(replicas)
	if i%2 == 0 {
		count += replicas / 3
	}
	_, err := w.client.AppsV1().Deployments(namespaceName(n)).UpdateScale(ctx, serviceName(n),
		&autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: serviceName(n),
			Namespace: namespaceName(n)}, Spec: autoscalingv1.ScaleSpec{Replicas: count}},
		metav1.UpdateOptions{})
	return err
}
