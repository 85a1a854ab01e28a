package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// checkSample starts both from the file that etcd ships, as it is but for its ports.
func checkSample(b binaries) (wrong []string, err error) {
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "go.etcd.io/etcd/v3").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "etcd.conf.yml.sample"))
	if err != nil {
		return nil, err
	}
	etcd, meridian, err := b.absolute()
	if err != nil {
		return nil, err
	}
	for _, binary := range []string{etcd, meridian} {
		addresses, err := free()
		if err != nil {
			return nil, err
		}
		file, err := os.CreateTemp("", "flags-*.yml")
		if err != nil {
			return nil, err
		}
		defer os.Remove(file.Name())
		ports := strings.NewReplacer("localhost:2379", addresses[0],
			"listen-peer-urls: http://localhost:2380", "listen-peer-urls: http://"+addresses[1])
		_, err = file.WriteString(ports.Replace(string(text)))
		if err := file.Close(); err != nil {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		server, err := launch(binary, addresses, []string{"--config-file", file.Name()})
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		server.stop()
	}
	return wrong, nil
}
