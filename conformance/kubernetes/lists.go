package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
)

// paged is a list gathered page by page.
type paged struct {
	revisions map[string]int
	objects   map[string]int64
	pages     int
	twice     []string
}

// readPages reads all config maps in pages; between is called after each.
func readPages(ctx context.Context, c kubernetes.Interface, limit int64,
	between func()) (*paged, error) {
	p := &paged{revisions: map[string]int{}, objects: map[string]int64{}}
	options := metav1.ListOptions{Limit: limit}
	for {
		list, err := c.CoreV1().ConfigMaps("").List(ctx, options)
		if err != nil {
			return p, fmt.Errorf("page %d: %w", p.pages, err)
		}
		p.add(list)
		if list.Continue == "" {
			return p, nil
		}
		options.Continue = list.Continue
		between()
	}
}

func (p *paged) add(list *corev1.ConfigMapList) {
	p.pages++
	p.revisions[list.ResourceVersion]++
	for i := range list.Items {
		key := keyOf(&list.Items[i])
		if _, there := p.objects[key]; there {
			p.twice = append(p.twice, key)
		}
		p.objects[key] = revisionOf(&list.Items[i])
	}
}

// pages reads paged lists through both servers while writers change the world between pages.
func (r *run) pages() error {
	writers := r.startLoad("page", 4)
	for i, s := range r.cluster.servers {
		if err := r.pagesOf(r.clients[i], s.name); err != nil {
			r.report.check(false, s.name+" paged list", "%v", err)
		}
	}
	failures := writers.stop()
	r.report.check(len(failures) == 0, "writes beside paged lists",
		"%d acknowledged; failed %s", writers.written.Load(), few(failures))
	r.checkListed("after the paged lists")
	out, err := r.kubectl("", "get", "configmaps", "-A", "-l", ledgerLabel, "--chunk-size=37",
		"-o", "name")
	if err != nil {
		return err
	}
	listed, err := listWritten(r.ctx, r.clients[1])
	if err != nil {
		return err
	}
	r.report.check(lines(out) == len(listed), "kubectl get in chunks shows every object",
		"%d of %d", lines(out), len(listed))
	return nil
}

func lines(text string) int {
	n := 0
	for _, c := range text {
		if c == '\n' {
			n++
		}
	}
	if text != "" {
		n++
	}
	return n
}

func (r *run) pagesOf(c kubernetes.Interface, name string) error {
	ctx, cancel := r.within(60 * time.Second)
	defer cancel()
	p, err := readPages(ctx, c, 41, func() { pause(ctx, 50*time.Millisecond) })
	if err != nil {
		return err
	}
	r.report.check(len(p.revisions) == 1 && p.pages > 5, name+" pages stay at one resourceVersion",
		"%d pages at %d resourceVersions", p.pages, len(p.revisions))
	var revision string
	for revision = range p.revisions {
	}
	exact, err := c.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{
		ResourceVersion: revision, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if err != nil {
		return fmt.Errorf("list at exactly %s: %w", revision, err)
	}
	whole := &paged{revisions: map[string]int{}, objects: map[string]int64{}}
	whole.add(exact)
	at, _ := strconv.ParseInt(revision, 10, 64)
	wrong := append(differences(p.objects, whole.objects, at), p.twice...)
	r.report.check(len(wrong) == 0, name+" pages hold exactly that resourceVersion",
		"%d objects; wrong %s", len(p.objects), few(wrong))
	now, err := c.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	moved, _ := strconv.ParseInt(now.ResourceVersion, 10, 64)
	r.report.check(moved > at, name+" world moved on beside the pages", "%d → %d", at, moved)
	return nil
}

// differences compares two pictures of one revision.
func differences(pages, whole map[string]int64, at int64) []string {
	var wrong []string
	for key, revision := range pages {
		if revision > at {
			wrong = append(wrong, fmt.Sprintf("%s is at %d, after %d", key, revision, at))
		}
		if whole[key] != revision {
			wrong = append(wrong, fmt.Sprintf("%s at %d in pages, %d in the whole", key, revision,
				whole[key]))
		}
	}
	for key := range whole {
		if _, there := pages[key]; !there {
			wrong = append(wrong, key+" is not in the pages")
		}
	}
	return wrong
}

// resourceVersions checks what a list promises for each way of asking.
func (r *run) resourceVersions() error {
	for i, s := range r.cluster.servers {
		ctx, cancel := r.within(30 * time.Second)
		err := r.resourceVersionsOf(ctx, r.clients[i], s.name)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (r *run) resourceVersionsOf(ctx context.Context, c kubernetes.Interface, name string) error {
	key := "load-0/version-" + name
	if err := r.ledger.create(ctx, c, key); err != nil {
		return err
	}
	written := r.ledger.floor()
	maps := c.CoreV1().ConfigMaps("load-0")
	least := strconv.FormatInt(written, 10)
	list, err := maps.List(ctx, metav1.ListOptions{ResourceVersion: least,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	if err != nil {
		return err
	}
	r.report.check(holds(list, key), name+" NotOlderThan shows the write it names", "%d objects",
		len(list.Items))
	if list, err = maps.List(ctx, metav1.ListOptions{ResourceVersion: "0"}); err != nil {
		return err
	}
	r.report.check(len(list.Items) > 0, name+" resourceVersion 0 answers", "%d objects",
		len(list.Items))
	before := strconv.FormatInt(written-1, 10)
	list, err = maps.List(ctx, metav1.ListOptions{ResourceVersion: before,
		ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if err != nil {
		return err
	}
	r.report.check(!holds(list, key) && list.ResourceVersion == before,
		name+" Exact shows the world before the write", "asked %s, got %s", before,
		list.ResourceVersion)
	// Asked once: the client would otherwise follow the advice to try again later.
	future := metav1.ListOptions{ResourceVersion: strconv.FormatInt(written+1_000_000, 10),
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}
	err = c.CoreV1().RESTClient().Get().Namespace("load-0").Resource("configmaps").
		VersionedParams(&future, scheme.ParameterCodec).MaxRetries(0).Do(ctx).Error()
	refused := apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServerTimeout(err)
	r.report.check(refused,
		name+" refuses a resourceVersion of the future", "%v", err)
	return nil
}

func holds(list *corev1.ConfigMapList, key string) bool {
	for i := range list.Items {
		if keyOf(&list.Items[i]) == key {
			return true
		}
	}
	return false
}
