package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	sealedSecrets = 40
	// revealed is in every secret, so that a value that is not encrypted shows it.
	revealed      = "conformance-plaintext"
	sealedPrefix  = "/sealed/secrets/"
	plainValue    = "k8s\x00"
	firstSealed   = "k8s:enc:secretbox:v1:first:"
	secondSealed  = "k8s:enc:secretbox:v1:second:"
	encryptedKind = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox:
      keys:
%s  - identity: {}
`
)

// encryption runs a third API server, with a cluster of its own in the same store: first as it
// comes, then with a key, then with another key before that one. What it answers must never differ;
// what lies in the store must be as its configuration says.
func (r *run) encryption() error {
	s := r.cluster.sealed
	client, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		return err
	}
	if err := r.restartSealed(); err != nil {
		return err
	}
	want := map[string][]byte{}
	if err := r.makeSecrets(client, "before", want); err != nil {
		return err
	}
	r.checkStored("unencrypted before encryption is configured", plainValue, len(want))
	keys := [2]string{}
	for i, name := range []string{"first", "second"} {
		if keys[i], err = providerKey(name); err != nil {
			return err
		}
	}
	if err := r.sealWith(keys[0]); err != nil {
		return err
	}
	r.checkSecrets(client, "read back after encryption was configured", want)
	if err := r.makeSecrets(client, "with-first", want); err != nil {
		return err
	}
	r.checkStored("new secrets encrypted, old ones as they were", firstSealed, len(want)/2)
	r.rewriteSecrets(client, firstSealed, want)
	if err := r.sealWith(keys[1] + keys[0]); err != nil {
		return err
	}
	r.checkSecrets(client, "read back by the old key", want)
	r.rewriteSecrets(client, secondSealed, want)
	return r.closeSealed(client)
}

// providerKey is one key of the provider, as it stands in its configuration.
func providerKey(name string) (string, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return "", err
	}
	return fmt.Sprintf("      - {name: %s, secret: %q}\n", name,
		base64.StdEncoding.EncodeToString(key)), nil
}

// sealWith starts the API server anew with the given keys, of which the first encrypts.
func (r *run) sealWith(keys string) error {
	path := r.cluster.authority.path("encryption.yaml")
	text := fmt.Sprintf(encryptedKind, keys)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return r.restartSealed("--encryption-provider-config=" + path)
}

func (r *run) restartSealed(extra ...string) error {
	s := r.cluster.sealed
	if s.process != nil {
		s.process.kill()
	}
	s.extra = append([]string{"--etcd-prefix=/sealed"}, extra...)
	if err := r.cluster.startServer(s); err != nil {
		return err
	}
	return r.cluster.awaitReady(r.ctx, s)
}

// makeSecrets creates secrets of any bytes and remembers what they hold.
func (r *run) makeSecrets(c kubernetes.Interface, prefix string, want map[string][]byte) error {
	ctx, cancel := r.within(30 * time.Second)
	defer cancel()
	for i := range sealedSecrets {
		value := make([]byte, 64*(i+1))
		if _, err := rand.Read(value); err != nil {
			return err
		}
		name := fmt.Sprintf("%s-%02d", prefix, i)
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name},
			Data: map[string][]byte{"value": value, "text": []byte(revealed)}}
		if _, err := c.CoreV1().Secrets("default").Create(ctx, secret,
			metav1.CreateOptions{}); err != nil {
			return err
		}
		want[name] = value
	}
	return nil
}

// checkSecrets passes when every secret holds what was put into it, listed and got.
func (r *run) checkSecrets(c kubernetes.Interface, when string, want map[string][]byte) {
	ctx, cancel := r.within(30 * time.Second)
	defer cancel()
	list, err := c.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		r.report.check(false, "secrets "+when, "%v", err)
		return
	}
	wrong := differingSecrets(list.Items, want)
	for name := range want {
		one, err := c.CoreV1().Secrets("default").Get(ctx, name, metav1.GetOptions{})
		if err != nil || !bytes.Equal(one.Data["value"], want[name]) {
			wrong = append(wrong, fmt.Sprintf("get %s: %v", name, err))
		}
	}
	r.report.check(len(wrong) == 0, "secrets "+when, "%d; wrong %s", len(list.Items), few(wrong))
}

func differingSecrets(got []corev1.Secret, want map[string][]byte) []string {
	var wrong []string
	left := len(want)
	for _, secret := range got {
		value, there := want[secret.Name]
		if !there {
			wrong = append(wrong, secret.Name+" is not expected")
			continue
		}
		left--
		if !bytes.Equal(value, secret.Data["value"]) {
			wrong = append(wrong, secret.Name+" holds something else")
		}
	}
	if left != 0 {
		wrong = append(wrong, fmt.Sprintf("%d are missing", left))
	}
	return wrong
}

// rewriteSecrets writes every secret as it is, which encrypts it with the first key, and checks
// both what is read and what lies in the store.
func (r *run) rewriteSecrets(c kubernetes.Interface, prefix string, want map[string][]byte) {
	ctx, cancel := r.within(60 * time.Second)
	defer cancel()
	list, err := c.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		r.report.check(false, "secrets to rewrite", "%v", err)
		return
	}
	for i := range list.Items {
		_, err := c.CoreV1().Secrets("default").Update(ctx, &list.Items[i], metav1.UpdateOptions{})
		if err != nil {
			r.report.check(false, "rewriting "+list.Items[i].Name, "%v", err)
			return
		}
	}
	r.checkSecrets(c, "read back after they were rewritten", want)
	r.checkStored("all encrypted after they were rewritten", prefix, len(want))
}

// checkStored reads the values in the store itself: so many begin with prefix, and of those that
// are encrypted none shows what is in it.
func (r *run) checkStored(what, prefix string, count int) {
	ctx, cancel := r.within(20 * time.Second)
	defer cancel()
	values, err := r.storedUnder(ctx, sealedPrefix)
	begin, shown := judgeStored(values, prefix)
	r.report.check(err == nil && begin == count && shown == 0, "secrets in the store: "+what,
		"%d of %d begin with %q; %d show their text %s", begin, len(values), prefix, shown,
		reason(err))
}

// judgeStored counts the values that begin with prefix, and those that show their text although
// they are not kept plain.
func judgeStored(values [][]byte, prefix string) (begin, shown int) {
	for _, value := range values {
		if bytes.HasPrefix(value, []byte(prefix)) {
			begin++
		}
		if !bytes.HasPrefix(value, []byte(plainValue)) && bytes.Contains(value, []byte(revealed)) {
			shown++
		}
	}
	return begin, shown
}

func (r *run) storedUnder(ctx context.Context, prefix string) ([][]byte, error) {
	client, err := r.cluster.store.reader()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	got, err := client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	var values [][]byte
	for _, kv := range got.Kvs {
		values = append(values, kv.Value)
	}
	return values, nil
}

// closeSealed reads what the API server counted and logged, and ends it.
func (r *run) closeSealed(c kubernetes.Interface) error {
	ctx, cancel := r.within(20 * time.Second)
	defer cancel()
	m, err := scrape(ctx, c)
	if err != nil {
		return err
	}
	const transformations = "apiserver_storage_transformation_operations_total"
	good := m.sum(transformations, `status="OK"`, `transformer_prefix="k8s:enc:secretbox:v1:"`)
	bad := m.sum(transformations, `!status="OK"`)
	r.report.check(good > 0 && bad == 0, "sealed API server decrypts everything",
		"%.0f times, %.0f failed", good, bad)
	m = slices.DeleteFunc(m, discarded)
	r.report.check(m.sum("etcd_request_errors_total") == 0,
		"sealed etcd_request_errors_total is empty", "%.0f", m.sum("etcd_request_errors_total"))
	outside, _, err := storageErrors(r.cluster.sealed.process.log, nil)
	r.report.check(err == nil && len(outside) == 0, "sealed log has no error that names storage",
		"%s%s", few(outside), reason(err))
	r.cluster.sealed.process.kill()
	return nil
}
