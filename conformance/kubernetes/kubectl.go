package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// kubectl runs kubectl as the administrator against the cached API server.
func (r *run) kubectl(stdin string, args ...string) (string, error) {
	ctx, cancel := r.within(90 * time.Second)
	defer cancel()
	cmd := r.kubectlCommand(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), err
}

// awaitKubectl is checkKubectl for what takes a moment to be there.
func (r *run) awaitKubectl(name, want string, args ...string) {
	began := time.Now()
	err := await(r.ctx, 15*time.Second, name+" to show "+want,
		func(context.Context) (bool, string) {
			out, err := r.kubectl("", args...)
			return err == nil && strings.Contains(out, want), firstLine(out) + reason(err)
		})
	r.report.check(err == nil, name, "after %.1f s %s", time.Since(began).Seconds(), reason(err))
}

func (r *run) kubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(r.opt.bin, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "HOME="+r.dir,
		"KUBECONFIG="+r.cluster.authority.path("cached.kubeconfig"))
	return cmd
}

// checkKubectl runs kubectl and passes when it succeeds and its output contains want.
func (r *run) checkKubectl(name, want, stdin string, args ...string) {
	out, err := r.kubectl(stdin, args...)
	if err != nil {
		r.report.check(false, name, "%v", err)
		return
	}
	r.report.check(strings.Contains(out, want), name, "%q", firstLine(out))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if len(line) > 120 {
		line = line[:120] + "…"
	}
	return line
}

// watching is a kubectl that watches: how often it showed each kind of event.
type watching struct {
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	kinds  map[string]int
}

// watchWith starts kubectl with --watch and --output-watch-events among its arguments.
func (r *run) watchWith(args ...string) (*watching, error) {
	ctx, cancel := context.WithCancel(r.ctx)
	cmd := r.kubectlCommand(ctx, append(args, "--watch", "--no-headers")...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	w := &watching{cancel: cancel, done: make(chan struct{}), kinds: map[string]int{}}
	go func() {
		defer close(w.done)
		w.read(out)
		// Being ended by cancel is how it is meant to end.
		_ = cmd.Wait()
	}()
	return w, nil
}

// read counts the first word of each line.
func (w *watching) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 {
			w.mu.Lock()
			w.kinds[words[0]]++
			w.mu.Unlock()
		}
	}
}

// await waits until as many events of each kind were shown, and fails when there are more.
func (w *watching) await(ctx context.Context, want map[string]int) error {
	return await(ctx, 20*time.Second, fmt.Sprint("kubectl to show ", want),
		func(context.Context) (bool, string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for kind, n := range want {
				if w.kinds[kind] != n {
					return false, fmt.Sprint(w.kinds)
				}
			}
			return true, ""
		})
}

func (w *watching) summary() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.kinds)
}

func (w *watching) stop() {
	w.cancel()
	<-w.done
}

const appliedMap = `apiVersion: v1
kind: ConfigMap
metadata: {name: by-kubectl, namespace: play}
data: {colour: %s}
`

// kubectlTour does with kubectl what people do with it.
func (r *run) kubectlTour() error {
	r.checkKubectl("kubectl version", "v1.37", "", "version")
	r.checkKubectl("kubectl apply", "created", fmt.Sprintf(appliedMap, "red"), "apply", "-f", "-")
	r.checkKubectl("kubectl apply again", "configured", fmt.Sprintf(appliedMap, "blue"), "apply",
		"-f", "-")
	r.checkKubectl("kubectl apply the same", "unchanged", fmt.Sprintf(appliedMap, "blue"),
		"apply", "-f", "-")
	r.checkKubectl("kubectl apply --server-side", "serverside-applied", fmt.Sprintf(appliedMap,
		"green"),
		"apply", "--server-side", "--force-conflicts", "-f", "-")
	r.checkKubectl("kubectl diff sees nothing", "", fmt.Sprintf(appliedMap, "green"),
		"diff", "--server-side", "--force-conflicts", "-f", "-")
	r.checkKubectl("kubectl patch", "patched", "", "-n", "play", "patch", "configmap", "by-kubectl",
		"--type=merge", "-p", `{"data":{"shape":"round"}}`)
	r.checkKubectl("kubectl label", "labeled", "", "-n", "play", "label", "configmap",
		"by-kubectl", "kept=no")
	r.checkKubectl("kubectl get -o jsonpath", "green round", "", "-n", "play", "get", "configmap",
		"by-kubectl",
		"-o", "jsonpath={.data.colour} {.data.shape}")
	r.checkKubectl("kubectl create secret", "created", "", "-n", "play", "create", "secret",
		"generic", "hidden",
		"--from-literal=key=value")
	r.checkKubectl("kubectl auth can-i", "yes", "", "auth", "can-i", "create", "pods")
	r.checkKubectl("kubectl get --raw /readyz/etcd", "ok", "", "get", "--raw", "/readyz/etcd")
	r.checkKubectl("kubectl delete", "deleted", "", "-n", "play", "delete", "configmap", "-l",
		"kept=no")
	out, err := r.kubectl("", "-n", "play", "get", "configmap", "by-kubectl",
		"--ignore-not-found", "-o", "name")
	r.report.check(err == nil && out == "", "kubectl get after delete shows nothing", "%q %v",
		out, err)
	return nil
}
