package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// State is what the monitor knows of a node.
type State struct {
	Name           string
	Port           int
	Reported, Goal string
	Healthy        bool
}

// detection makes the monitor notice a death in some three seconds instead of half a minute: what waits for it
// here is measured beyond it.
const detection = `
pgautofailover.health_check_period = 500
pgautofailover.health_check_timeout = 1000
pgautofailover.health_check_max_retries = 2
pgautofailover.health_check_retry_delay = 500
pgautofailover.node_considered_unhealthy_timeout = 3000
pgautofailover.primary_demote_timeout = 2000
listen_addresses = '127.0.0.1'
`

func (c *Cluster) startMonitor(ctx context.Context) error {
	node, err := c.newNode("monitor", c.ports[0])
	if err != nil {
		return err
	}
	c.monitor = node
	err = node.command(ctx, "create", "monitor", "--pgdata", node.data(), "--pgport", fmt.Sprint(node.Port),
		"--hostname", "127.0.0.1", "--auth", "trust", "--no-ssl")
	if err != nil {
		return err
	}
	err = node.command(ctx, "config", "set", "postgresql.listen_addresses", "127.0.0.1", "--pgdata", node.data())
	if err != nil {
		return err
	}
	if err := appendTo(filepath.Join(node.data(), "postgresql.conf"), detection); err != nil {
		return err
	}
	if err := node.run(); err != nil {
		return err
	}
	for {
		if _, err = c.States(ctx); err == nil {
			return nil
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (c *Cluster) monitorURL() string {
	return fmt.Sprintf("postgres://autoctl_node@127.0.0.1:%d/pg_auto_failover?sslmode=disable", c.monitor.Port)
}

// States asks the monitor for all nodes, in the order of their names.
func (c *Cluster) States(ctx context.Context) ([]State, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.monitorURL())
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(ctx, `SELECT nodename, nodeport, reportedstate::text, goalstate::text, health = 1
		FROM pgautofailover.node ORDER BY nodename`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[State])
}

// Primary is the node that takes writes, as the monitor has it.
func (c *Cluster) Primary(ctx context.Context) (*Node, error) {
	states, err := c.States(ctx)
	if err != nil {
		return nil, err
	}
	for i, state := range states {
		switch state.Reported {
		case "primary", "wait_primary", "single":
			return c.Nodes[i], nil
		}
	}
	return nil, fmt.Errorf("no node is primary: %v", states)
}

// AwaitHealthy waits until one node is primary, all others follow it, and a write commits.
func (c *Cluster) AwaitHealthy(ctx context.Context) error {
	alone := len(c.Nodes) == 1
	err := c.await(ctx, func(states []State) bool {
		primaries, secondaries := 0, 0
		for _, s := range states {
			switch {
			case s.Reported != s.Goal || !s.Healthy:
			case s.Reported == "primary", alone && s.Reported == "single":
				primaries++
			case s.Reported == "secondary":
				secondaries++
			}
		}
		return primaries == 1 && secondaries == len(c.Nodes)-1
	})
	if err != nil {
		return err
	}
	_, err = c.AwaitPromotion(ctx, nil)
	return err
}

// await asks the monitor until it is content. A base backup waits for a checkpoint, so one is made meanwhile.
func (c *Cluster) await(ctx context.Context, content func([]State) bool) error {
	for round := 0; ; round++ {
		states, err := c.States(ctx)
		if err == nil && len(states) == len(c.Nodes) && content(states) {
			return nil
		}
		if round%5 == 4 {
			c.checkpoint(ctx)
		}
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return errors.Join(err, fmt.Errorf("the nodes are %v", c.describe()))
		}
	}
}

// checkpoint is asked of whoever is primary; while there is none there is nothing to hasten.
func (c *Cluster) checkpoint(ctx context.Context) {
	primary, err := c.Primary(ctx)
	if err != nil {
		return
	}
	conn, err := c.administer(ctx, primary.Port)
	if err != nil {
		return
	}
	defer conn.Close(context.Background())
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// A standby refuses, and the next round asks again.
	_, _ = conn.Exec(limited, "CHECKPOINT")
}

func (c *Cluster) describe() string {
	states, err := c.States(context.Background())
	return fmt.Sprintf("%+v %v", states, err)
}

func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

func wait(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(length):
		return nil
	}
}
