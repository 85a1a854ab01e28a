package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"conformance/cosmos/service"
	"conformance/postgres/cluster"
	"conformance/postgres/replicas"
)

// stand is what is up.
type stand struct {
	database *cluster.Cluster
	azure    *service.Service
	// folder has the account's key.
	folder string
	killed *cluster.Node
	set    *replicas.Set
	struck *replicas.Replica
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
		"writes/move":     s.moveWrites,
		"writer":          s.writer,
		"writer/kill":     s.killWriter,
		"writer/stop":     s.stopWriter,
		"writer/pause":    s.pauseWriter,
		"writer/restore":  s.restoreWriter,
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
	if s.set != nil {
		_ = s.set.Stop()
	}
	if s.database != nil {
		// What is left of a directory in memory is all that can be wrong here.
		_ = s.database.Stop()
	}
	if s.azure != nil {
		s.azure.Stop()
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder)
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

// writer names the replica that leads.
func (s *stand) writer(ctx context.Context) (string, error) {
	writer, err := s.findWriter(ctx)
	if err != nil {
		return "", err
	}
	return writer.Name, nil
}

func (s *stand) findWriter(ctx context.Context) (*replicas.Replica, error) {
	if s.set == nil {
		return nil, errors.New("there are no replicas here")
	}
	return s.set.Writer(ctx)
}

// strikeWriter does something to the writer and returns when another one leads.
func (s *stand) strikeWriter(ctx context.Context, what string, strike func(*replicas.Replica) error) (string, error) {
	writer, err := s.findWriter(ctx)
	if err != nil {
		return "", err
	}
	s.struck = writer
	at := time.Now()
	if err := strike(writer); err != nil {
		return "", err
	}
	for {
		next, err := s.set.Writer(ctx)
		if err != nil {
			return "", err
		}
		if next != writer {
			return fmt.Sprintf("%s %s, %s leads after %.2f s", writer.Name, what, next.Name, time.Since(at).Seconds()), nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *stand) killWriter(ctx context.Context) (string, error) {
	return s.strikeWriter(ctx, "killed", func(r *replicas.Replica) error { r.Kill(); return nil })
}

func (s *stand) stopWriter(ctx context.Context) (string, error) {
	return s.strikeWriter(ctx, "ended", func(r *replicas.Replica) error { return r.Stop() })
}

func (s *stand) pauseWriter(ctx context.Context) (string, error) {
	return s.strikeWriter(ctx, "paused", (*replicas.Replica).Pause)
}

// restoreWriter brings back the replica that was struck, whether it was ended or paused.
func (s *stand) restoreWriter(context.Context) (string, error) {
	if s.struck == nil {
		return "", errors.New("no writer was struck")
	}
	began := time.Now()
	bring := s.struck.Restart
	if s.struck.Alive() {
		bring = func() error { return errors.Join(s.struck.Resume(), s.struck.AwaitReady()) }
	}
	if err := bring(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s serves after %.2f s", s.struck.Name, time.Since(began).Seconds()), nil
}
