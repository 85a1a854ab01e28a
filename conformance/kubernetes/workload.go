package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const deploymentManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: work}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: web, image: "registry.invalid/web:1"}]
`

// deployment lets the controllers make a replica set and its pods, which stay pending without
// nodes.
func (r *run) deployment() error {
	if _, err := r.kubectl(deploymentManifest, "apply", "-f", "-"); err != nil {
		return err
	}
	if err := r.awaitPods(1); err != nil {
		return err
	}
	ctx, cancel := r.within(30 * time.Second)
	defer cancel()
	sets, err := r.clients[1].AppsV1().ReplicaSets("work").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	r.report.check(len(sets.Items) == 1, "controllers made one replica set", "%d", len(sets.Items))
	deployments := r.clients[0].AppsV1().Deployments("work")
	scale, err := deployments.GetScale(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	scale.Spec.Replicas = 3
	if _, err := deployments.UpdateScale(ctx, "web", scale, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := r.awaitPods(3); err != nil {
		return err
	}
	pods, err := r.clients[1].CoreV1().Pods("work").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	pending := 0
	for _, pod := range pods.Items {
		if pod.Status.Phase == corev1.PodPending {
			pending++
		}
	}
	r.report.check(pending == 3, "pods stay pending without nodes", "%d of %d", pending,
		len(pods.Items))
	return nil
}

// awaitPods waits for exactly n pods in the store and in both servers' informers.
func (r *run) awaitPods(n int) error {
	began := time.Now()
	err := await(r.ctx, 60*time.Second, fmt.Sprintf("%d pods of the deployment", n),
		func(ctx context.Context) (bool, string) {
			pods, err := r.clients[1].CoreV1().Pods("work").List(ctx, metav1.ListOptions{})
			if err != nil {
				return false, err.Error()
			}
			counts := []int{len(pods.Items)}
			for _, w := range r.informers {
				counts = append(counts, len(w.pods.GetStore().List()))
			}
			agreed := counts[0] == n && counts[1] == n && counts[2] == n
			return agreed, fmt.Sprintf("listed and in informers: %v", counts)
		})
	if err == nil {
		r.report.check(true, fmt.Sprintf("deployment has %d pods", n), "after %.1f s",
			time.Since(began).Seconds())
	}
	return err
}

// rollout changes the image and plays the kubelet (nothing but readiness) until kubectl calls the
// rollout complete; then scales to nothing.
func (r *run) rollout() error {
	playing, stop := context.WithCancel(r.ctx)
	defer stop()
	go r.playKubelet(playing)
	r.checkKubectl("kubectl rollout status before the change", "successfully rolled out", "",
		"-n", "work", "rollout", "status", "deployment/web", "--timeout=60s")
	r.checkKubectl("kubectl set image", "image updated", "",
		"-n", "work", "set", "image", "deployment/web", "web=registry.invalid/web:2")
	r.checkKubectl("kubectl rollout status after the change", "successfully rolled out", "",
		"-n", "work", "rollout", "status", "deployment/web", "--timeout=60s")
	if err := r.awaitPods(3); err != nil {
		return err
	}
	if err := r.checkReplicaSets(); err != nil {
		return err
	}
	stop()
	_, err := r.kubectl("", "-n", "work", "scale", "deployment/web", "--replicas=0")
	if err != nil {
		return err
	}
	return r.awaitPods(0)
}

func (r *run) checkReplicaSets() error {
	ctx, cancel := r.within(10 * time.Second)
	defer cancel()
	sets, err := r.clients[1].AppsV1().ReplicaSets("work").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	sizes := map[string]int32{}
	for _, set := range sets.Items {
		sizes[set.Spec.Template.Spec.Containers[0].Image] = *set.Spec.Replicas
	}
	ok := len(sizes) == 2 && sizes["registry.invalid/web:1"] == 0 &&
		sizes["registry.invalid/web:2"] == 3
	r.report.check(ok, "rollout moved all replicas to the new set", "%v", sizes)
	return nil
}

// playKubelet marks pods ready, as nodes would, until ctx ends. A pod that goes away in between, or
// that others change, is only tried again.
func (r *run) playKubelet(ctx context.Context) {
	for ctx.Err() == nil {
		for _, item := range r.informers[0].pods.GetStore().List() {
			pod, ok := item.(*corev1.Pod)
			if !ok || pod.Namespace != "work" || ready(pod) || pod.DeletionTimestamp != nil {
				continue
			}
			body := fmt.Sprintf(`{"status":{"phase":"Running","conditions":[`+
				`{"type":"Ready","status":"True","lastTransitionTime":%s}]}}`,
				strconv.Quote(time.Now().UTC().Format(time.RFC3339)))
			_, err := r.clients[0].CoreV1().Pods("work").Patch(r.ctx, pod.Name,
				types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}, "status")
			if err != nil {
				pause(ctx, 100*time.Millisecond)
			}
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
