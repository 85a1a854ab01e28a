// Command gateway asks two servers the same in JSON over HTTP and compares the answers byte for byte:
// code, headers, body, lines of streams. What must differ (times, terms, sizes, ids that a server
// draws) is made alike first; see canonical.go.
package main

import (
	"flag"
	"fmt"
	"os"

	"conformance/store"
)

func main() {
	etcd := flag.String("etcd", os.Getenv("ETCD"), "etcd's binary")
	meridian := flag.String("meridian", os.Getenv("MERIDIAN"), "the binary that is judged")
	verbose := flag.Bool("v", false, "print every request with etcd's answer")
	flag.Parse()
	var tally Tally
	for _, group := range groups() {
		if err := judge(*etcd, *meridian, group, *verbose, &tally); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	for _, what := range tally.Wrong {
		fmt.Println("WRONG", what)
	}
	for _, what := range tally.Later {
		fmt.Println("LATER", what)
	}
	fmt.Printf("%d requests: %d alike, %d wrong, %d wait for methods that come later\n",
		tally.Asked, tally.Asked-len(tally.Wrong)-len(tally.Later), len(tally.Wrong), len(tally.Later))
	if len(tally.Wrong) > 0 {
		os.Exit(1)
	}
}

// Tally is what came of the comparison.
type Tally struct {
	Asked int
	Wrong []string
	// Later are the requests whose answer waits for a method that is not there yet.
	Later []string
}

// Group is a sequence of requests to servers of their own.
type Group struct {
	Name  string
	Args  []string
	Steps []Step
}

// judge asks both servers everything in a group.
func judge(etcd, meridian string, group Group, verbose bool, tally *Tally) error {
	var servers [2]*store.Server
	for i, binary := range []string{etcd, meridian} {
		server, err := store.Start(store.Options{Binary: binary, Args: group.Args, SameIdentity: true})
		if err != nil {
			return err
		}
		defer server.Remove()
		servers[i] = server
	}
	apart := false
	var memories [2]Memory
	for _, step := range group.Steps {
		tally.Asked++
		want, err := ask(servers[0].Endpoint, step, &memories[0])
		if err != nil {
			return fmt.Errorf("etcd: %s: %w", step, err)
		}
		if verbose {
			fmt.Printf("%s: %s\n%s\n", group.Name, step, want)
		}
		got, err := ask(servers[1].Endpoint, step, &memories[1])
		what := fmt.Sprintf("%s: %s", group.Name, step)
		switch {
		case err != nil:
			tally.Wrong = append(tally.Wrong, fmt.Sprintf("%s: %v", what, err))
		case want.String() == got.String():
		case got.IsLater():
			// What follows may depend on what was not done.
			apart = true
			tally.Later = append(tally.Later, what)
		case apart:
			tally.Later = append(tally.Later, what)
		default:
			tally.Wrong = append(tally.Wrong, fmt.Sprintf("%s\n  etcd %s\n  not  %s", what, want, got))
		}
	}
	return nil
}
