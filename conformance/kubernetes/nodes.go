package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// node plays one kubelet, with the certificate and the rights of one: it registers its Node, renews
// its lease, watches the pods bound to it, calls them ready, and ends those that are deleted.
type node struct {
	name   string
	client *kubernetes.Clientset
	pods   cache.SharedIndexInformer
	beats  atomic.Int64
}

const (
	// heartbeat is shorter than a kubelet's ten seconds, so that a run need not wait for it.
	heartbeat = 3 * time.Second
	// requestLimit ends a request that is not answered, as a kubelet's heartbeat does.
	requestLimit = 10 * time.Second
)

// startNodes registers the nodes and waits until the controllers let pods onto them.
func (r *run) startNodes() error {
	for i := range r.opt.nodes {
		n, err := r.newNode(fmt.Sprintf("node-%d", i))
		if err != nil {
			return err
		}
		if err := n.register(r.ctx); err != nil {
			return fmt.Errorf("registering %s: %w", n.name, err)
		}
		if err := n.start(r.ctx); err != nil {
			return err
		}
		r.nodes = append(r.nodes, n)
	}
	return await(r.ctx, 60*time.Second, "nodes without taints",
		func(ctx context.Context) (bool, string) {
			wrong, err := r.unsteadyNodes(ctx)
			return err == nil && len(wrong) == 0, few(wrong) + reason(err)
		})
}

func (r *run) newNode(name string) (*node, error) {
	a, server := r.cluster.authority, r.cluster.servers[0]
	if err := a.issue(name, "system:node:"+name, "system:nodes"); err != nil {
		return nil, err
	}
	if err := a.kubeconfig(name+".kubeconfig", name, server.url); err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", a.path(name+".kubeconfig"))
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(rest.CopyConfig(config))
	return &node{name: name, client: client}, err
}

// register makes the Node as a kubelet does, with its status, and the lease it lives by.
func (n *node) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patient(20*time.Second))
	defer cancel()
	room := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8"),
		corev1.ResourceMemory: resource.MustParse("16Gi"),
		corev1.ResourcePods:   resource.MustParse("110")}
	now := metav1.Now()
	object := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.name,
			Labels: map[string]string{corev1.LabelHostname: n.name}},
		Status: corev1.NodeStatus{Capacity: room, Allocatable: room,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady,
				Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now,
				LastTransitionTime: now}}},
	}
	if _, err := n.client.CoreV1().Nodes().Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	seconds := int32(40)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: n.name},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &n.name, LeaseDurationSeconds: &seconds,
			RenewTime: &metav1.MicroTime{Time: now.Time}}}
	_, err := n.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(ctx, lease,
		metav1.CreateOptions{})
	return err
}

// start begins the heartbeat and the work on pods.
func (n *node) start(ctx context.Context) error {
	mine := informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", n.name).String()
	})
	factory := informers.NewSharedInformerFactoryWithOptions(n.client, 0, mine)
	n.pods = factory.Core().V1().Pods().Informer()
	factory.StartWithContext(ctx)
	go n.beat(ctx)
	go n.work(ctx)
	return await(ctx, 30*time.Second, n.name+"'s pods", func(context.Context) (bool, string) {
		return n.pods.HasSynced(), ""
	})
}

// beat renews the lease. One that fails is tried again soon, as kubelets do.
func (n *node) beat(ctx context.Context) {
	for wait := heartbeat; ctx.Err() == nil; pause(ctx, wait) {
		body := fmt.Sprintf(`{"spec":{"renewTime":%s}}`,
			strconv.Quote(time.Now().UTC().Format(metav1.RFC3339Micro)))
		limited, cancel := context.WithTimeout(ctx, requestLimit)
		_, err := n.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Patch(limited,
			n.name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
		cancel()
		wait = heartbeat
		if err != nil {
			wait = time.Second
		} else {
			n.beats.Store(time.Now().UnixNano())
		}
	}
}

// awaitBeats waits until every node has renewed its lease since a moment.
func (r *run) awaitBeats(since time.Time) error {
	return await(r.ctx, 3*requestLimit, "the nodes to renew their leases",
		func(context.Context) (bool, string) {
			late := 0
			for _, n := range r.nodes {
				if n.beats.Load() < since.UnixNano() {
					late++
				}
			}
			return late == 0, fmt.Sprintf("%d of %d have not", late, len(r.nodes))
		})
}

// work brings each pod to where its spec wants it. What fails is done again in the next round.
func (n *node) work(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
		for _, item := range n.pods.GetStore().List() {
			pod, ok := item.(*corev1.Pod)
			if !ok || (pod.DeletionTimestamp == nil && ready(pod)) {
				continue
			}
			limited, cancel := context.WithTimeout(ctx, requestLimit)
			if n.settle(limited, pod) != nil {
				pause(limited, 200*time.Millisecond)
			}
			cancel()
		}
	}
}

func (n *node) settle(ctx context.Context, pod *corev1.Pod) error {
	pods := n.client.CoreV1().Pods(pod.Namespace)
	if pod.DeletionTimestamp != nil {
		now := int64(0)
		return pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now,
			Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	}
	body := fmt.Sprintf(`{"status":{"phase":"Running","conditions":[`+
		`{"type":"Ready","status":"True","lastTransitionTime":%s}]}}`,
		strconv.Quote(time.Now().UTC().Format(time.RFC3339)))
	_, err := pods.Patch(ctx, pod.Name, types.StrategicMergePatchType, []byte(body),
		metav1.PatchOptions{}, "status")
	return err
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func (r *run) unsteadyNodes(ctx context.Context) ([]string, error) {
	list, err := r.clients[1].CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return unsteady(list.Items, r.opt.nodes), nil
}

// unsteady tells which nodes are missing, tainted, not ready, or were once not ready since they
// registered.
func unsteady(nodes []corev1.Node, want int) []string {
	var wrong []string
	if len(nodes) != want {
		wrong = append(wrong, fmt.Sprintf("%d nodes, registered %d", len(nodes), want))
	}
	for _, n := range nodes {
		for _, taint := range n.Spec.Taints {
			wrong = append(wrong, n.Name+" is tainted "+taint.Key)
		}
		steady := false
		for _, c := range n.Status.Conditions {
			steady = steady || c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue &&
				c.LastTransitionTime.Sub(n.CreationTimestamp.Time) < 10*time.Second
		}
		if !steady {
			wrong = append(wrong, n.Name+" is not ready, or was not at some time")
		}
	}
	return wrong
}

// unbound tells which pods the scheduler has not put onto a known node, or the node not started.
func unbound(pods []corev1.Pod, nodes []*node) []string {
	known := map[string]bool{}
	for _, n := range nodes {
		known[n.name] = true
	}
	var wrong []string
	for _, pod := range pods {
		switch {
		case !known[pod.Spec.NodeName]:
			wrong = append(wrong, fmt.Sprintf("%s is on node %q", pod.Name, pod.Spec.NodeName))
		case pod.Status.Phase != corev1.PodRunning || !ready(&pod):
			wrong = append(wrong, fmt.Sprintf("%s is %s", pod.Name, pod.Status.Phase))
		}
	}
	return wrong
}
