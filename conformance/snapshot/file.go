package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// entries are a database: bucket and key, to value.
type entries map[string]map[string][]byte

// run runs a tool and returns what it printed.
func run(tool string, args ...string) ([]byte, error) {
	var out, errors bytes.Buffer
	command := exec.Command(tool, args...)
	command.Stdout, command.Stderr = &out, &errors
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(command.Args, " "), err, &out, &errors)
	}
	return out.Bytes(), nil
}

// judgeFile compares the two files.
func judgeFile(s settings, ours, reference *side) error {
	if _, err := run(s.tool("bbolt"), "check", ours.snapshot); err != nil {
		return err
	}
	fmt.Println("bbolt check: finds nothing")
	var files [2]entries
	for n, from := range []*side{ours, reference} {
		var err error
		if files[n], err = dump(from.snapshot); err != nil {
			return fmt.Errorf("%s of %s: %w", from.snapshot, from.name, err)
		}
	}
	if found := differences(files[0], files[1]); len(found) > 0 {
		return fmt.Errorf("the entries are not etcd's:\n%s", strings.Join(found, "\n"))
	}
	for _, bucket := range sorted(files[0]) {
		fmt.Printf("bucket %s: %d entries as etcd's\n", bucket, len(files[0][bucket]))
	}
	if err := sameStatus(s, ours, reference); err != nil {
		return err
	}
	return sameHash(s, ours)
}

// dump reads a database with bbolt.
func dump(path string) (entries, error) {
	db, err := bolt.Open(path, 0o400, &bolt.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	found := entries{}
	return found, db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			inside := map[string][]byte{}
			found[string(name)] = inside
			return bucket.ForEach(func(key, value []byte) error {
				inside[string(key)] = bytes.Clone(value)
				return nil
			})
		})
	})
}

// differences lists what the two do not share, but for what tells one server from another: where its
// log stands, and what salt a password has.
func differences(ours, reference entries) []string {
	var found []string
	for _, bucket := range union(ours, reference) {
		if (ours[bucket] == nil) != (reference[bucket] == nil) {
			found = append(found, fmt.Sprintf("bucket %s is in one only", bucket))
		}
		for _, key := range union(ours[bucket], reference[bucket]) {
			one, there := ours[bucket][key]
			other, thereToo := reference[bucket][key]
			switch {
			case there != thereToo:
				found = append(found, fmt.Sprintf("%s %q: in ours %v, in etcd's %v", bucket, key, there, thereToo))
			case bucket == "meta" && (key == "consistent_index" || key == "term"):
				if len(one) != len(other) {
					found = append(found, fmt.Sprintf("%s %q is no number", bucket, key))
				}
			case bucket == "authUsers":
				one, other = unsalted(one), unsalted(other)
				fallthrough
			default:
				if !bytes.Equal(one, other) {
					found = append(found, fmt.Sprintf("%s %q: %q, etcd has %q", bucket, key, one, other))
				}
			}
		}
	}
	return found
}

// unsalted is a user with a password that says only of which kind it is.
func unsalted(value []byte) []byte {
	var user authpb.User
	if err := proto.Unmarshal(value, &user); err != nil {
		return value
	}
	if len(user.Password) == 60 {
		user.Password = user.Password[:7]
	}
	out, err := proto.Marshal(&user)
	if err != nil {
		return value
	}
	return out
}

func sorted[V any](of map[string]V) []string {
	keys := make([]string, 0, len(of))
	for key := range of {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func union[V any](one, other map[string]V) []string {
	both := map[string]bool{}
	for key := range one {
		both[key] = true
	}
	for key := range other {
		both[key] = true
	}
	return sorted(both)
}

// sameStatus compares what etcdutl says of the files.
func sameStatus(s settings, ours, reference *side) error {
	var said [2]map[string]any
	for n, from := range []*side{ours, reference} {
		out, err := run(s.tool("etcdutl"), "snapshot", "status", from.snapshot, "-w", "json")
		if err != nil {
			return err
		}
		if err := json.Unmarshal(out, &said[n]); err != nil {
			return err
		}
	}
	for _, field := range []string{"revision", "totalKey", "version"} {
		if said[0][field] != said[1][field] {
			return fmt.Errorf("etcdutl snapshot status: %s is %v, of etcd's %v", field, said[0][field], said[1][field])
		}
	}
	fmt.Printf("etcdutl snapshot status: revision %v, %v keys, version %v, as of etcd's\n",
		said[0]["revision"], said[0]["totalKey"], said[0]["version"])
	return nil
}

// sameHash compares what etcdutl sums up to what the server says of itself.
func sameHash(s settings, ours *side) error {
	// etcdutl opens it for writing, after which its checksum does not match any more.
	copied := ours.snapshot + ".copy"
	bytes, err := os.ReadFile(ours.snapshot)
	if err != nil {
		return err
	}
	if err := os.WriteFile(copied, bytes, 0o600); err != nil {
		return err
	}
	out, err := run(s.tool("etcdutl"), "hashkv", copied, "-w", "json")
	if err != nil {
		return err
	}
	var file struct {
		Hash            uint32 `json:"hash"`
		HashRevision    int64  `json:"hashRevision"`
		CompactRevision int64  `json:"compactRevision"`
	}
	if err := json.Unmarshal(out, &file); err != nil {
		return err
	}
	client, err := connect(ours.server, "root")
	if err != nil {
		return err
	}
	defer client.Close()
	live, err := client.HashKV(client.Ctx(), ours.server.Endpoint, 0)
	if err != nil {
		return err
	}
	is := (*pb.HashKVResponse)(live)
	if file.Hash != is.Hash || file.HashRevision != is.HashRevision || file.CompactRevision != is.CompactRevision {
		return fmt.Errorf("etcdutl hashkv: %+v, the server %v", file, is)
	}
	fmt.Printf("etcdutl hashkv: %+v, as HashKV of the server\n", file)
	return nil
}
