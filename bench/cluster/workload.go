package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// workload makes the cluster's objects and knows what is there.
type workload struct {
	options     options
	client      kubernetes.Interface
	watchers    *watchers
	deployments int
	pods        cache.Store
	chosen      []string
}

func newWorkload(o options, p *plane) *workload {
	return &workload{options: o, client: p.client, watchers: &watchers{config: p.config},
		deployments: o.pods / replicas}
}

// wanted is how many pods run when all is there.
func (w *workload) wanted() int { return w.deployments * replicas }

// rolling is how many deployments, the first ones, are rolled over; scaling how many, the last
// ones, grow and shrink.
func (w *workload) rolling() int { return int(float64(w.deployments) * w.options.rollout) }

func (w *workload) scaling() int { return max(1, w.deployments/10) }

// watchPods keeps this program's own picture of all pods.
func (w *workload) watchPods(ctx context.Context) error {
	source := cache.NewListWatchFromClient(w.client.CoreV1().RESTClient(), "pods", "",
		fields.Everything())
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{ListerWatcher: source,
		ObjectType: &corev1.Pod{}, Handler: cache.ResourceEventHandlerFuncs{}})
	w.pods = store
	go controller.RunWithContext(ctx)
	return await(ctx, 30*time.Second, "the pods' informer", func(context.Context) (bool, string) {
		return controller.HasSynced(), ""
	})
}

// ready counts the pods of a generation ("" for any) that are ready and not about to go.
func (w *workload) ready(generation string) int {
	n := 0
	for _, item := range w.pods.List() {
		pod, ok := item.(*corev1.Pod)
		if !ok || pod.DeletionTimestamp != nil ||
			generation != "" && pod.Annotations["load/generation"] != generation {
			continue
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				n++
			}
		}
	}
	return n
}

// fill creates everything at a pace that takes four fifths of the phase: nodes first, then one
// deployment after the other, so that a faster store is not given more work at once.
func (w *workload) fill(ctx context.Context, p *pacer) error {
	if err := w.fillNamespaces(ctx); err != nil {
		return err
	}
	span := w.options.fill * 4 / 5
	nodes := span * 3 / 10
	p.every(ctx, nodes/time.Duration(w.options.nodes), w.options.nodes, w.addNode)
	p.every(ctx, nodes/(namespaces*configsEach), namespaces*configsEach, w.addConfig)
	pause(ctx, nodes)
	p.every(ctx, (span-nodes)/time.Duration(w.deployments), w.deployments, w.addService)
	p.wait()
	return ctx.Err()
}

func (w *workload) fillNamespaces(ctx context.Context) error {
	for i := range namespaces {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespaceName(i)}}
		_, err := w.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	return await(ctx, 30*time.Second, "each namespace's service account",
		func(ctx context.Context) (bool, string) {
			for i := range namespaces {
				_, err := w.client.CoreV1().ServiceAccounts(namespaceName(i)).Get(ctx, "default",
					metav1.GetOptions{})
				if err != nil {
					return false, err.Error()
				}
			}
			return true, ""
		})
}

func (w *workload) addNode(ctx context.Context, i int) error {
	_, err := w.client.CoreV1().Nodes().Create(ctx, nodeObject(i), metav1.CreateOptions{})
	return err
}

func (w *workload) addConfig(ctx context.Context, i int) error {
	config, secret := configObject(i)
	core := w.client.CoreV1()
	_, err := core.ConfigMaps(config.Namespace).Create(ctx, config, metav1.CreateOptions{})
	if err == nil {
		_, err = core.Secrets(secret.Namespace).Create(ctx, secret, metav1.CreateOptions{})
	}
	return err
}

func (w *workload) addService(ctx context.Context, i int) error {
	service, deployment := serviceObject(i), deploymentObject(i)
	_, err := w.client.CoreV1().Services(service.Namespace).Create(ctx, service,
		metav1.CreateOptions{})
	if err == nil {
		_, err = w.client.AppsV1().Deployments(deployment.Namespace).Create(ctx, deployment,
			metav1.CreateOptions{})
	}
	return err
}

// rollOver changes the pod template of some deployments, spread over half of the phase.
func (w *workload) rollOver(ctx context.Context, p *pacer) {
	count := w.rolling()
	if count > 0 {
		interval := w.options.change / 2 / time.Duration(count)
		p.every(ctx, interval, count, func(ctx context.Context, i int) error {
			patch := []byte(`{"spec":{"template":{"metadata":{"annotations":{"load/generation":"1"}}}}}`)
			_, err := w.client.AppsV1().Deployments(namespaceName(i)).Patch(ctx, serviceName(i),
				types.StrategicMergePatchType, patch, metav1.PatchOptions{})
			return err
		})
	}
}

// nodesReady counts nodes that say they are.
func (w *workload) nodesReady(ctx context.Context) (int, error) {
	list, err := w.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return 0, fmt.Errorf("listing nodes: %w", err)
	}
	n := 0
	for i := range list.Items {
		for _, c := range list.Items[i].Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				n++
			}
		}
	}
	return n, nil
}
