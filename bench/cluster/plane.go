package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// plane is a store and the control plane on it, all on loopback.
type plane struct {
	dir       string
	authority *authority
	secure    bool
	url       string
	store     *store
	children  []*process
	requests  *requestLog
	log       *os.File
	config    *rest.Config
	client    kubernetes.Interface
}

// newPlane writes the credentials and prepares the clients; it starts nothing.
func newPlane(dir string, secure bool) (*plane, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	a, err := newAuthority(dir)
	if err != nil {
		return nil, err
	}
	p := &plane{dir: dir, authority: a, secure: secure,
		url: fmt.Sprintf("https://127.0.0.1:%d", ports[0])}
	if err := a.issueAll(); err != nil {
		return nil, err
	}
	for _, user := range []string{"admin", "manager", "scheduler"} {
		if err := a.kubeconfig(user+".kubeconfig", user, p.url); err != nil {
			return nil, err
		}
	}
	p.config, err = clientcmd.BuildConfigFromFlags("", a.path("admin.kubeconfig"))
	if err != nil {
		return nil, err
	}
	// The load is paced by this program; the client's own throttle would come on top.
	p.config.QPS, p.config.UserAgent = -1, "cluster-load"
	p.config.WarningHandler = rest.NoWarnings{}
	p.config.ContentType = "application/vnd.kubernetes.protobuf"
	p.client, err = kubernetes.NewForConfig(p.config)
	return p, err
}

// start brings everything up, the store first, and waits until each part works.
func (p *plane) start(ctx context.Context, o options, t target) error {
	// What an earlier run left to be written must not be written during this one.
	syscall.Sync()
	var err error
	if p.store, err = startStore(ctx, t, p.dir, p.authority, p.secure); err != nil {
		return err
	}
	p.children = append(p.children, p.store.process)
	if err := p.startServer(ctx, o); err != nil {
		return err
	}
	if err := p.startControllers(ctx, o); err != nil {
		return err
	}
	return p.startKwok(o)
}

func (p *plane) run(sink io.Writer, o options, name string, args ...string) error {
	child, err := launch(p.dir, name, sink, filepath.Join(o.bin, name), args...)
	if err == nil {
		p.children = append(p.children, child)
	}
	return err
}

// startServer differs from a default API server in this: events end after two minutes and the
// store is compacted every minute, so that both happen within a run.
func (p *plane) startServer(ctx context.Context, o options) error {
	a := p.authority
	args := []string{"--etcd-servers=" + p.store.url, "--bind-address=127.0.0.1",
		"--secure-port=" + p.url[strings.LastIndexByte(p.url, ':')+1:],
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=" + a.path("apiserver.crt"),
		"--tls-private-key-file=" + a.path("apiserver.key"),
		"--client-ca-file=" + a.path("ca.crt"), "--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://cluster.invalid",
		"--service-account-key-file=" + a.path("service-account.key"),
		"--service-account-signing-key-file=" + a.path("service-account.key"),
		"--cert-dir=" + filepath.Join(p.dir, "generated-apiserver"),
		"--max-requests-inflight=800", "--max-mutating-requests-inflight=400",
		"--event-ttl=2m", "--etcd-compaction-interval=1m", "--vmodule=httplog=3"}
	if p.secure {
		args = append(args, "--etcd-cafile="+a.path("ca.crt"),
			"--etcd-certfile="+a.path("client.crt"), "--etcd-keyfile="+a.path("client.key"))
	}
	var err error
	if p.log, err = os.Create(filepath.Join(p.dir, "kube-apiserver.log")); err != nil {
		return err
	}
	p.requests = newRequestLog(p.log)
	if err := p.run(p.requests, o, "kube-apiserver", args...); err != nil {
		return err
	}
	ready := func(ctx context.Context) (bool, string) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		var code int
		raw, err := p.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).
			StatusCode(&code).Raw()
		return err == nil && code == http.StatusOK, fmt.Sprintf("%s %v", raw, err)
	}
	return await(ctx, 90*time.Second, "the API server's /readyz", ready, p.children...)
}

func (p *plane) startControllers(ctx context.Context, o options) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	a := p.authority
	common := func(user string, port int) []string {
		file := a.path(user + ".kubeconfig")
		return []string{"--kubeconfig=" + file, "--authentication-kubeconfig=" + file,
			"--authorization-kubeconfig=" + file, "--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", port), "--leader-elect=true",
			"--cert-dir=" + filepath.Join(p.dir, "generated-"+user),
			// As often as by default, but more patient: a busy machine must not end a controller.
			"--leader-elect-lease-duration=90s", "--leader-elect-renew-deadline=60s",
			// The defaults (20 and 50) would make the pace of a rollout that of the throttle alone.
			"--kube-api-qps=100", "--kube-api-burst=150"}
	}
	manager := append(common("manager", ports[0]), "--use-service-account-credentials=true",
		"--service-account-private-key-file="+a.path("service-account.key"),
		"--root-ca-file="+a.path("ca.crt"))
	if err := p.run(nil, o, "kube-controller-manager", manager...); err != nil {
		return err
	}
	if err := p.run(nil, o, "kube-scheduler", common("scheduler", ports[1])...); err != nil {
		return err
	}
	return await(ctx, 60*time.Second, "controllers and scheduler", p.controllersWork,
		p.children...)
}

// controllersWork is true when the manager has made something and the scheduler holds its lease.
func (p *plane) controllersWork(ctx context.Context) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, made := p.client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
	_, led := p.client.CoordinationV1().Leases("kube-system").Get(ctx, "kube-scheduler",
		metav1.GetOptions{})
	err := errors.Join(made, led)
	return err == nil, fmt.Sprint(err)
}

// child finds a running program by its name.
func (p *plane) child(name string) *process {
	for _, c := range p.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// fell is the first child that ended by itself.
func (p *plane) fell() error {
	for _, c := range p.children {
		if err := c.fell(); err != nil {
			return err
		}
	}
	return nil
}

// stop ends every child, the store last, and removes the store's data.
func (p *plane) stop(keep bool) error {
	for i := len(p.children) - 1; i >= 0; i-- {
		p.children[i].stop(5 * time.Second)
	}
	if p.log != nil {
		p.log.Close()
	}
	if keep {
		return nil
	}
	return os.RemoveAll(filepath.Join(p.dir, "data"))
}
