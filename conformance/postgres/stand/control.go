package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"conformance/postgres/cluster"
)

// stand is what is up.
type stand struct {
	database *cluster.Cluster
	killed   *cluster.Node
}

// command is one thing that can be asked, and its answer in a line.
type command func(context.Context) (string, error)

// commandLimit is the longest a command may take: a failover of PostgreSQL and the way back.
const commandLimit = 3 * time.Minute

var errNoDatabase = errors.New("there is no PostgreSQL here")

func (s *stand) commands() map[string]command {
	return map[string]command{
		"primary/kill":    s.killPrimary,
		"primary/restore": s.restorePrimary,
		"primary":         s.primary,
	}
}

// serve takes commands until ctx ends.
func (s *stand) serve(ctx context.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	var names []string
	for name, do := range s.commands() {
		names = append(names, name)
		routes.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), commandLimit)
			defer cancel()
			answer, err := do(ctx)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprintln(w, answer)
		})
	}
	slices.Sort(names)
	fmt.Printf("control http://%s\ncommands %s\nready\n", listener.Addr(), strings.Join(names, " "))
	server := &http.Server{Handler: routes}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *stand) close() {
	if s.database != nil {
		// What is left of a directory in memory is all that can be wrong here.
		_ = s.database.Stop()
	}
}

// primary names the node that takes writes.
func (s *stand) primary(ctx context.Context) (string, error) {
	if s.database == nil {
		return "", errNoDatabase
	}
	node, err := s.database.Primary(ctx)
	if err != nil {
		return "", err
	}
	return node.Name, nil
}

// killPrimary returns when another node takes writes.
func (s *stand) killPrimary(ctx context.Context) (string, error) {
	if s.database == nil {
		return "", errNoDatabase
	}
	killed, at, err := s.database.KillPrimary(ctx)
	if err != nil {
		return "", err
	}
	s.killed = killed
	next, err := s.database.AwaitPromotion(ctx, killed)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s killed, %s takes writes after %.1f s", killed.Name, next.Name, time.Since(at).Seconds()), nil
}

// restorePrimary starts the node that was killed and waits until it follows.
func (s *stand) restorePrimary(ctx context.Context) (string, error) {
	if s.database == nil || s.killed == nil {
		return "", errors.New("no node was killed")
	}
	began := time.Now()
	if err := s.killed.Restart(); err != nil {
		return "", err
	}
	if err := s.database.AwaitHealthy(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s follows after %.1f s", s.killed.Name, time.Since(began).Seconds()), nil
}
