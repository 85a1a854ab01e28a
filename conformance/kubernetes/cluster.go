package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is the store and the control plane on it, all on loopback. Two API servers share the
// store: the cached one is as people run it; the plain one has no watch cache, so that each of
// its lists and watches is the store's own answer.
type cluster struct {
	opt         options
	dir         string
	authority   *authority
	storeURL    string
	peerURL     string
	store       *process
	storeBefore usage
	servers     [2]*apiServer
	controllers *process
}

// apiServer is one kube-apiserver and the way to it.
type apiServer struct {
	name    string
	url     string
	process *process
	config  *rest.Config
}

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

// newCluster writes the credentials and chooses the ports; it starts nothing.
func newCluster(opt options, dir string) (*cluster, error) {
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	url := func(scheme string, port int) string {
		return fmt.Sprintf("%s://127.0.0.1:%d", scheme,
			port)
	}
	a, err := newAuthority(dir)
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if opt.tls {
		scheme = "https"
	}
	c := &cluster{opt: opt, dir: dir, authority: a,
		storeURL: url(scheme, ports[0]), peerURL: url("http", ports[1])}
	c.servers[0] = &apiServer{name: "cached", url: url("https", ports[2])}
	c.servers[1] = &apiServer{name: "plain", url: url("https", ports[3])}
	if err := c.writeCredentials(); err != nil {
		return nil, err
	}
	for _, s := range c.servers {
		kubeconfig := a.path(s.name + ".kubeconfig")
		if s.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
			return nil, err
		}
		// The client's own throttle would hide how fast the store is.
		s.config.QPS, s.config.Timeout = -1, 0
	}
	return c, nil
}

func (c *cluster) writeCredentials() error {
	a := c.authority
	if err := a.serviceAccountKey(); err != nil {
		return err
	}
	for name, subject := range map[string][2]string{
		"apiserver": {"kube-apiserver", ""},
		"store":     {"store", ""},
		"client":    {"store-client", ""},
		"admin":     {"conformance-admin", "system:masters"},
		"manager":   {"system:kube-controller-manager", ""},
	} {
		if err := a.issue(name, subject[0], strings.Fields(subject[1])...); err != nil {
			return err
		}
	}
	for _, s := range c.servers {
		if err := a.kubeconfig(s.name+".kubeconfig", "admin", s.url); err != nil {
			return err
		}
	}
	return a.kubeconfig("manager.kubeconfig", "manager", c.servers[0].url)
}

// startStore starts the store, or starts it again on the data it left, and waits until it is
// healthy.
func (c *cluster) startStore(ctx context.Context) error {
	client, err := c.storeClient()
	if err != nil {
		return err
	}
	args := []string{
		"--name=conformance", "--data-dir=" + filepath.Join(c.dir, "data"),
		"--listen-client-urls=" + c.storeURL, "--advertise-client-urls=" + c.storeURL,
		"--listen-peer-urls=" + c.peerURL, "--initial-advertise-peer-urls=" + c.peerURL,
		"--initial-cluster=conformance=" + c.peerURL}
	if c.opt.tls {
		a := c.authority
		args = append(args, "--cert-file="+a.path("store.crt"), "--key-file="+a.path("store.key"),
			"--client-cert-auth", "--trusted-ca-file="+a.path("ca.crt"))
	}
	c.store, err = launch(c.dir, "store", c.opt.store, args...)
	if err != nil {
		return err
	}
	return await(ctx, 30*time.Second, "the store's /health", func(ctx context.Context) (bool,
		string) {
		body, err := fetch(ctx, client, c.storeURL+"/health")
		if err != nil {
			return false, err.Error()
		}
		return strings.Contains(body, `"health":"true"`), body
	}, c.store)
}

// storeClient speaks HTTP to the store as the API servers speak gRPC to it.
func (c *cluster) storeClient() (*http.Client, error) {
	if !c.opt.tls {
		return http.DefaultClient, nil
	}
	a := c.authority
	pair, err := tls.LoadX509KeyPair(a.path("client.crt"), a.path("client.key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	config := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair},
		MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}, nil
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

// startServer starts one API server; it does not wait.
func (c *cluster) startServer(s *apiServer, watchCache bool) error {
	a := c.authority
	port := s.url[strings.LastIndexByte(s.url, ':')+1:]
	args := []string{
		"--etcd-servers=" + c.storeURL, "--secure-port=" + port, "--bind-address=127.0.0.1",
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=" + a.path("apiserver.crt"),
		"--tls-private-key-file=" + a.path("apiserver.key"),
		"--client-ca-file=" + a.path("ca.crt"), "--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://conformance.invalid",
		"--service-account-key-file=" + a.path("service-account.key"),
		"--service-account-signing-key-file=" + a.path("service-account.key"),
		"--cert-dir=" + filepath.Join(c.dir, "generated-"+s.name),
		fmt.Sprintf("--watch-cache=%t", watchCache),
		// The identity is made of the host's name: two servers of one host would fight over its
		// lease.
		fmt.Sprintf("--feature-gates=APIServerIdentity=%t,UnknownVersionInteroperabilityProxy=%t",
			watchCache, watchCache),
		"--etcd-compaction-interval=" + c.opt.compaction.String(),
		"--event-ttl=" + c.opt.eventTTL.String(),
		"--vmodule=store=4,watcher=4,compact=4,feature_support_checker=4"}
	if c.opt.tls {
		args = append(args, "--etcd-cafile="+a.path("ca.crt"),
			"--etcd-certfile="+a.path("client.crt"), "--etcd-keyfile="+a.path("client.key"))
	}
	var err error
	s.process, err = launch(c.dir, "apiserver-"+s.name, filepath.Join(c.opt.bin,
		"kube-apiserver"), args...)
	return err
}

// startControllers starts kube-controller-manager against the cached API server; it does not wait.
func (c *cluster) startControllers() error {
	a := c.authority
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	kubeconfig := a.path("manager.kubeconfig")
	c.controllers, err = launch(c.dir, "controller-manager",
		filepath.Join(c.opt.bin, "kube-controller-manager"),
		"--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig,
		"--authorization-kubeconfig="+kubeconfig, "--use-service-account-credentials=true",
		"--service-account-private-key-file="+a.path("service-account.key"),
		"--root-ca-file="+a.path("ca.crt"), "--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", ports[0]), "--leader-elect=true",
		"--cert-dir="+filepath.Join(c.dir, "generated-manager"))
	return err
}

// awaitReady waits for an API server's /readyz.
func (c *cluster) awaitReady(ctx context.Context, s *apiServer) error {
	client, err := rest.HTTPClientFor(s.config)
	if err != nil {
		return err
	}
	client.Timeout = 5 * time.Second
	return await(ctx, 120*time.Second, s.name+" API server's /readyz",
		func(context.Context) (bool, string) {
			response, err := client.Get(s.url + "/readyz")
			if err != nil {
				return false, err.Error()
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
			return response.StatusCode == http.StatusOK, string(body)
		}, s.process)
}

// fallen names the children that ended by themselves.
func (c *cluster) fallen() []string {
	var all []string
	children := []*process{c.store, c.servers[0].process, c.servers[1].process, c.controllers}
	for _, p := range children {
		if p == nil {
			continue
		}
		if fell, how := p.fell(); fell {
			all = append(all, how)
		}
	}
	return all
}

// close ends every child, the store last.
func (c *cluster) close() (storeStopped bool) {
	for _, p := range []*process{c.controllers, c.servers[0].process, c.servers[1].process} {
		if p != nil {
			p.kill()
		}
	}
	return c.store == nil || c.store.stop(10*time.Second)
}
