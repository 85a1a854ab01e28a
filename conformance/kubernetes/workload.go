package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
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
      terminationGracePeriodSeconds: 1
      containers: [{name: web, image: "registry.invalid/web:1"}]
`

// deployment lets the controllers make pods, the scheduler bind them and the nodes start them,
// while kubectl watches.
func (r *run) deployment() error {
	watching, err := r.watchWith("-n", "work", "get", "pods", "--output-watch-events")
	if err != nil {
		return err
	}
	defer watching.stop()
	r.checkKubectl("kubectl apply of a deployment", "created", deploymentManifest, "apply", "-f",
		"-")
	if err := r.scaledTo(1); err != nil {
		return err
	}
	if err := r.scaleUp(12); err != nil {
		return err
	}
	r.checkKubectl("kubectl scale down", "scaled", "", "-n", "work", "scale", "deployment/web",
		"--replicas=3")
	if err := r.scaledTo(3); err != nil {
		return err
	}
	err = watching.await(r.ctx, map[string]int{"ADDED": 12, "DELETED": 9})
	r.report.check(err == nil, "kubectl get --watch sees pods come and go", "%s%s",
		watching.summary(), reason(err))
	return nil
}

// scaleUp scales with the Go client and lets kubectl describe what came of it.
func (r *run) scaleUp(n int) error {
	ctx, cancel := r.within(30 * time.Second)
	defer cancel()
	sets, err := r.clients[1].AppsV1().ReplicaSets("work").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	r.report.check(len(sets.Items) == 1, "controllers made one replica set", "%d", len(sets.Items))
	deployments := r.clients[0].AppsV1().Deployments("work")
	// The controllers write the same object.
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		scale, err := deployments.GetScale(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		scale.Spec.Replicas = int32(n)
		_, err = deployments.UpdateScale(ctx, "web", scale, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	if err := r.scaledTo(n); err != nil {
		return err
	}
	pod, err := r.kubectl("", "-n", "work", "get", "pods", "-o",
		"jsonpath={.items[0].metadata.name}")
	if err != nil {
		return err
	}
	r.awaitKubectl("kubectl describe of a pod", "Successfully assigned work/"+pod, "-n", "work",
		"describe", "pod", pod)
	r.awaitKubectl("kubectl describe of a deployment", "Scaled up replica set web-", "-n", "work",
		"describe", "deployment", "web")
	return nil
}

// scaledTo waits for exactly n pods everywhere, all of them bound to nodes and started.
func (r *run) scaledTo(n int) error {
	if err := r.awaitPods(n); err != nil {
		return err
	}
	began := time.Now()
	err := await(r.ctx, 60*time.Second, fmt.Sprintf("%d pods on nodes", n),
		func(ctx context.Context) (bool, string) {
			pods, err := r.clients[1].CoreV1().Pods("work").List(ctx, metav1.ListOptions{})
			if err != nil {
				return false, err.Error()
			}
			wrong := unbound(pods.Items, r.nodes)
			return len(wrong) == 0 && len(pods.Items) == n, few(wrong)
		})
	if err == nil {
		r.report.check(true, fmt.Sprintf("%d pods are scheduled and run", n), "after %.1f s more",
			time.Since(began).Seconds())
	}
	return err
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

// rollout changes the image until kubectl calls the rollout complete; then scales to nothing.
func (r *run) rollout() error {
	r.checkKubectl("kubectl rollout status before the change", "successfully rolled out", "",
		"-n", "work", "rollout", "status", "deployment/web", "--timeout=60s")
	r.checkKubectl("kubectl set image", "image updated", "",
		"-n", "work", "set", "image", "deployment/web", "web=registry.invalid/web:2")
	r.checkKubectl("kubectl rollout status after the change", "successfully rolled out", "",
		"-n", "work", "rollout", "status", "deployment/web", "--timeout=60s")
	if err := r.scaledTo(3); err != nil {
		return err
	}
	if err := r.checkReplicaSets(); err != nil {
		return err
	}
	r.checkKubectl("kubectl rollout history", "deployment.apps/web", "", "-n", "work", "rollout",
		"history", "deployment/web")
	r.checkKubectl("kubectl rollout undo", "rolled back", "", "-n", "work", "rollout", "undo",
		"deployment/web")
	r.checkKubectl("kubectl rollout status after the undo", "successfully rolled out", "",
		"-n", "work", "rollout", "status", "deployment/web", "--timeout=60s")
	_, err := r.kubectl("", "-n", "work", "scale", "deployment/web", "--replicas=0")
	if err != nil {
		return err
	}
	return r.scaledTo(0)
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

// comeBack waits until the controllers and the scheduler lead again after the outages, which
// outlast their leases, and checks that they work: a deployment grows, shrinks and is deleted.
func (r *run) comeBack() error {
	began := time.Now()
	r.checkKubectl("kubectl create namespace", "created", "", "create", "namespace", "work")
	r.checkKubectl("kubectl create of a deployment", "created", deploymentManifest, "create", "-f",
		"-")
	if err := r.scaledTo(1); err != nil {
		return err
	}
	r.report.check(true, "controllers and scheduler lead again", "after %.1f s",
		time.Since(began).Seconds())
	for _, k := range []*kept{r.cluster.controllers, r.cluster.scheduler} {
		inside, outside := k.restarts(r.outages)
		r.report.check(len(outside) == 0, k.name+" ends only when the store is away",
			"%d times in the outages; outside %s", inside, few(outside))
	}
	for _, n := range []int{9, 2} {
		r.checkKubectl(fmt.Sprintf("kubectl scale to %d", n), "scaled", "", "-n", "work", "scale",
			"deployment/web", fmt.Sprintf("--replicas=%d", n))
		if err := r.scaledTo(n); err != nil {
			return err
		}
	}
	r.checkKubectl("kubectl delete of a deployment", "deleted", "", "-n", "work", "delete",
		"deployment", "web")
	if err := r.scaledTo(0); err != nil {
		return err
	}
	ctx, cancel := r.within(10 * time.Second)
	defer cancel()
	wrong, err := r.unsteadyNodes(ctx)
	r.report.check(err == nil && len(wrong) == 0, "nodes were ready all the time", "%s%s",
		few(wrong), reason(err))
	return nil
}
