package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const loadNamespaces = 5

// bootstrap starts everything and waits until the controllers have made what every namespace needs.
func (r *run) bootstrap() error {
	if err := r.startStore(); err != nil {
		return err
	}
	if err := r.startServers(); err != nil {
		return err
	}
	err := await(r.ctx, 60*time.Second, "the default service account",
		func(ctx context.Context) (bool, string) {
			_, err := r.clients[1].CoreV1().ServiceAccounts("default").Get(ctx, "default",
				metav1.GetOptions{})
			return err == nil, fmt.Sprint(err)
		})
	r.report.check(err == nil, "controllers have started", "")
	if err != nil {
		return err
	}
	if err := r.startNodes(); err != nil {
		return err
	}
	return r.startObservers()
}

// startStore starts the store and asks it all that a kubelet and a monitor ask.
func (r *run) startStore() error {
	s := r.cluster.store
	if s.standing != nil {
		return r.greet()
	}
	began := time.Now()
	if err := s.start(r.ctx); err != nil {
		return err
	}
	r.report.check(true, "store is ready with kubeadm's flags", "after %.2f s",
		time.Since(began).Seconds())
	for path, want := range map[string]string{"/livez": "ok", "/readyz": "ok",
		"/health?serializable=true": `"health":"true"`, "/metrics": "etcd_server_has_leader 1"} {
		r.checkPage(s.probes+path, want)
	}
	go s.probing.follow(r.ctx, s.probes)
	return nil
}

// startServers starts the API servers and what works through them.
func (r *run) startServers() error {
	c := r.cluster
	began := time.Now()
	// The first server creates what a fresh cluster lacks; a second one at the same instant would
	// only compete with it.
	if err := c.startServer(c.servers[0]); err != nil {
		return err
	}
	if err := c.awaitReady(r.ctx, c.servers[0]); err != nil {
		return err
	}
	r.report.check(true, "API server is ready", "after %.1f s", time.Since(began).Seconds())
	if err := c.startServer(c.servers[1]); err != nil {
		return err
	}
	if err := c.startControllers(r.ctx); err != nil {
		return err
	}
	if err := c.awaitReady(r.ctx, c.servers[1]); err != nil {
		return err
	}
	r.report.check(true, "second API server, without a watch cache, is ready", "")
	return nil
}

// checkPage passes when a page answers 200 and contains want.
func (r *run) checkPage(url, want string) {
	body, err := fetch(r.ctx, http.DefaultClient, url)
	r.report.check(err == nil && strings.Contains(body, want), "store answers "+url, "%s%s",
		firstLine(body), reason(err))
}

// startObservers makes the namespaces and begins one raw watch and one set of informers per server.
func (r *run) startObservers() error {
	names := []string{"play", "work", "paged"}
	for i := range loadNamespaces {
		names = append(names, fmt.Sprintf("load-%d", i))
	}
	for _, name := range names {
		if err := r.makeNamespace(name); err != nil {
			return err
		}
	}
	ctx, cancel := r.within(10 * time.Second)
	defer cancel()
	list, err := r.clients[1].CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if r.from, err = strconv.ParseInt(list.ResourceVersion, 10, 64); err != nil {
		return err
	}
	for i, s := range r.cluster.servers {
		recording := &recording{name: s.name, at: r.from}
		r.recordings = append(r.recordings, recording)
		go recording.follow(r.ctx, r.clients[i])
		informers, err := startInformers(r.ctx, s)
		if err != nil {
			return err
		}
		r.informers = append(r.informers, informers)
	}
	return nil
}

func (r *run) makeNamespace(name string) error {
	ctx, cancel := r.within(10 * time.Second)
	defer cancel()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := r.clients[0].CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	return err
}
