package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// standing is a cluster of several members that somebody else runs. This program reaches it at its endpoints and strikes it
// by commands that it was given.
type standing struct {
	endpoints     string
	ca, cert, key string
	// Each command returns when its work is done: another member leads, another database takes writes, what was struck
	// is back.
	killWriter, restoreWriter     string
	failDatabase, restoreDatabase string
	// database is what is struck there.
	database string
}

// any tells whether there is one: otherwise this program starts a store itself.
func (s *standing) any() bool { return s.endpoints != "" }

func (s *standing) secure() bool { return strings.HasPrefix(s.endpoints, "https://") }

// check says what is missing before anything is started.
func (s *standing) check() error {
	for _, endpoint := range strings.Split(s.endpoints, ",") {
		if strings.HasPrefix(endpoint, "https://") != s.secure() || !strings.Contains(endpoint, "://") {
			return fmt.Errorf("-endpoints %s: all must be http://, or all https://", s.endpoints)
		}
	}
	if s.secure() && (s.ca == "" || s.cert == "" || s.key == "") {
		return errors.New("-endpoints https://… wants -endpoints-ca, -endpoints-cert and -endpoints-key")
	}
	return nil
}

// rotated begins with another endpoint, so that not all clients ask the same member first.
func (s *standing) rotated() string {
	first, rest, several := strings.Cut(s.endpoints, ",")
	if !several {
		return s.endpoints
	}
	return rest + "," + first
}

// flags are those by which an API server proves itself to the cluster.
func (s *standing) flags() []string {
	if !s.secure() {
		return nil
	}
	return []string{"--etcd-cafile=" + s.ca, "--etcd-certfile=" + s.cert, "--etcd-keyfile=" + s.key}
}

func (s *standing) identity() (*tls.Config, error) {
	if !s.secure() {
		return nil, nil
	}
	authority, err := os.ReadFile(s.ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", s.ca)
	}
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, err
}

// standingPhases leave out what needs the store's own process, and strike by the commands that there are.
func (r *run) standingPhases() []phase {
	away := map[string]bool{"who is let in": true, "store killed under load": true, "store's certificates": true,
		"store restarted under load": true, "store frozen": true, "store away": true}
	var all []phase
	for _, p := range r.phases() {
		if p.name == "store killed under load" && r.opt.standing.killWriter != "" {
			all = append(all, phase{"writer killed under load", true, (*run).writerKilled})
		}
		if p.name == "store restarted under load" && r.opt.standing.failDatabase != "" {
			all = append(all, phase{r.opt.standing.database + " fails over under load", true, (*run).databaseFails})
		}
		if !away[p.name] {
			all = append(all, p)
		}
	}
	return all
}

// greet asks every endpoint for something, which it must answer by itself.
func (r *run) greet() error {
	config, err := r.opt.standing.identity()
	if err != nil {
		return err
	}
	for _, endpoint := range strings.Split(r.opt.standing.endpoints, ",") {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, TLS: config, DialTimeout: 5 * time.Second})
		if err != nil {
			return err
		}
		ctx, cancel := r.within(10 * time.Second)
		status, err := client.Status(ctx, endpoint)
		if err == nil {
			_, err = client.Get(ctx, "greeting")
		}
		cancel()
		client.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", endpoint, err)
		}
		r.report.check(true, "endpoint answers", "%s, version %s, leader %x", endpoint, status.Version, status.Leader)
	}
	return nil
}

func (r *run) writerKilled() error {
	s := r.opt.standing
	return r.endure("writer-death", func(*load) error { return r.struckBy(s.killWriter, s.restoreWriter) },
		func() error { return r.checkEvents("on leases survive the death of the writer") })
}

func (r *run) databaseFails() error {
	s := r.opt.standing
	return r.endure("failover", func(*load) error { return r.struckBy(s.failDatabase, s.restoreDatabase) }, nil)
}

// struckBy runs the command that strikes, waits, and runs the one that heals.
func (r *run) struckBy(strike, heal string) error {
	if err := r.hook(strike); err != nil {
		return err
	}
	pause(r.ctx, r.opt.down)
	if heal == "" {
		return nil
	}
	return r.hook(heal)
}

// hookLimit is more than a failover takes.
const hookLimit = 3 * time.Minute

func (r *run) hook(command string) error {
	ctx, cancel := context.WithTimeout(r.ctx, hookLimit)
	defer cancel()
	began := time.Now()
	said, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, said)
	}
	r.report.note("%.1f s: %s", time.Since(began).Seconds(), firstLine(string(said)))
	return nil
}
