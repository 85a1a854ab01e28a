package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// journey is one run: the first etcd's picture, and its snapshot, from which all moves begin.
type journey struct {
	settings
	dir         string
	began       time.Time
	differences int
	times       []string
	plan        plan
	original    *picture
	snapshot    string
	// after is what the original answered to its next writes.
	after string
}

func (j *journey) say(format string, arguments ...any) {
	fmt.Printf("%6.1f s  %s\n", time.Since(j.began).Seconds(), fmt.Sprintf(format, arguments...))
}

// timed carries one step out and keeps how long it took.
func (j *journey) timed(what string, do func() error) error {
	at := time.Now()
	err := do()
	j.times = append(j.times, fmt.Sprintf("%8.2f s  %s", time.Since(at).Seconds(), what))
	return err
}

func (j *journey) printTimes() {
	fmt.Printf("times, %d keys:\n%s\n", j.keys, strings.Join(j.times, "\n"))
}

func (j *journey) path(name string) string { return filepath.Join(j.dir, name) }

// room is the directory of one server, whose data is in room/data.
func (j *journey) room(name string) (string, error) {
	dir := j.path(name)
	return dir, os.MkdirAll(dir, 0o755)
}

// start runs a server on the data of a room.
func (j *journey) start(binary, room string) (*side, error) {
	dir, err := j.room(room)
	if err != nil {
		return nil, err
	}
	arguments := []string{"--quota-backend-bytes=16000000000"}
	if binary == j.etcd {
		arguments = append(arguments, "--unsafe-no-fsync")
	}
	var s *side
	err = j.timed("start of "+room, func() error {
		s, err = open(binary, dir, arguments...)
		return err
	})
	return s, err
}

// tool runs a program of the command line and gives what it printed.
func (j *journey) tool(what, binary string, arguments ...string) (string, error) {
	var text string
	err := j.timed(what, func() error {
		command := exec.Command(binary, arguments...)
		var complaints strings.Builder
		command.Stderr = &complaints
		out, err := command.Output()
		text = string(out)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s%s", command, err, out, complaints.String())
		}
		return nil
	})
	return text, err
}

// save makes a snapshot file of a server with etcdctl.
func (j *journey) save(s *side, who string) (string, error) {
	file := j.path(who + ".db")
	_, err := j.tool("etcdctl snapshot save from "+who, j.etcdctl, "--endpoints="+s.server.Endpoint,
		"--user=root", "--password="+rootPassword, "--command-timeout=10m", "snapshot", "save", file)
	return file, err
}

// first fills an etcd, takes its picture and its snapshot, and asks what comes next.
func (j *journey) first() error {
	s, err := j.start(j.etcd, "original")
	if err != nil {
		return err
	}
	defer func() { s.kill() }()
	h := &history{side: s, keys: j.keys, seed: j.seed, say: j.say}
	if err := j.timed("filling", h.write); err != nil {
		return err
	}
	if err := s.grantRights(); err != nil {
		return fmt.Errorf("rights: %w", err)
	}
	reply, err := s.upkeep.HashKV(s.ctx(), &pb.HashKVRequest{})
	if err != nil {
		return err
	}
	j.plan = newPlan(reply.CompactRevision, reply.HashRevision, j.keys, j.seed)
	if j.snapshot, err = j.save(s, "original"); err != nil {
		return err
	}
	// A restart makes etcd forget the hash that it noted when it compacted, which is not of what is there.
	if err := s.stop(); err != nil {
		return err
	}
	if s, err = j.start(j.etcd, "original"); err != nil {
		return err
	}
	if err := j.picture(s, "original", &j.original); err != nil {
		return err
	}
	j.say("original: revision %d, compacted at %d, %d keys live, %d answers", j.original.revision,
		j.original.compact, len(j.original.newest), len(j.original.facts))
	j.after, err = s.nextWrite(j.plan.keys[0])
	return err
}

func (j *journey) picture(s *side, name string, into **picture) error {
	return j.timed("picture of "+name, func() error {
		p, err := s.take(name, j.plan)
		*into = p
		return err
	})
}

// judged takes a server's picture and holds it against another.
func (j *journey) judged(s *side, name string, want *picture) error {
	var got *picture
	if err := j.picture(s, name, &got); err != nil {
		return err
	}
	j.judge(want, got)
	return nil
}

// next holds the next writes against the original's.
func (j *journey) next(s *side, name string) error {
	after, err := s.nextWrite(j.plan.keys[0])
	if err != nil {
		return fmt.Errorf("%s: the next write: %w", name, err)
	}
	j.same("the next writes on "+name, j.after, after)
	return nil
}

// restoreHere is `meridian restore` into a room.
func (j *journey) restoreHere(source, room string, more ...string) error {
	dir, err := j.room(room)
	if err != nil {
		return err
	}
	arguments := append([]string{"restore", source, "--data-dir", filepath.Join(dir, "data")}, more...)
	_, err = j.tool("meridian restore into "+room, j.meridian, arguments...)
	return err
}

// restoreThere is `etcdutl snapshot restore` into a room.
func (j *journey) restoreThere(source, room string, more ...string) error {
	dir, err := j.room(room)
	if err != nil {
		return err
	}
	arguments := append([]string{"snapshot", "restore", source, "--data-dir", filepath.Join(dir, "data")}, more...)
	_, err = j.tool("etcdutl snapshot restore into "+room, j.etcdutl, arguments...)
	return err
}

// status is what etcdutl says of a snapshot file; it checks every page of it.
func (j *journey) status(file string) (revision int64, keys int, err error) {
	text, err := j.tool("etcdutl snapshot status of "+filepath.Base(file), j.etcdutl, "snapshot", "status", file, "-w", "json")
	if err != nil {
		return 0, 0, err
	}
	var reply struct {
		Revision int64 `json:"revision"`
		TotalKey int   `json:"totalKey"`
	}
	err = json.Unmarshal([]byte(text), &reply)
	return reply.Revision, reply.TotalKey, err
}
