package main

import (
	"context"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"conformance/cosmos/account"
	"conformance/cosmos/service"
	"conformance/postgres/replicas"
	"conformance/store"
)

// world is an account and the replicas on it.
type world struct {
	*service.Service
	folder string
	set    *replicas.Set
	// endpoints begin with the writer's.
	endpoints []string
}

func newWorld(ctx context.Context, o options) (*world, error) {
	w := &world{}
	if err := w.start(ctx, o); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *world) start(ctx context.Context, o options) (err error) {
	if w.folder, err = os.MkdirTemp(store.TempDir(), "bench-cosmos-"); err != nil {
		return err
	}
	if w.Service, err = service.Start(account.Options{Delay: o.delay}, w.folder); err != nil {
		return err
	}
	if err := w.Init(ctx, o.meridian); err != nil {
		return err
	}
	args := append([]string{"--quota-backend-bytes=8589934592"}, strings.Fields(o.args)...)
	w.set, err = replicas.Start(replicas.Options{Binary: o.meridian, Journal: w.Journal(""), Count: o.replicas, Args: args})
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	writer, err := w.set.Writer(limited)
	if err != nil {
		return err
	}
	w.endpoints = []string{writer.Endpoint}
	for _, other := range w.set.Others(writer) {
		w.endpoints = append(w.endpoints, other.Endpoint)
	}
	return nil
}

func (w *world) stop() {
	if w.set != nil {
		// What is left of a directory in memory is all that can go wrong.
		_ = w.set.Stop()
	}
	if w.Service != nil {
		w.Service.Stop()
	}
	_ = os.RemoveAll(w.folder)
}

func dial(endpoint string) (*grpc.ClientConn, error) {
	return grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1)))
}
