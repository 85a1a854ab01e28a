// Command moves carries a store from etcd to Meridian and back, at a size that hurts, and judges
// whether anybody could tell: every hash, every old revision, every lease, user and watch event is
// asked of each station and held against what the first one said.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"conformance/store"
)

// settings are what the person asked for on the command line.
type settings struct {
	keys     int
	seed     uint64
	dir      string
	keep     bool
	only     string
	etcd     string
	meridian string
	etcdctl  string
	etcdutl  string
}

func parse() (settings, error) {
	var s settings
	var bin string
	flag.IntVar(&s.keys, "keys", 1_000_000, "keys written first; history comes on top")
	flag.Uint64Var(&s.seed, "seed", 1, "what the history follows from")
	flag.StringVar(&s.dir, "dir", "", "where data goes (default: a new directory in memory)")
	flag.BoolVar(&s.keep, "keep", false, "keep the data even when all agrees")
	flag.StringVar(&s.only, "only", "", "only the moves with this in their name")
	flag.StringVar(&s.meridian, "meridian", "../target/release/meridian", "the server under test")
	flag.StringVar(&bin, "bin", "bin", "directory of etcd, etcdctl and etcdutl 3.7.1")
	flag.Parse()
	for name, path := range map[string]*string{"etcd": &s.etcd, "etcdctl": &s.etcdctl,
		"etcdutl": &s.etcdutl} {
		*path = filepath.Join(bin, name)
	}
	for _, path := range []string{s.etcd, s.etcdctl, s.etcdutl, s.meridian} {
		if _, err := os.Stat(path); err != nil {
			return s, err
		}
	}
	if s.keys < 1000 {
		return s, fmt.Errorf("-keys %d: at least 1000, or there is no history to speak of", s.keys)
	}
	return s, nil
}

// moves are what can be done to a store; each begins with the first etcd's snapshot.
var moves = []struct {
	name string
	do   func(*journey) error
}{
	{"there and back", (*journey).thereAndBack},
	{"bump", (*journey).bumped},
	{"killed", (*journey).killed},
	{"alarm", (*journey).alarmed},
}

func main() {
	s, err := parse()
	if err == nil {
		err = run(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("PASS: nobody could tell")
}

func run(s settings) error {
	dir := s.dir
	if dir == "" {
		dir = store.TempDir()
	}
	dir, err := os.MkdirTemp(dir, "moves-")
	if err != nil {
		return err
	}
	began := time.Now()
	j := &journey{settings: s, dir: dir, began: began}
	err = j.all()
	j.printTimes()
	if err == nil && j.differences > 0 {
		err = fmt.Errorf("%d differences", j.differences)
	}
	if err != nil && !s.keep {
		fmt.Printf("the data is kept in %s\n", dir)
	}
	if err == nil && !s.keep {
		return os.RemoveAll(dir)
	}
	return err
}

// all fills the first etcd and makes every move that was asked for.
func (j *journey) all() error {
	if err := j.first(); err != nil {
		return err
	}
	for _, m := range moves {
		if !strings.Contains(m.name, j.only) {
			continue
		}
		j.say("== %s", m.name)
		if err := m.do(j); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}
