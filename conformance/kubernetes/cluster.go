package main

import (
	"context"
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
// store's cluster: the cached one is as people run it; the plain one has no watch cache, so that
// each of its lists and watches is the store's own answer. A third, sealed, has a cluster of its
// own under another prefix of the same store and encrypts what it keeps.
type cluster struct {
	opt         options
	dir         string
	authority   *authority
	store       *store
	storeBefore usage
	servers     [2]*apiServer
	sealed      *apiServer
	controllers *kept
	scheduler   *kept
}

// authorityName is who signs everything in a run.
const authorityName = "conformance-ca"

// apiServer is one kube-apiserver and the way to it.
type apiServer struct {
	name    string
	url     string
	etcd    string
	cached  bool
	extra   []string
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
	ports, err := freePorts(6)
	if err != nil {
		return nil, err
	}
	a, err := newAuthority(dir, authorityName)
	if err != nil {
		return nil, err
	}
	c := &cluster{opt: opt, dir: dir, authority: a, store: newStore(opt, dir, a, ports[:3])}
	c.servers[0] = &apiServer{name: "cached", etcd: c.store.clients[0], cached: true}
	c.servers[1] = &apiServer{name: "plain", etcd: c.store.clients[1]}
	c.sealed = &apiServer{name: "sealed", etcd: c.store.clients[0], cached: true,
		extra: []string{"--etcd-prefix=/sealed"}}
	for i, s := range c.all() {
		s.url = fmt.Sprintf("https://127.0.0.1:%d", ports[3+i])
	}
	if err := c.writeCredentials(); err != nil {
		return nil, err
	}
	for _, s := range c.all() {
		kubeconfig := a.path(s.name + ".kubeconfig")
		if s.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
			return nil, err
		}
		// The client's own throttle would hide how fast the store is.
		s.config.QPS, s.config.Timeout = -1, 0
	}
	return c, nil
}

// all are the three API servers, whether they run or not.
func (c *cluster) all() []*apiServer { return []*apiServer{c.servers[0], c.servers[1], c.sealed} }

func (c *cluster) writeCredentials() error {
	a := c.authority
	if err := a.serviceAccountKey(); err != nil {
		return err
	}
	for name, subject := range map[string][2]string{
		"apiserver": {"kube-apiserver", ""},
		"store":     {"store", ""},
		"peer":      {"store", ""},
		"client":    {"kube-apiserver-etcd-client", ""},
		"admin":     {"conformance-admin", "system:masters"},
		"manager":   {"system:kube-controller-manager", ""},
		"scheduler": {"system:kube-scheduler", ""},
	} {
		if err := a.issue(name, subject[0], strings.Fields(subject[1])...); err != nil {
			return err
		}
	}
	for _, s := range c.all() {
		if err := a.kubeconfig(s.name+".kubeconfig", "admin", s.url); err != nil {
			return err
		}
	}
	for _, name := range []string{"manager", "scheduler"} {
		if err := a.kubeconfig(name+".kubeconfig", name, c.servers[0].url); err != nil {
			return err
		}
	}
	return a.revoke()
}

// startServer starts one API server; it does not wait.
func (c *cluster) startServer(s *apiServer) error {
	a := c.authority
	port := s.url[strings.LastIndexByte(s.url, ':')+1:]
	args := []string{
		"--etcd-servers=" + s.etcd, "--secure-port=" + port, "--bind-address=127.0.0.1",
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=" + a.path("apiserver.crt"),
		"--tls-private-key-file=" + a.path("apiserver.key"),
		"--client-ca-file=" + a.path("ca.crt"), "--authorization-mode=Node,RBAC",
		"--requestheader-client-ca-file=" + a.path("ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--service-account-issuer=https://conformance.invalid",
		"--service-account-key-file=" + a.path("service-account.key"),
		"--service-account-signing-key-file=" + a.path("service-account.key"),
		"--cert-dir=" + filepath.Join(c.dir, "generated-"+s.name),
		fmt.Sprintf("--watch-cache=%t", s.cached),
		// The identity is made of the host's name: two servers of one host would fight over its
		// lease.
		fmt.Sprintf("--feature-gates=APIServerIdentity=%t,UnknownVersionInteroperabilityProxy=%t",
			s.cached, s.cached),
		"--etcd-compaction-interval=" + c.opt.compaction.String(),
		"--event-ttl=" + c.opt.eventTTL.String(),
		"--vmodule=store=4,watcher=4,compact=4,feature_support_checker=4"}
	if c.opt.standing.any() {
		args = append(args, c.opt.standing.flags()...)
	} else if c.opt.tls {
		args = append(args, "--etcd-cafile="+a.path("ca.crt"),
			"--etcd-certfile="+a.path("client.crt"), "--etcd-keyfile="+a.path("client.key"))
	}
	var err error
	s.process, err = launch(c.dir, "apiserver-"+s.name, filepath.Join(c.opt.bin,
		"kube-apiserver"), append(args, s.extra...)...)
	return err
}

// startControllers starts kube-controller-manager and kube-scheduler against the cached API server
// and keeps them running until ctx ends; it does not wait.
func (c *cluster) startControllers(ctx context.Context) error {
	var err error
	c.controllers, err = keep(ctx, "kube-controller-manager", func() (*process, error) {
		a := c.authority
		return c.component("kube-controller-manager", "manager",
			"--use-service-account-credentials=true", "--root-ca-file="+a.path("ca.crt"),
			"--service-account-private-key-file="+a.path("service-account.key"),
			"--cert-dir="+filepath.Join(c.dir, "generated-manager"))
	})
	if err != nil {
		return err
	}
	c.scheduler, err = keep(ctx, "kube-scheduler", func() (*process, error) {
		return c.component("kube-scheduler", "scheduler")
	})
	return err
}

// component starts a program that works through the cached API server and elects a leader.
func (c *cluster) component(program, user string, extra ...string) (*process, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	kubeconfig := c.authority.path(user + ".kubeconfig")
	args := []string{"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig, "--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", ports[0]), "--leader-elect=true"}
	return launch(c.dir, program, filepath.Join(c.opt.bin, program), append(args, extra...)...)
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

// fallen names the children that ended by themselves and are not started again.
func (c *cluster) fallen() []string {
	var all []string
	children := []*process{c.store.process}
	for _, s := range c.all() {
		children = append(children, s.process)
	}
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

// close ends every child, the store last; the run's context must be over.
func (c *cluster) close() (storeStopped bool) {
	c.controllers.stop()
	c.scheduler.stop()
	for _, s := range c.all() {
		if s.process != nil {
			s.process.kill()
		}
	}
	return c.store.process == nil || c.store.process.stop(10*time.Second)
}
