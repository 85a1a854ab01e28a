// Command stand brings up PostgreSQL under pg_auto_failover, or an emulated account of Azure Cosmos DB, and replicas of a
// server on it, says where they are, and waits. Until it is told to end it does what is asked over HTTP: POST
// /primary/kill, /writer/kill, /writes/move and so on, so that a script or another judge can strike what it stands on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"conformance/postgres/cluster"
	"conformance/postgres/replicas"
)

type settings struct {
	nodes    int
	cosmos   string
	dir      string
	password string
	tls      bool
	control  string
	binary   string
	args     string
	replicas int
}

func main() {
	var s settings
	flag.IntVar(&s.nodes, "nodes", 3, "nodes of PostgreSQL; one has no standby, 0 is no PostgreSQL")
	flag.StringVar(&s.cosmos, "cosmos", "", "an account of Azure Cosmos DB with this consistency instead of PostgreSQL; wants -binary")
	flag.StringVar(&s.dir, "dir", "", "a new folder for everything; one in memory if empty")
	flag.StringVar(&s.password, "password", "", "what the journal's user needs; nobody needs one if empty")
	flag.BoolVar(&s.tls, "tls", false, "PostgreSQL speaks TLS")
	flag.StringVar(&s.control, "control", "127.0.0.1:0", "where commands are taken")
	flag.StringVar(&s.binary, "binary", "", "the server's binary; no replicas if empty; a real etcd wants -nodes 0")
	flag.StringVar(&s.args, "args", "", "more arguments for it, separated by spaces")
	flag.IntVar(&s.replicas, "replicas", 3, "how many replicas")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stand:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	var st stand
	defer st.close()
	if s.cosmos != "" {
		if err := st.bringUpAzure(ctx, s); err != nil {
			return err
		}
	} else if s.nodes > 0 {
		options := cluster.Options{Dir: s.dir, Nodes: s.nodes, Password: s.password, TLS: s.tls}
		database, err := cluster.Start(ctx, options)
		if err != nil {
			return err
		}
		st.database = database
		fmt.Printf("journal %s\n", database.URL())
	}
	if s.binary != "" {
		options := replicas.Options{Binary: s.binary, Count: s.replicas, Args: strings.Fields(s.args)}
		if st.database != nil {
			options.Journal = st.database.URL()
		}
		if st.azure != nil {
			options.Journal = st.azure.Journal("")
		}
		var err error
		if st.set, err = replicas.Start(options); err != nil {
			return err
		}
		fmt.Printf("endpoints http://%s\n", strings.Join(st.set.Endpoints(), ",http://"))
	}
	return st.serve(ctx, s.control)
}
