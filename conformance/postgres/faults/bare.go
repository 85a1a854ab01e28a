package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// bare is a client of PostgreSQL alone: it inserts a row and commits, once a millisecond, and never asks twice for the same
// slot without looking. Its longest pause is PostgreSQL's own; its losses would be PostgreSQL's too.
type bare struct {
	url    string
	table  string
	cancel context.CancelFunc
	ended  chan struct{}

	won     map[int64]bool
	unknown int
	at      []time.Time
}

// bareLimit bounds one statement: the backends of a killed primary answer nobody.
const bareLimit = time.Second

func startBare(ctx context.Context, url string) (*bare, error) {
	b := &bare{url: url, table: fmt.Sprintf("bare_%d", time.Now().UnixNano()), ended: make(chan struct{}), won: map[int64]bool{}}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE TABLE "+b.table+" (slot BIGINT PRIMARY KEY, body BYTEA)"); err != nil {
		return nil, err
	}
	ctx, b.cancel = context.WithCancel(ctx)
	go func() {
		defer close(b.ended)
		b.insert(ctx)
	}()
	return b, nil
}

func (b *bare) stop() {
	b.cancel()
	<-b.ended
}

func (b *bare) insert(ctx context.Context) {
	var conn *pgx.Conn
	body := make([]byte, 256)
	for slot := int64(1); ctx.Err() == nil; slot++ {
		next := time.Now().Add(cadence)
		limited, cancel := context.WithTimeout(context.Background(), bareLimit)
		var err error
		if conn == nil {
			conn, err = pgx.Connect(limited, b.url)
		}
		if err != nil {
			cancel()
			conn = nil
			pause(ctx, retryPause)
			continue
		}
		if _, err = conn.Exec(limited, "INSERT INTO "+b.table+" VALUES ($1, $2)", slot, body); err == nil {
			b.won[slot] = true
			b.at = append(b.at, time.Now())
		} else {
			b.unknown++
			// pgx closes the connection of a statement whose time is out; it never asks to cancel what may be committed.
			conn.Close(limited)
			conn = nil
		}
		cancel()
		pause(ctx, time.Until(next))
	}
	if conn != nil {
		conn.Close(context.Background())
	}
}

// judge ends the client, looks for every row that was acknowledged, and gives the longest pause.
func (b *bare) judge(ctx context.Context) (time.Duration, error) {
	b.stop()
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT slot FROM "+b.table)
	if err != nil {
		return 0, err
	}
	slots, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, err
	}
	there := map[int64]bool{}
	for _, slot := range slots {
		there[slot] = true
	}
	for slot := range b.won {
		if !there[slot] {
			return 0, fmt.Errorf("PostgreSQL itself has lost row %d, whose commit it had acknowledged", slot)
		}
	}
	var longest time.Duration
	for i := 1; i < len(b.at); i++ {
		longest = max(longest, b.at[i].Sub(b.at[i-1]))
	}
	_, err = conn.Exec(ctx, "DROP TABLE "+b.table)
	return longest, err
}

func (b *bare) String() string {
	return fmt.Sprintf("%d bare rows acknowledged, 0 lost, %d without an answer", len(b.won), b.unknown)
}
