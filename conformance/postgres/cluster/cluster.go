// Package cluster brings up PostgreSQL as people run it when it must not lose anything: a monitor of
// pg_auto_failover and three nodes, one of whose standbys has every commit before it is acknowledged. Everything
// is on loopback, in one directory, by the programs of Debian's packages, as an unprivileged user. It can
// kill the primary with all that belongs to it, wait for the promotion, and bring the killed node back.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"conformance/postgres/disk"
	"conformance/store"
)

// Options say how a cluster is made.
type Options struct {
	// Dir holds everything; a new directory under TempDir if empty.
	Dir string
	// TempDir is where Dir is made: memory if empty, so that the disk's speed is not what is tested.
	TempDir string
	// Nodes is how many hold the data; three if zero. One stands alone, without standbys.
	Nodes int
	// Password is what the user of the journal needs over TCP; nobody needs one if empty.
	Password string
	// TLS makes the servers speak it with certificates they have signed themselves.
	TLS bool
	// Settings are added to each node's configuration.
	Settings map[string]string
	// Disk is the size of each node's directory, a file system of its own in memory; part of a larger one if zero.
	Disk int64
}

// Cluster is a monitor and its nodes.
type Cluster struct {
	// Dir holds everything: data, logs, sockets.
	Dir string
	// Nodes are those that hold the data.
	Nodes []*Node

	options Options
	monitor *Node
	ports   []int
	owner   owner
}

// Node is one PostgreSQL and the keeper that runs it.
type Node struct {
	// Name is what the monitor calls it.
	Name string
	// Port is where it listens, on 127.0.0.1.
	Port int

	dir     string
	ownDisk bool
	cluster *Cluster
	keeper  *keeper
}

const (
	// Database and User are those of the journal.
	Database = "journal"
	User     = "meridian"

	readyLimit = 3 * time.Minute
)

// Start makes a cluster and waits until all its nodes are healthy; on an error nothing is left running.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	if options.Nodes == 0 {
		options.Nodes = 3
	}
	owner, err := findOwner()
	if err != nil {
		return nil, err
	}
	if options.TempDir == "" {
		options.TempDir = store.TempDir()
	}
	dir := options.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp(options.TempDir, "pg-"); err != nil {
			return nil, err
		}
	}
	ports, err := store.FreePorts(options.Nodes + 1)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, options: options, owner: owner, ports: ports}
	if err := owner.give(dir); err != nil {
		return nil, err
	}
	if err := c.bringUp(ctx); err != nil {
		err = fmt.Errorf("%w\n%s", err, c.LogTail(15))
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) bringUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if err := c.startMonitor(ctx); err != nil {
		return fmt.Errorf("the monitor: %w", err)
	}
	for i := range c.options.Nodes {
		node, err := c.newNode(fmt.Sprintf("n%d", i+1), c.ports[i+1])
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, node)
		if err := node.create(); err != nil {
			return err
		}
		// The first is the primary, and what is set on it now the others copy.
		if i == 0 {
			if err := c.await(ctx, func(states []State) bool { return states[0].Reported == "single" }); err != nil {
				return err
			}
			if err := c.prepare(ctx); err != nil {
				return fmt.Errorf("preparing the first node: %w", err)
			}
		}
	}
	return c.AwaitHealthy(ctx)
}

