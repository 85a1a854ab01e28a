package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// freePorts takes ports the kernel has just given away as unused.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// store is one running etcd or Meridian.
type store struct {
	process *process
	client  *http.Client
	url     string
}

// metrics reads the store's own /metrics.
func (s *store) metrics(ctx context.Context) (metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return parseMetrics(string(body)), err
}

// startStore starts a store with the flags kubeadm gives etcd, and waits until it is healthy.
func startStore(ctx context.Context, t target, dir string, a *authority, secure bool) (*store,
	error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://127.0.0.1:%d", scheme, ports[0])
	peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	args := []string{"--name=cluster", "--data-dir=" + filepath.Join(dir, "data"),
		"--listen-client-urls=" + url, "--advertise-client-urls=" + url,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=cluster=" + peer, "--snapshot-count=10000",
		"--watch-progress-notify-interval=5s", "--log-level=warn"}
	if secure {
		args = append(args, "--cert-file="+a.path("store.crt"), "--key-file="+a.path("store.key"),
			"--client-cert-auth", "--trusted-ca-file="+a.path("ca.crt"))
	}
	p, err := launch(dir, "store", nil, t.path, args...)
	if err != nil {
		return nil, err
	}
	client, err := storeClient(a, secure)
	s := &store{process: p, client: client, url: url}
	if err == nil {
		err = await(ctx, 20*time.Second, t.name+"'s /health",
			func(ctx context.Context) (bool, string) { return healthy(ctx, client, url) }, p)
	}
	if err != nil {
		p.stop(time.Second)
		return nil, err
	}
	return s, nil
}

// storeClient speaks HTTP to the store as the API server speaks gRPC to it.
func storeClient(a *authority, secure bool) (*http.Client, error) {
	transport := &http.Transport{}
	if secure {
		pair, err := tls.LoadX509KeyPair(a.path("client.crt"), a.path("client.key"))
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AddCert(a.cert)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots,
			Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, Timeout: 2 * time.Second}, nil
}

func healthy(ctx context.Context, client *http.Client, url string) (bool, string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return false, err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		return false, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return false, err.Error()
	}
	return response.StatusCode == http.StatusOK && strings.Contains(string(body), "true"),
		string(body)
}

// decideTLS tells whether the run uses mutual TLS. "auto" tries each store with it once.
func decideTLS(ctx context.Context, o options, base string) (bool, error) {
	if o.tls != "auto" {
		return o.tls == "on", nil
	}
	for _, t := range o.order(1) {
		dir := filepath.Join(base, "tls-"+t.name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return false, err
		}
		a, err := newAuthority(dir)
		if err != nil {
			return false, err
		}
		if err := a.issueAll(); err != nil {
			return false, err
		}
		s, err := startStore(ctx, t, dir, a, true)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			log.Printf("plaintext to the stores, because %s does not serve TLS: %v", t.name, err)
			return false, nil
		}
		s.process.stop(5 * time.Second)
	}
	log.Print("mutual TLS to the stores")
	return true, nil
}
