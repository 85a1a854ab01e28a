// Command metrics compares what two servers tell of themselves over HTTP: the series under /metrics
// after the same traffic, held against what etcd's monitoring mixin reads, and the pages that
// probes ask, in good times and with alarms on.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/store"
)

func main() {
	etcd := flag.String("etcd", os.Getenv("ETCD"), "etcd's binary")
	meridian := flag.String("meridian", os.Getenv("MERIDIAN"), "the binary that is judged")
	list := flag.Bool("list", false, "list the families that one side alone has, with the reasons")
	flag.Parse()
	wrong, err := judge(*etcd, *meridian, *list)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, what := range wrong {
		fmt.Println("WRONG", what)
	}
	if len(wrong) > 0 {
		os.Exit(1)
	}
	fmt.Printf("%d families that dashboards read, %d pages in three states: no difference\n",
		len(mixin)+len(operators), len(pages))
}

func judge(etcd, meridian string, list bool) ([]string, error) {
	var servers [2]*store.Server
	for i, binary := range []string{etcd, meridian} {
		server, err := store.Start(store.Options{
			Binary: binary, Args: []string{"--metrics=extensive"}, SameIdentity: true})
		if err != nil {
			return nil, err
		}
		defer server.Remove()
		servers[i] = server
	}
	wrong, err := judgePages(servers, nil)
	if err != nil {
		return nil, err
	}
	var families [2]map[string]*Family
	for i, server := range servers {
		look := func() (err error) {
			families[i], err = scrape(server.Endpoint)
			return err
		}
		if err := traffic(server, look); err != nil {
			return nil, fmt.Errorf("%s: %w", server.Endpoint, err)
		}
	}
	if list {
		printAlone(families)
	}
	wrong = append(wrong, Compare(families[0], families[1])...)
	// One at a time: of two, etcd names one by chance.
	for _, kind := range []pb.AlarmType{pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT} {
		more, err := judgePages(servers, &kind)
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, more...)
	}
	return wrong, nil
}

// judgePages compares the pages, with an alarm more if one is named.
func judgePages(servers [2]*store.Server, kind *pb.AlarmType) ([]string, error) {
	if kind != nil {
		for _, server := range servers {
			if err := alarm(server, pb.AlarmRequest_ACTIVATE, *kind); err != nil {
				return nil, err
			}
			defer alarm(server, pb.AlarmRequest_DEACTIVATE, *kind)
		}
	}
	wrong, err := comparePages(servers[0].Endpoint, servers[1].Endpoint)
	if kind != nil {
		for i := range wrong {
			wrong[i] = fmt.Sprintf("with %v: %s", *kind, wrong[i])
		}
	}
	return wrong, err
}

func scrape(endpoint string) (map[string]*Family, error) {
	response, err := http.Get("http://" + endpoint + "/metrics")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return Parse(string(text))
}

func printAlone(families [2]map[string]*Family) {
	for i, side := range []string{"etcd alone", "the other alone"} {
		for name := range families[i] {
			if families[1-i][name] == nil {
				fmt.Printf("%s: %s: %s\n", side, name, explain(name))
			}
		}
	}
}
