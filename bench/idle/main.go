// Command idle opens streams that then say nothing, 100,000 of them, to one server after the other, and measures what
// they cost: the server's memory for each, the latency of another client's puts beside them, and what memory is left
// when they have gone.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

type settings struct {
	servers     []string
	connections int
	streams     int
	plain       int
	measure     time.Duration
	rest        time.Duration
}

// kind is a kind of idleness: how many connections, and how many streams of what on each.
type kind struct {
	name                 string
	connections, streams int
	path                 string
	// message opens the stream: it is answered once.
	message func(connection, stream int) []byte
}

func main() {
	var s settings
	servers := flag.String("servers", "../target/release/meridian,../conformance/bin/etcd", "the binaries, one after the other")
	flag.IntVar(&s.connections, "connections", 100, "connections with streams")
	flag.IntVar(&s.streams, "streams", 1000, "streams on each")
	flag.IntVar(&s.plain, "plain", 10_000, "connections without streams")
	flag.DurationVar(&s.measure, "measure", 5*time.Second, "how long puts are measured")
	flag.DurationVar(&s.rest, "rest", 60*time.Second, "how long memory may take to come back")
	flag.Parse()
	s.servers = strings.Split(*servers, ",")
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(s settings) error {
	fmt.Printf("%-10s %-12s %8s %8s %9s %9s %8s %17s %17s %9s %9s\n", "server", "idle", "streams", "conns", "before",
		"with", "a piece", "put p50/p99 before", "beside", "left", "back in")
	kinds := []kind{
		{"watches", s.connections, s.streams, "/etcdserverpb.Watch/Watch", watchMessage},
		{"keep-alives", s.connections, s.streams, "/etcdserverpb.Lease/LeaseKeepAlive", keepAliveMessage},
		{"connections", s.plain, 0, "", nil},
	}
	for _, one := range kinds {
		for _, binary := range s.servers {
			if err := measure(s, binary, one); err != nil {
				return fmt.Errorf("%s, %s: %w", binary, one.name, err)
			}
		}
	}
	return nil
}

// measure is one row: a fresh server, idleness of one kind, and its end.
func measure(s settings, binary string, one kind) error {
	server, err := start(binary)
	if err != nil {
		return err
	}
	defer server.stop()
	other, err := newPutter(server.address)
	if err != nil {
		return err
	}
	defer other.close()
	if err := other.prepare(); err != nil {
		return err
	}
	alone, err := other.measure(s.measure)
	if err != nil {
		return err
	}
	before := server.resident()
	begun := time.Now()
	idle, err := openAll(server.address, one)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	beside, err := other.measure(s.measure)
	if err != nil {
		return err
	}
	with := server.resident()
	idle.close()
	left, back := server.settles(before, with, s.rest)
	pieces := one.connections * max(1, one.streams)
	fmt.Printf("%-10s %-12s %8d %8d %7dMB %7dMB %7.1fk %8.2f/%6.2fms %8.2f/%6.2fms %7dMB %9v (opened in %v)\n", server.name,
		one.name, one.connections*one.streams, one.connections, before>>20, with>>20,
		float64(with-before)/float64(pieces)/1024, ms(alone.p50), ms(alone.p99), ms(beside.p50), ms(beside.p99),
		left>>20, back.Round(100*time.Millisecond), took.Round(100*time.Millisecond))
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
