package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"conformance/postgres/disk"
)

// What can be done to a running cluster beside killing its primary. Everything has a way back.

// Pause stops all processes of a node where they stand; Resume lets them go on.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP) }

// Resume lets a paused node go on.
func (n *Node) Resume() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(signal syscall.Signal) error {
	pids := n.PIDs()
	if len(pids) == 0 {
		return fmt.Errorf("nothing runs for %s", n.Name)
	}
	for _, pid := range pids {
		// A backend may end meanwhile.
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// FillDisk leaves a node no room, and FreeDisk gives it back; its keeper is started again if it could not live without.
func (n *Node) FillDisk() error { return disk.Fill(n.dir) }

// FreeDisk takes back what FillDisk did.
func (n *Node) FreeDisk() error {
	if err := disk.Free(n.dir); err != nil {
		return err
	}
	select {
	case <-n.keeper.exited:
		if err := n.Kill(); err != nil {
			return err
		}
		return n.Restart()
	default:
		return nil
	}
}

// onPrimary does something as superuser in the journal's database.
func (c *Cluster) onPrimary(ctx context.Context, do func(*pgx.Conn) error) error {
	primary, err := c.Primary(ctx)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=%s dbname=%s", c.Dir, primary.Port, c.owner.name, Database))
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	return do(conn)
}

// Terminate ends every connection of the journal's user and tells how many there were.
func (c *Cluster) Terminate(ctx context.Context) (ended int, err error) {
	err = c.onPrimary(ctx, func(conn *pgx.Conn) error {
		const all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1"
		return conn.QueryRow(ctx, all, User).Scan(&ended)
	})
	return ended, err
}

// Rotate gives the journal's user another password; its connections end. URL knows the new one at once.
func (c *Cluster) Rotate(ctx context.Context, password string) error {
	err := c.onPrimary(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, fmt.Sprintf("ALTER USER %s PASSWORD '%s'", User, strings.ReplaceAll(password, "'", "''")))
		return err
	})
	if err != nil {
		return err
	}
	c.options.Password = password
	_, err = c.Terminate(ctx)
	return err
}

// Rename gives a table of the journal's database another name.
func (c *Cluster) Rename(ctx context.Context, table, name string) error {
	return c.onPrimary(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s RENAME TO %s", pgx.Identifier{table}.Sanitize(), pgx.Identifier{name}.Sanitize()))
		return err
	})
}

// Stream is the direction of what passes between a primary and a standby.
type Stream int

const (
	// Both directions.
	Both Stream = iota
	// Downstream is the write-ahead log on its way to the standby.
	Downstream
	// Acknowledgements are on their way to the primary.
	Acknowledgements
)

// CutStandbys drops the packets of the lines over which so many standbys are fed, in one direction or both, until mend
// is called. Health checks and keepers talk over other lines, which stay.
func (c *Cluster) CutStandbys(ctx context.Context, count int, what Stream) (mend func() error, err error) {
	var ports []int
	err = c.onPrimary(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT client_port FROM pg_stat_replication WHERE state = 'streaming' AND client_port > 0
			ORDER BY application_name LIMIT $1`, count)
		if err != nil {
			return err
		}
		ports, err = pgx.CollectRows(rows, pgx.RowTo[int])
		return err
	})
	if err == nil && len(ports) < count {
		err = fmt.Errorf("%d standbys are fed, not %d", len(ports), count)
	}
	if err != nil {
		return nil, err
	}
	var rules [][]string
	for _, port := range ports {
		for direction, flag := range map[Stream]string{Downstream: "--dport", Acknowledgements: "--sport"} {
			if what == Both || what == direction {
				rules = append(rules, []string{"OUTPUT", "-o", "lo", "-p", "tcp", flag, fmt.Sprint(port), "-j", "DROP"})
			}
		}
	}
	mend = func() error { return filter("-D", rules) }
	return mend, filter("-A", rules)
}

func filter(verb string, rules [][]string) error {
	var failures []error
	for _, rule := range rules {
		if said, err := exec.Command("iptables", append([]string{"-w", verb}, rule...)...).CombinedOutput(); err != nil {
			failures = append(failures, fmt.Errorf("iptables: %w: %s", err, said))
		}
	}
	return errors.Join(failures...)
}

// Standby is a node that is not the primary.
func (c *Cluster) Standby(ctx context.Context) (*Node, error) {
	primary, err := c.Primary(ctx)
	if err != nil {
		return nil, err
	}
	for _, node := range c.Nodes {
		if node != primary {
			return node, nil
		}
	}
	return nil, errors.New("there is no standby")
}

// WritePassword puts a password where a server looks for it, whole at every moment.
func WritePassword(path, password string) error {
	temporary := filepath.Join(filepath.Dir(path), ".password")
	if err := os.WriteFile(temporary, []byte(password), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
