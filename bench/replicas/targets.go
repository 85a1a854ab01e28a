package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/postgres/cluster"
	"conformance/postgres/replicas"
	"conformance/store"
)

// targets are what can be measured; insert is PostgreSQL alone.
var targets = []string{"insert", "etcd", "kine", "meridian-1", "meridian-3"}

// target is something that runs and can be asked.
type target struct {
	name string
	// endpoints begin with the writer's.
	endpoints []string
	database  *cluster.Cluster
	pool      *pgxpool.Pool
	set       *replicas.Set
	kine      *exec.Cmd
	dir       string
}

// start runs a target in a database of its own.
func start(ctx context.Context, o Options, name string, database *cluster.Cluster) (*target, error) {
	t := &target{name: name, database: database}
	own := strings.ReplaceAll(name, "-", "_")
	if name != "etcd" {
		if err := database.CreateDatabase(ctx, own); err != nil {
			return nil, err
		}
	}
	var err error
	if name != "etcd" {
		if err := t.startInsert(ctx, database.DatabaseURL(own)); err != nil {
			t.stop()
			return nil, err
		}
	}
	switch name {
	case "insert":
	case "kine":
		err = t.startKine(ctx, o, own)
	case "etcd":
		// Otherwise PostgreSQL's processes would count as its database.
		t.database = nil
		err = t.startSet(ctx, o, replicas.Options{Binary: o.Etcd, Count: 3})
	default:
		count := int(name[len(name)-1] - '0')
		err = t.startSet(ctx, o, replicas.Options{Binary: o.Meridian, Count: count, Journal: database.DatabaseURL(own), Token: name})
	}
	if err != nil {
		t.stop()
	}
	return t, err
}

func (t *target) startInsert(ctx context.Context, to string) error {
	config, err := pgxpool.ParseConfig(to)
	if err != nil {
		return err
	}
	config.MaxConns = 256
	if t.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	_, err = t.pool.Exec(ctx, "CREATE TABLE bare (log TEXT, slot BIGINT, body BYTEA, PRIMARY KEY (log, slot))")
	return err
}

func (t *target) startSet(ctx context.Context, o Options, options replicas.Options) error {
	var err error
	if options.Dir, err = os.MkdirTemp(o.Disk, "bench-replicas-"); err != nil {
		return err
	}
	options.Args = []string{"--quota-backend-bytes=8589934592"}
	if t.set, err = replicas.Start(options); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	writer, err := t.set.Writer(limited)
	if err != nil {
		return err
	}
	t.endpoints = []string{writer.Endpoint}
	for _, other := range t.set.Others(writer) {
		t.endpoints = append(t.endpoints, other.Endpoint)
	}
	return nil
}

// startKine gives it the primary alone, since it knows no list of hosts.
func (t *target) startKine(ctx context.Context, o Options, own string) error {
	primary, err := t.database.Primary(ctx)
	if err != nil {
		return err
	}
	ports, err := store.FreePorts(1)
	if err != nil {
		return err
	}
	if t.dir, err = os.MkdirTemp(o.Disk, "bench-kine-"); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(t.dir, "kine.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	endpoint := url.URL{Scheme: "postgres", User: url.User(cluster.User), Host: fmt.Sprintf("127.0.0.1:%d", primary.Port),
		Path: own, RawQuery: "sslmode=disable"}
	t.endpoints = []string{fmt.Sprintf("127.0.0.1:%d", ports[0])}
	t.kine = exec.Command(o.Kine, "--endpoint", endpoint.String(), "--listen-address", t.endpoints[0], "--metrics-bind-address", "0",
		// Its default keeps two connections and makes a new one for every request beyond; nobody measures that.
		"--datastore-max-idle-connections", "256", "--datastore-max-open-connections", "256")
	t.kine.Stdout, t.kine.Stderr, t.kine.Dir = log, log, t.dir
	t.kine.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := t.kine.Start(); err != nil {
		return err
	}
	return t.awaitKine(ctx)
}

func (t *target) awaitKine(ctx context.Context) error {
	conn, err := dial(t.endpoints[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(50 * time.Millisecond) {
		limited, cancel := context.WithTimeout(ctx, time.Second)
		_, err = pb.NewKVClient(conn).Range(limited, &pb.RangeRequest{Key: []byte("/ready")})
		cancel()
		if err == nil {
			return nil
		}
	}
	said, _ := os.ReadFile(filepath.Join(t.dir, "kine.log"))
	return errors.Join(fmt.Errorf("kine does not answer: %w", err), errors.New(string(said)))
}

// pids are the servers' own processes.
func (t *target) pids() []int {
	var all []int
	if t.kine != nil {
		all = append(all, t.kine.Process.Pid)
	}
	if t.set != nil {
		for _, r := range t.set.Replicas {
			all = append(all, r.PID())
		}
	}
	return all
}

// databasePIDs are all processes of PostgreSQL's nodes, but not the monitor's.
func (t *target) databasePIDs() []int {
	var all []int
	if t.database != nil {
		for _, node := range t.database.Nodes {
			all = append(all, node.PIDs()...)
		}
	}
	return all
}

func (t *target) stop() {
	if t.pool != nil {
		t.pool.Close()
	}
	if t.set != nil {
		_ = t.set.Stop()
	}
	if t.kine != nil && t.kine.Process != nil {
		_ = t.kine.Process.Kill()
		_ = t.kine.Wait()
	}
	if t.dir != "" {
		_ = os.RemoveAll(t.dir)
	}
}

func dial(endpoint string) (*grpc.ClientConn, error) {
	return grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1)))
}