// prepare sets what pg_auto_failover does not, on the first node before it has standbys.
func (c *Cluster) prepare(ctx context.Context) error {
	conn, err := c.administer(ctx, c.Nodes[0].Port)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	statements := []string{
		// Its own default keeps 8 GB, and a fast base backup waits for no checkpoint.
		"ALTER SYSTEM SET wal_keep_size = '512MB'",
		"ALTER SYSTEM SET checkpoint_completion_target = 0",
		// The journal must do with the rights of an owner.
		"CREATE USER " + User,
		fmt.Sprintf("CREATE DATABASE %s OWNER %s", Database, User),
	}
	for name, value := range c.options.Settings {
		statements = append(statements, fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", name, value))
	}
	if c.options.Password != "" {
		statements = append(statements, fmt.Sprintf("ALTER USER %s PASSWORD '%s'", User,
			strings.ReplaceAll(c.options.Password, "'", "''")))
		if err := c.Nodes[0].demandPassword(); err != nil {
			return err
		}
	}
	for _, statement := range append(statements, "SELECT pg_reload_conf()") {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	if len(c.options.Settings) == 0 {
		return nil
	}
	return c.renew(ctx)
}

// renew ends the first node's postmaster; its keeper starts it again, with settings that a reload does not change.
func (c *Cluster) renew(ctx context.Context) error {
	was, err := c.Nodes[0].postmaster()
	if err != nil {
		return err
	}
	if err := syscall.Kill(was, syscall.SIGINT); err != nil {
		return err
	}
	for {
		if now, err := c.Nodes[0].postmaster(); err == nil && now != was && c.commits(ctx, c.Nodes[0]) {
			return nil
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("the first node does not start again: %w", err)
		}
	}
}

// URL names all nodes and asks for the one that takes writes.
func (c *Cluster) URL() string { return c.urlOf(Database, User, c.options.Password, c.Nodes...) }

// NodeURL names one node, whatever it is at the moment.
func (c *Cluster) NodeURL(n *Node) string {
	return strings.Replace(c.urlOf(Database, User, c.options.Password, n), "target_session_attrs=read-write",
		"target_session_attrs=any", 1)
}

func (c *Cluster) urlOf(database, user, password string, nodes ...*Node) string {
	var hosts []string
	for _, node := range nodes {
		hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", node.Port))
	}
	mode := "disable"
	if c.options.TLS {
		mode = "require"
	}
	who := url.User(user)
	if password != "" {
		who = url.UserPassword(user, password)
	}
	all := url.URL{Scheme: "postgres", User: who, Host: strings.Join(hosts, ","), Path: database,
		RawQuery: "target_session_attrs=read-write&sslmode=" + mode}
	return all.String()
}

// JournalURL is URL with the password in a file, which is how a server is told.
func (c *Cluster) JournalURL(passwordFile string) string {
	return c.urlOf(Database, User, "", c.Nodes...) + "&password_file=" + url.QueryEscape(passwordFile)
}

// CreateDatabase makes another database of the same user on the primary, for another cluster or a rival.
func (c *Cluster) CreateDatabase(ctx context.Context, name string) error {
	primary, err := c.Primary(ctx)
	if err != nil {
		return err
	}
	conn, err := c.administer(ctx, primary.Port)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	name = pgx.Identifier{name}.Sanitize()
	_, err = conn.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s OWNER %s", name, User))
	return err
}

// Logged is how many bytes the primary has put into its log since it was made.
func (c *Cluster) Logged(ctx context.Context) (int64, error) {
	primary, err := c.Primary(ctx)
	if err != nil {
		return 0, err
	}
	conn, err := c.administer(ctx, primary.Port)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	var bytes int64
	err = conn.QueryRow(ctx, "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&bytes)
	return bytes, err
}

// DatabaseURL is URL for another database.
func (c *Cluster) DatabaseURL(name string) string {
	return c.urlOf(name, User, c.options.Password, c.Nodes...)
}

// administer connects as the superuser, over the socket, where nobody asks for a password.
func (c *Cluster) administer(ctx context.Context, port int) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=%s dbname=postgres", c.Dir, port, c.owner.name))
}

// KillPrimary kills the primary as the death of its machine would: keeper, postmaster and every backend, at once
// and with -9. It returns the node that was killed and when.
func (c *Cluster) KillPrimary(ctx context.Context) (*Node, time.Time, error) {
	primary, err := c.Primary(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	at := time.Now()
	return primary, at, primary.Kill()
}

// AwaitPromotion waits until a node other than the killed one takes writes, which is when one commits.
func (c *Cluster) AwaitPromotion(ctx context.Context, killed *Node) (*Node, error) {
	for {
		for _, node := range c.Nodes {
			if node != killed && c.commits(ctx, node) {
				return node, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no promotion: %w; %v", ctx.Err(), c.describe())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// commits tells whether a node takes a write and has it on a standby.
func (c *Cluster) commits(ctx context.Context, node *Node) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := c.administer(ctx, node.Port)
	if err != nil {
		return false
	}
	defer conn.Close(context.Background())
	// A node that is being promoted leaves recovery some time before pg_auto_failover lets sessions write.
	const question = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool"
	var refuses bool
	if err := conn.QueryRow(ctx, question).Scan(&refuses); err != nil || refuses {
		return false
	}
	_, err = conn.Exec(ctx, "SELECT pg_logical_emit_message(true, 'promotion', '')")
	return err == nil
}

// Stop ends everything and deletes the directory.
func (c *Cluster) Stop() error {
	all := c.Nodes
	if c.monitor != nil {
		all = append(all, c.monitor)
	}
	for _, node := range all {
		node.ask()
	}
	var failures []error
	for _, node := range all {
		failures = append(failures, node.end())
	}
	for _, node := range all {
		if node.ownDisk {
			failures = append(failures, disk.Unmount(node.dir))
		}
	}
	return errors.Join(append(failures, os.RemoveAll(c.Dir))...)
}

// LogTail is the end of every keeper's log.
func (c *Cluster) LogTail(lines int) string {
	var text strings.Builder
	files, _ := filepath.Glob(filepath.Join(c.Dir, "*.log"))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		all := strings.Split(strings.TrimSpace(string(raw)), "\n")
		fmt.Fprintf(&text, "%s:\n%s\n", filepath.Base(file), strings.Join(all[max(0, len(all)-lines):], "\n"))
	}
	return text.String()
}
