package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// store is the server under test, with the flags that kubeadm gives etcd: two addresses for
// clients, one of its own for probes and metrics, and TLS unless the run goes without.
type store struct {
	dir       string
	binary    string
	tls       bool
	authority *authority
	process   *process
	clients   [2]string
	peers     string
	probes    string
	probing   *probing
	// standing is set when somebody else runs the store; then there are neither process nor probes.
	standing *standing
}

func newStore(opt options, dir string, a *authority, ports []int) *store {
	scheme := "http"
	if opt.tls {
		scheme = "https"
	}
	s := &store{dir: dir, binary: opt.store, tls: opt.tls, authority: a, probing: &probing{}}
	for i := range s.clients {
		s.clients[i] = fmt.Sprintf("%s://127.0.0.%d:%d", scheme, i+1, ports[0])
	}
	if opt.standing.any() {
		s.standing = &opt.standing
		s.clients = [2]string{opt.standing.endpoints, opt.standing.rotated()}
	}
	if opt.move {
		s.binary = filepath.Join(opt.bin, "etcd")
	}
	s.peers = fmt.Sprintf("%s://127.0.0.1:%d", scheme, ports[1])
	s.probes = fmt.Sprintf("http://127.0.0.1:%d", ports[2])
	return s
}

// flags are those of kubeadm's manifest, and a revocation list.
func (s *store) flags() []string {
	flags := []string{
		"--name=conformance",
		"--listen-client-urls=" + strings.Join(s.clients[:], ","),
		"--advertise-client-urls=" + s.clients[1],
		"--listen-peer-urls=" + s.peers, "--initial-advertise-peer-urls=" + s.peers,
		"--data-dir=" + s.data(),
		"--snapshot-count=10000", "--listen-metrics-urls=" + s.probes,
		"--feature-gates=InitialCorruptCheck=true", "--watch-progress-notify-interval=5s",
		"--initial-cluster=conformance=" + s.peers,
	}
	if !s.tls {
		return flags
	}
	a := s.authority
	return append(flags,
		"--cert-file="+a.path("store.crt"), "--key-file="+a.path("store.key"),
		"--trusted-ca-file="+a.path("ca.crt"), "--client-cert-auth=true",
		"--peer-cert-file="+a.path("peer.crt"), "--peer-key-file="+a.path("peer.key"),
		"--peer-trusted-ca-file="+a.path("ca.crt"), "--peer-client-cert-auth=true",
		"--client-crl-file="+a.path("revoked.crl"))
}

// start starts the store, or starts it again on the data it left, and waits as a kubelet does
// before it calls the pod started: until /readyz says so.
func (s *store) start(ctx context.Context) error {
	var err error
	s.process, err = launch(s.dir, "store", s.binary, s.flags()...)
	if err != nil {
		return err
	}
	return s.awaitReady(ctx, 30*time.Second)
}

func (s *store) awaitReady(ctx context.Context, limit time.Duration) error {
	return await(ctx, limit, "the store's /readyz", func(ctx context.Context) (bool, string) {
		body, err := fetch(ctx, http.DefaultClient, s.probes+"/readyz")
		return err == nil, fmt.Sprint(body, err)
	}, s.process)
}

// identity is the TLS configuration of a client of the store that shows the named certificate;
// none when name is empty. It is nil without TLS.
func (s *store) identity(name string) (*tls.Config, error) {
	if s.standing != nil {
		return s.standing.identity()
	}
	if !s.tls {
		return nil, nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.authority.cert)
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if name == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(s.authority.path(name+".crt"), s.authority.path(name+".key"))
	config.Certificates = []tls.Certificate{pair}
	return config, err
}

// reader is a client of the store itself, for what no API server shows.
func (s *store) reader() (*clientv3.Client, error) {
	config, err := s.identity("client")
	if err != nil {
		return nil, err
	}
	return clientv3.New(clientv3.Config{Endpoints: strings.Split(s.clients[0], ","), TLS: config,
		DialTimeout: 5 * time.Second})
}

// serving gives the certificate that a new connection is shown.
func (s *store) serving(ctx context.Context) (*x509.Certificate, error) {
	config, err := s.identity("client")
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: config}
	connection, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(s.clients[0], "https://"))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	secured, ok := connection.(*tls.Conn)
	if !ok || len(secured.ConnectionState().PeerCertificates) == 0 {
		return nil, errors.New("no certificate was shown")
	}
	return secured.ConnectionState().PeerCertificates[0], nil
}

// health asks /health on the address for clients, with the named certificate, and tells from which
// address it asked.
func (s *store) health(ctx context.Context, certificate string) (from string, err error) {
	config, err := s.identity(certificate)
	if err != nil {
		return "", err
	}
	return ask(ctx, config, s.clients[0]+"/health")
}

// ask is one GET on a connection of its own.
func ask(ctx context.Context, config *tls.Config, url string) (from string, err error) {
	dialer := &net.Dialer{Timeout: 2 * time.Second}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			connection, err := dialer.DialContext(ctx, network, to)
			if err == nil {
				from = connection.LocalAddr().String()
			}
			return connection, err
		}}
	_, err = fetch(ctx, &http.Client{Transport: transport}, url)
	return from, err
}

// fetch is one plain GET whose answer must be 200.
func fetch(ctx context.Context, client *http.Client, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}
