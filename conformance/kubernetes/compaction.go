package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	pagedObjects = 120
	pageLimit    = 50
)

// held is the first page of a list, whose rest is asked for again and again: the same answer until
// compaction overtakes it, then a refusal.
type held struct {
	first *corev1.ConfigMapList
	rest  map[string]int64
	since time.Time
}

// holdPages takes a first page, changes the world behind it, and asks both servers for the rest of
// the world as it was.
func (r *run) holdPages() error {
	ctx, cancel := r.within(60 * time.Second)
	defer cancel()
	maps := r.clients[0].CoreV1().ConfigMaps("paged")
	for i := range pagedObjects {
		object := plainMap(fmt.Sprintf("object-%03d", i), map[string]string{"n": "1"})
		if _, err := maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	first, err := r.clients[1].CoreV1().ConfigMaps("paged").List(ctx,
		metav1.ListOptions{Limit: pageLimit})
	if err != nil {
		return err
	}
	r.held = &held{first: first, since: time.Now()}
	rest, _, err := r.restOf(ctx, 1, first.Continue)
	if err != nil {
		return err
	}
	r.held.rest = rest
	if err := r.changePaged(ctx); err != nil {
		return err
	}
	return r.checkHeld(ctx)
}

// restOf reads what follows a page, and at which resourceVersion.
func (r *run) restOf(ctx context.Context, server int, token string) (map[string]int64, string,
	error) {
	list, err := r.clients[server].CoreV1().ConfigMaps("paged").List(ctx,
		metav1.ListOptions{Continue: token})
	if err != nil {
		return nil, "", err
	}
	rest := map[string]int64{}
	for i := range list.Items {
		rest[keyOf(&list.Items[i])] = revisionOf(&list.Items[i])
	}
	return rest, list.ResourceVersion, nil
}

// changePaged deletes, changes and adds behind the first page.
func (r *run) changePaged(ctx context.Context) error {
	maps := r.clients[0].CoreV1().ConfigMaps("paged")
	for i := range 10 {
		err := maps.Delete(ctx, fmt.Sprintf("object-%03d", 60+i), metav1.DeleteOptions{})
		if err != nil {
			return err
		}
		changed := plainMap(fmt.Sprintf("object-%03d", 80+i), map[string]string{"n": "2"})
		if _, err := maps.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
			return err
		}
		added := plainMap(fmt.Sprintf("object-%03d-added", 100+i), nil)
		if _, err := maps.Create(ctx, added, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// checkHeld passes when the rest of the page is what it was before the world changed.
func (r *run) checkHeld(ctx context.Context) error {
	for i, s := range r.cluster.servers {
		rest, at, err := r.restOf(ctx, i, r.held.first.Continue)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		wrong := unequal(rest, r.held.rest)
		if at != r.held.first.ResourceVersion {
			wrong = append(wrong, "at "+at+" instead of "+r.held.first.ResourceVersion)
		}
		r.report.check(len(wrong) == 0 && len(rest) >= pagedObjects-pageLimit,
			s.name+" page of a changed world is as it was", "%d objects; wrong %s", len(rest),
			few(wrong))
	}
	return nil
}

// compaction waits until the API servers' own compaction has overtaken the held page, whose rest
// must then be refused with a fresh token that works.
func (r *run) compaction() error {
	if r.held == nil || r.held.rest == nil {
		return fmt.Errorf("no page is held")
	}
	ctx, cancel := r.within(r.opt.compaction*4 + 60*time.Second)
	defer cancel()
	for i, s := range r.cluster.servers {
		if err := r.compactionOf(ctx, i, s.name); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return r.compactor(ctx)
}

func (r *run) compactionOf(ctx context.Context, server int, name string) error {
	expired, err := r.awaitExpired(ctx, server, r.held.first.Continue)
	if err != nil {
		return err
	}
	token := expired.ErrStatus.Continue
	r.report.check(expired.ErrStatus.Code == 410 && token != "",
		name+" page of a compacted revision is refused with a fresh token", "%d %s",
		expired.ErrStatus.Code, firstLine(expired.ErrStatus.Message))
	rest, _, err := r.restOf(ctx, server, token)
	if err != nil {
		return err
	}
	maps := r.clients[server].CoreV1().ConfigMaps("paged")
	whole, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	last := keyOf(&r.held.first.Items[len(r.held.first.Items)-1])
	want := map[string]int64{}
	for i := range whole.Items {
		if key := keyOf(&whole.Items[i]); key > last {
			want[key] = revisionOf(&whole.Items[i])
		}
	}
	wrong := unequal(rest, want)
	r.report.check(len(wrong) == 0 && len(want) > 0,
		name+" fresh token goes on after the last page, in the world as it is",
		"%d objects; wrong %s", len(rest), few(wrong))
	_, err = maps.List(ctx, metav1.ListOptions{ResourceVersion: r.held.first.ResourceVersion,
		ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	r.report.check(apierrors.IsResourceExpired(err), name+" Exact at a compacted revision is gone",
		"%v", err)
	return nil
}

// awaitExpired asks for a page until compaction makes it refuse.
func (r *run) awaitExpired(ctx context.Context, server int,
	token string) (*apierrors.StatusError, error) {
	var expired *apierrors.StatusError
	err := await(ctx, r.opt.compaction*4+30*time.Second,
		"the continue token to expire by compaction",
		func(ctx context.Context) (bool, string) {
			_, _, err := r.restOf(ctx, server, token)
			if status, is := err.(*apierrors.StatusError); is && apierrors.IsResourceExpired(err) {
				expired = status
				return true, ""
			}
			pause(ctx, time.Second)
			return false, fmt.Sprint(err)
		})
	return expired, err
}

// compactor reads in the store what the API servers agree on by compact_rev_key, and how far the
// store itself is compacted.
func (r *run) compactor(ctx context.Context) error {
	client, err := r.cluster.store.reader()
	if err != nil {
		return err
	}
	defer client.Close()
	got, err := client.Get(ctx, "compact_rev_key")
	if err != nil {
		return err
	}
	if len(got.Kvs) != 1 {
		return fmt.Errorf("%d keys named compact_rev_key", len(got.Kvs))
	}
	noted, err := strconv.ParseInt(string(got.Kvs[0].Value), 10, 64)
	if err != nil {
		return err
	}
	var compacted int64
	for response := range client.Watch(ctx, "compact_rev_key", clientv3.WithRev(1)) {
		compacted = response.CompactRevision
		break
	}
	r.report.check(noted > 0 && compacted == noted,
		"store is compacted where compact_rev_key says", "%d, key says %d", compacted, noted)
	turns, most := got.Kvs[0].Version, int64(time.Since(r.began)/r.opt.compaction)+1
	r.report.check(turns > 1 && turns <= most, "API servers compact by turns, once an interval",
		"%d times, at most %d", turns, most)
	return nil
}
