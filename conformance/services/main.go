// Services asks the Lock and Election services, and what is left of Maintenance and Cluster, of a
// real etcd and of meridian the same questions, and compares what they say; then many clients
// contend for one lock and one election, on each and with the official client beside the services.
//
//	services -etcd bin/etcd -meridian ../target/release/meridian
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"conformance/store"
)

func main() {
	log.SetFlags(0)
	etcd := flag.String("etcd", "bin/etcd", "the reference")
	meridian := flag.String("meridian", "../target/release/meridian", "what is judged")
	verbose := flag.Bool("v", false, "print what etcd says")
	contenders := flag.Int("contenders", 20, "how many clients contend")
	journal := flag.String("journal", "", "meridian's --journal; every server is a new cluster in it")
	flag.Parse()
	failed, err := run(*etcd, *meridian, *journal, *contenders, *verbose)
	if err != nil {
		log.Fatal(err)
	}
	if failed > 0 {
		log.Fatalf("%d differences or broken promises", failed)
	}
	fmt.Println("services: all alike")
}

func run(etcd, meridian, journal string, contenders int, verbose bool) (int, error) {
	failed := 0
	for _, script := range scripts {
		n, err := compare(etcd, meridian, journal, script, verbose)
		if err != nil {
			return failed, fmt.Errorf("%s: %w", script.name, err)
		}
		failed += n
	}
	for _, each := range [][]string{{etcd}, append([]string{meridian}, inJournal(journal)...)} {
		n, err := contend(each[0], contenders, each[1:]...)
		if err != nil {
			return failed, err
		}
		failed += n
	}
	return failed, nil
}

// inJournal are the arguments of a new cluster in a database.
func inJournal(journal string) []string {
	if journal == "" {
		return nil
	}
	return []string{"--journal=" + journal, token()}
}

func token() string { return fmt.Sprintf("--initial-cluster-token=services-%d", time.Now().UnixNano()) }

// compare runs a script on fresh servers of both kinds, step by step.
func compare(etcd, meridian, journal string, script script, verbose bool) (int, error) {
	var sides [2]*side
	args := [2][]string{nil, inJournal(journal)}
	if journal != "" {
		// Member ids follow from the token.
		args[0] = args[1][1:]
	}
	for i, binary := range []string{etcd, meridian} {
		side, err := open(binary, args[i]...)
		if err != nil {
			return 0, err
		}
		defer side.close()
		side.masked = journal != ""
		sides[i] = side
	}
	failed := 0
	for _, step := range script.steps {
		said := [2]string{step.do(sides[0]), step.do(sides[1])}
		if verbose {
			fmt.Printf("%s: %s\n  %s\n", script.name, step.name, said[0])
		}
		if said[0] != said[1] || said[0] == noAnswer {
			failed++
			fmt.Fprintf(os.Stderr, "DIFFERS %s: %s\n  etcd:     %s\n  meridian: %s\n",
				script.name, step.name, said[0], said[1])
		}
	}
	fmt.Printf("%s: %d steps, %d differ\n", script.name, len(script.steps), failed)
	return failed, nil
}

// open starts a fresh server and connects to it.
func open(binary string, args ...string) (*side, error) {
	server, err := store.Start(store.Options{Binary: binary, SameIdentity: true, Args: args})
	if err != nil {
		return nil, err
	}
	side := &side{server: server}
	if err := side.connect(); err != nil {
		server.Remove()
		return nil, err
	}
	return side, nil
}
