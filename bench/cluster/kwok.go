package main

import (
	_ "embed"
	"os"
	"path/filepath"
)

// kwokConfig has the options and the stages by which kwok plays kubelets.
//
//go:embed kwok.yaml
var kwokConfig []byte

// startKwok starts the one program that is the kubelet of every node.
func (p *plane) startKwok(o options) error {
	config := filepath.Join(p.dir, "kwok.yaml")
	if err := os.WriteFile(config, kwokConfig, 0o644); err != nil {
		return err
	}
	return p.run(nil, o, "kwok", "--kubeconfig="+p.authority.path("admin.kubeconfig"),
		"--config="+config, "-v=WARN")
}
