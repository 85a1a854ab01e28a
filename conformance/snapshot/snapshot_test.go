package main

import (
	"testing"

	"go.etcd.io/etcd/api/v3/authpb"
	"google.golang.org/protobuf/proto"
)

func user(t *testing.T, password string) []byte {
	value, err := proto.Marshal(&authpb.User{Name: []byte("u"), Password: []byte(password)})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// What is wrong on purpose is found, and what may differ is not.
func TestDifferencesAreFound(t *testing.T) {
	hash := "$2a$10$MudbMuC0GQzIL5eRmP3OpelChcKCV4KrHHI7tCo48KAal.xaeNsp2"
	salted := "$2a$10$" + hash[8:] + "x"
	file := func(change func(entries)) entries {
		made := entries{
			"key":       {"1": []byte("one")},
			"empty":     {},
			"meta":      {"term": []byte("12345678"), "storageVersion": []byte("3.7.0")},
			"authUsers": {"u": user(t, hash)},
		}
		change(made)
		return made
	}
	same := file(func(entries) {})
	for name, test := range map[string]struct {
		change func(entries)
		found  int
	}{
		"nothing":          {func(entries) {}, 0},
		"a value":          {func(e entries) { e["key"]["1"] = []byte("two") }, 1},
		"a key more":       {func(e entries) { e["key"]["2"] = nil }, 1},
		"a key less":       {func(e entries) { delete(e["key"], "1") }, 1},
		"a bucket less":    {func(e entries) { delete(e, "empty") }, 1},
		"another term":     {func(e entries) { e["meta"]["term"] = []byte("87654321") }, 0},
		"no term":          {func(e entries) { delete(e["meta"], "term") }, 1},
		"a short term":     {func(e entries) { e["meta"]["term"] = []byte("1") }, 1},
		"another version":  {func(e entries) { e["meta"]["storageVersion"] = []byte("3.6.0") }, 1},
		"another salt":     {func(e entries) { e["authUsers"]["u"] = user(t, salted) }, 0},
		"another password": {func(e entries) { e["authUsers"]["u"] = user(t, "") }, 1},
	} {
		if found := differences(file(test.change), same); len(found) != test.found {
			t.Errorf("%s: %q", name, found)
		}
	}
}
