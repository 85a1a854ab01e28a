package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// checkProfile has Go's own tool read a profile that was taken under load.
func checkProfile(b binaries) (wrong []string, err error) {
	server, err := serve(b.meridian, "--enable-pprof")
	if err != nil {
		return nil, err
	}
	defer server.stop()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.address}, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for n := range 32 {
		go func() {
			for ctx.Err() == nil {
				client.Put(ctx, fmt.Sprint("k", n), "v")
			}
		}()
	}
	reply, err := http.Get("http://" + server.address + "/debug/pprof/profile?seconds=10")
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	path := filepath.Join(server.dir, "profile")
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(file, reply.Body); err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	top, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=5000", path).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go tool pprof: %w\n%s", err, top)
	}
	for _, word := range []string{"Type: cpu", "engine::writer::", "server::grpc::"} {
		if !strings.Contains(string(top), word) {
			wrong = append(wrong, fmt.Sprintf("no %q in\n%.2000s", word, top))
		}
	}
	return wrong, nil
}
