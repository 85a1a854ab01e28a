package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// access checks who is let in: by the API server, and, over TLS, by the store.
func (r *run) access() error {
	r.checkKubectl("kubectl is known by its certificate", "conformance-admin", "", "auth",
		"whoami", "-o", "jsonpath={.status.userInfo.username}")
	client, err := kubernetes.NewForConfig(rest.AnonymousClientConfig(r.cluster.servers[0].config))
	if err != nil {
		return err
	}
	ctx, cancel := r.within(20 * time.Second)
	defer cancel()
	_, err = client.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
	r.report.check(apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err),
		"API server refuses a client without a certificate", "%v", err)
	if !r.opt.tls {
		r.report.note("the store is reached without TLS: certificates are not checked")
		return nil
	}
	return r.strangers(ctx)
}

// strangers are whom the store must not let in, and must name in its log.
func (r *run) strangers(ctx context.Context) error {
	s := r.cluster.store
	kinds, err := r.makeStrangers()
	if err != nil {
		return err
	}
	var peers []string
	for _, c := range kinds {
		from, err := s.health(ctx, c.certificate)
		r.report.check(refused(err), "store refuses a client with "+c.what, "%v", err)
		peers = append(peers, from)
	}
	plain := strings.Replace(s.clients[0], "https:", "http:", 1)
	from, err := ask(ctx, nil, plain+"/health")
	r.report.check(err != nil, "store refuses plaintext on its TLS port", "%v", err)
	peers = append(peers, from)
	secret := strings.Replace(s.probes, "http:", "https:", 1)
	_, err = fetch(ctx, http.DefaultClient, secret+"/livez")
	r.report.check(err != nil, "store refuses TLS on its plaintext port", "%v", err)
	_, err = s.health(ctx, "client")
	r.report.check(err == nil, "store lets the API servers' certificate in", "%s", reason(err))
	log, err := grepFile(s.process.log, regexp.MustCompile("rejected connection"))
	unnamed := notNamed(peers, log)
	r.report.check(err == nil && len(unnamed) == 0, "store's log names each peer it refused",
		"%d peers, not named %s", len(peers), few(unnamed))
	return err
}

type stranger struct{ what, certificate string }

// makeStrangers issues what is not good enough.
func (r *run) makeStrangers() ([]stranger, error) {
	const name = "kube-apiserver-etcd-client"
	for directory, authority := range map[string]string{"foreign": "another-ca",
		"impostor": authorityName} {
		other, err := newAuthority(filepath.Join(r.dir, directory), authority)
		if err != nil {
			return nil, err
		}
		if err := other.issue("stranger", name); err != nil {
			return nil, err
		}
	}
	past := time.Now().Add(-time.Minute)
	return []stranger{
		{"no certificate", ""},
		{"a certificate of another authority", "foreign/stranger"},
		{"a certificate of an authority of the same name", "impostor/stranger"},
		{"an expired certificate", "expired"},
	}, r.cluster.authority.issueUntil(past, "expired", name)
}

// notNamed tells which peers no line of a log names.
func notNamed(peers, log []string) []string {
	return slices.DeleteFunc(slices.Clone(peers), func(peer string) bool {
		return slices.ContainsFunc(log, func(line string) bool {
			return strings.Contains(line, `"remote-addr":"`+peer+`"`)
		})
	})
}

// refused tells whether an attempt ended in a TLS handshake that failed, not in silence.
func refused(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "tls:") || strings.Contains(text, "connection reset") ||
		strings.Contains(text, "EOF") || strings.Contains(text, "broken pipe")
}

// certificates replaces the store's certificate and that of the API servers while writers run, and
// revokes the old one. The restarts that follow show that the API servers come back with the new.
func (r *run) certificates() error {
	if !r.opt.tls {
		return nil
	}
	writers := r.startLoad("rotation", 4)
	err := r.rotate()
	failures := writers.stop()
	r.report.check(len(failures) == 0 && writers.written.Load() > 0,
		"writes go on while certificates are replaced", "%d acknowledged; failed %s",
		writers.written.Load(), few(failures))
	return err
}

func (r *run) rotate() error {
	s, a := r.cluster.store, r.cluster.authority
	old, err := s.serving(r.ctx)
	if err != nil {
		return err
	}
	if err := a.issue("store", "store"); err != nil {
		return err
	}
	want, err := a.read("store")
	if err != nil {
		return err
	}
	began := time.Now()
	err = await(r.ctx, 15*time.Second, "a new connection to be shown the new certificate",
		func(ctx context.Context) (bool, string) {
			shown, err := s.serving(ctx)
			if err != nil {
				return false, err.Error()
			}
			return shown.Equal(want), fmt.Sprintf("serial %v", shown.SerialNumber)
		}, s.process)
	r.report.check(err == nil, "store shows its new certificate to new connections",
		"serial %v → %v after %.1f s %s", old.SerialNumber, want.SerialNumber,
		time.Since(began).Seconds(), reason(err))
	if err := r.revoke(); err != nil {
		return err
	}
	pause(r.ctx, time.Second)
	return nil
}

// revoke gives the API servers a new certificate and puts the old one on the revocation list.
func (r *run) revoke() error {
	s, a := r.cluster.store, r.cluster.authority
	for _, extension := range []string{".crt", ".key"} {
		if err := copyFile(a.path("client"+extension), a.path("former"+extension)); err != nil {
			return err
		}
	}
	if _, err := s.health(r.ctx, "former"); err != nil {
		return fmt.Errorf("before it is revoked: %w", err)
	}
	if err := a.issue("client", "kube-apiserver-etcd-client"); err != nil {
		return err
	}
	if err := a.revoke("former"); err != nil {
		return err
	}
	began := time.Now()
	err := await(r.ctx, 15*time.Second, "the revoked certificate to be refused",
		func(ctx context.Context) (bool, string) {
			_, err := s.health(ctx, "former")
			return refused(err), "let in " + reason(err)
		}, s.process)
	r.report.check(err == nil, "store refuses a revoked certificate on new connections",
		"after %.1f s %s", time.Since(began).Seconds(), reason(err))
	_, err = s.health(r.ctx, "client")
	r.report.check(err == nil, "store lets the new certificate in", "%s", reason(err))
	return nil
}
