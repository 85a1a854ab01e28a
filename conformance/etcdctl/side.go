package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/store"
)

// side is one of the two servers with all that etcdctl needs to reach it, and what is to be
// masked in the output.
type side struct {
	tools  tools
	server *store.Server
	second *store.Server
	dir    string
	secure *certificates
	// names are what stands for a side's own ids in the output, longest first.
	names []name
	// leases are the ids seen so far, in the order in which they came.
	leases []int64
	last   int64
}

// tools are the clients' binaries.
type tools struct{ etcdctl, etcdutl string }

type name struct{ text, stands string }

// startSide starts one; ids are masked if only a kind of server tells what they are.
func startSide(script Script, binary string, extra []string, masked bool, tools tools) (*side, error) {
	script.Masked = script.Own || masked
	dir, err := os.MkdirTemp(store.TempDir(), "etcdctl-")
	if err != nil {
		return nil, err
	}
	s := &side{tools: tools, dir: dir}
	options := store.Options{Binary: binary, SameIdentity: !script.Own,
		Args: append(append([]string{}, script.Args...), inJournal(extra)...)}
	if script.Secure {
		if s.secure, err = newCertificates(dir); err != nil {
			return s, err
		}
		options.Secure = s.secure.client
		options.Args = append(options.Args, s.secure.serverFlags()...)
	}
	if s.server, err = store.Start(options); err != nil {
		return s, err
	}
	if script.Second {
		s.second, err = store.Start(store.Options{Binary: binary, SameIdentity: !script.Own,
			Args: inJournal(extra)})
		if err != nil {
			return s, err
		}
		s.names = append(s.names, name{s.second.Endpoint, "SECOND"})
	}
	return s, s.learnNames(script)
}

// onJournal tells whether the server's arguments name a journal that many clusters share.
func onJournal(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--journal=") })
}

// inJournal adds a name of its own for the server's cluster.
func inJournal(args []string) []string {
	if !onJournal(args) {
		return args
	}
	return append(slices.Clone(args), fmt.Sprintf("--initial-cluster-token=etcdctl-%d", time.Now().UnixNano()))
}

// learnNames finds what differs between the sides by nature: ports, directories, and, with
// identities of their own, ids.
func (s *side) learnNames(script Script) error {
	s.names = append(s.names, name{s.server.Endpoint, "ENDPOINT"}, name{s.server.Peer(), "PEER"},
		name{s.dir, "DIR"})
	conn, err := s.server.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for range 200 {
		reply, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
		if err != nil {
			return err
		}
		if script.Masked {
			for id, stands := range map[uint64]string{reply.Header.MemberId: "MEMBER",
				reply.Header.ClusterId: "CLUSTER"} {
				s.names = append(s.names, name{fmt.Sprint(id), stands}, name{fmt.Sprintf("%x", id), stands})
			}
		}
		// etcd raises the storage version soon after it starts to serve.
		if reply.StorageVersion == "3.7.0" {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func (s *side) close() {
	for _, server := range []*store.Server{s.server, s.second} {
		if server != nil {
			server.Remove()
		}
	}
	os.RemoveAll(s.dir)
}

// words makes a command's words from a line of the table.
func (s *side) words(line string) ([]string, error) {
	second := ""
	if s.second != nil {
		second = s.second.Endpoint
	}
	for from, to := range map[string]string{"{endpoint}": s.server.Endpoint, "{second}": second,
		"{dir}": s.dir, "{lease}": fmt.Sprintf("%x", s.last), "{member}": s.member()} {
		line = strings.ReplaceAll(line, from, to)
	}
	words, err := split(line)
	if err != nil {
		return nil, err
	}
	if words[0] == "etcdutl" {
		return append([]string{s.tools.etcdutl}, words[1:]...), nil
	}
	flags := []string{}
	if !strings.Contains(line, "--endpoints") {
		flags = append(flags, "--endpoints="+s.server.Endpoint)
	}
	if s.secure != nil {
		flags = append(flags, "--insecure-transport=false")
	}
	return append(append([]string{s.tools.etcdctl}, flags...), words...), nil
}

func (s *side) member() string {
	for _, each := range s.names {
		if each.stands == "MEMBER" && strings.Trim(each.text, "0123456789") != "" {
			return each.text
		}
	}
	return "none"
}

func (s *side) start(c Case, line string, input string, running bool) (*process, error) {
	words, err := s.words(line)
	if err != nil {
		return nil, err
	}
	env := make([]string, len(c.Env))
	for i, each := range c.Env {
		env[i] = strings.ReplaceAll(each, "{dir}", s.dir)
	}
	return start(words, env, input, running)
}

var grants = []*regexp.Regexp{
	regexp.MustCompile(`lease ([0-9a-f]{8,16}) granted`),
	regexp.MustCompile(`(?:mutex|election)/([0-9a-f]{8,16})\b`),
}

// learnLeases keeps the ids that the server chose, from what a command shows and from the list.
func (s *side) learnLeases(text string) {
	for i, pattern := range grants {
		for _, match := range pattern.FindAllStringSubmatch(text, -1) {
			var id int64
			if _, err := fmt.Sscanf(match[1], "%x", &id); err == nil {
				s.learnLease(id, i == 0)
			}
		}
	}
	conn, err := s.server.Dial()
	if err != nil {
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	reply, err := pb.NewLeaseClient(conn).LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	if err != nil {
		// With auth on nobody lists without a name; the ids are learned from the output.
		return
	}
	for _, lease := range reply.Leases {
		s.learnLease(lease.ID, true)
	}
}

func (s *side) learnLease(id int64, granted bool) {
	for _, known := range s.leases {
		if known == id {
			return
		}
	}
	s.leases = append(s.leases, id)
	if granted {
		s.last = id
	}
}

// watchers reads how many watchers the server counts.
func (s *side) watchers() float64 {
	client, scheme := http.DefaultClient, "http"
	if s.secure != nil {
		scheme = "https"
		client = &http.Client{Transport: &http.Transport{TLSClientConfig: s.secure.client}}
	}
	response, err := client.Get(scheme + "://" + s.server.Endpoint + "/metrics")
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(body), "\n") {
		if value, found := strings.CutPrefix(line, "etcd_debugging_mvcc_watcher_total "); found {
			var count float64
			if json.Unmarshal([]byte(value), &count) == nil {
				return count
			}
		}
	}
	return 0
}

func absolute(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", err
	}
	return path, nil
}
