package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"conformance/store"
)

const (
	// ballastKeys of paddedBytes each make checkpoints large enough to be met under way.
	ballastKeys = 8_000
	paddedBytes = 4 << 10
	// patience is how long anything may take that has to happen.
	patience = 2 * time.Minute
	// promptly is how soon a full store must answer, and writes be there again once there is room.
	promptly = 3 * time.Second
	// fullFor is how long the disk stays full once that was noticed.
	fullFor = 2 * time.Second
)

// strikes are what is done to the disk, and what each was measured to cost.
type strikes struct {
	*judge
	disk *volume
	// now is the record of the round that is under way.
	now *record
	// larges counts the large puts, refusedLarge those of them that were refused lately.
	larges, refusedLarge int
	// table is what is printed in the end, by strike.
	table map[string]*toll
	order []string
}

// toll is what strikes of one kind have cost.
type toll struct {
	times, refused, checkpointsFailed int
	// writes and reads are the longest pauses, back is from the end of the strike to the first write.
	writes, reads, back time.Duration
}

// isNoSpace tells whether an error says that there is no room for what was asked.
func isNoSpace(err error) bool {
	said := status.Convert(err)
	return said.Code() == codes.ResourceExhausted &&
		said.Message() == "etcdserver: mvcc: database space exceeded"
}

// runDisk strikes a tmpfs, which can only be full, and an ext4.
func runDisk(s settings) error {
	if err := command("mount", "--make-rprivate", "/"); err != nil {
		return fmt.Errorf("%w: %v", errNoMounts, err)
	}
	fmt.Printf("seed %d: %d rounds of %s on disks that are full, read-only and broken\n", s.seed, s.rounds,
		filepath.Base(s.server))
	for _, kind := range []string{"tmpfs", "ext4"} {
		if err := strikeAll(s, kind); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	fmt.Println("nothing was lost, changed or invented")
	return nil
}

func strikeAll(s settings, kind string) error {
	dir, err := os.MkdirTemp(store.TempDir(), "disk-")
	if err != nil {
		return err
	}
	d, err := begin(s, kind, dir)
	if err != nil {
		os.RemoveAll(dir)
		return err
	}
	chosen := d.chosen()
	for round := range s.rounds * min(1, len(chosen)) {
		if err := chosen[round%len(chosen)](); err != nil {
			d.server.Kill()
			kept := d.keep()
			return fmt.Errorf("round %d: %w\nthe data is kept in %s; the log ends with\n%s", round, err, kept,
				d.server.LogTail(12))
		}
		d.number++
	}
	if err := d.leasesEnd(); err != nil {
		return fmt.Errorf("after the last strike: %w", err)
	}
	d.print()
	d.close()
	d.disk.unmount()
	return os.RemoveAll(dir)
}

// chosen are the strikes that the disk knows and the settings name, in the order in which they take turns.
func (s *strikes) chosen() []func() error {
	all := []struct {
		name, kinds string
		strike      func() error
	}{
		{"full", "tmpfs ext4", s.full}, {"killed", "tmpfs ext4", s.fullAndKilled},
		{"checkpoint", "tmpfs ext4", s.fullBesideCheckpoint}, {"remount", "ext4", s.askedReadOnly},
		{"readonly", "ext4", s.readOnly}, {"cutoff", "ext4", s.cutOff},
	}
	var chosen []func() error
	for _, one := range all {
		if strings.Contains(one.kinds, s.disk.kind()) && strings.Contains(" "+s.only+" ", " "+one.name+" ") {
			chosen = append(chosen, one.strike)
		}
	}
	return chosen
}

// begin starts a server whose data directory is on a volume, with ballast in it.
func begin(s settings, kind, dir string) (*strikes, error) {
	disk, err := newVolume(dir, kind, s.size)
	if err != nil {
		return nil, err
	}
	args := append(strings.Fields(s.args), "--data-dir="+filepath.Join(disk.path, "data"), "--log-level=info")
	server, err := store.Start(store.Options{Binary: s.server, Dir: dir, Args: args})
	if err != nil {
		return nil, err
	}
	j, err := newJudge(s, server)
	if err != nil {
		return nil, err
	}
	d := &strikes{judge: j, disk: disk, table: map[string]*toll{}}
	return d, d.ballast()
}

func (s *strikes) ballast() error {
	kv := pb.NewKVClient(s.conn)
	for n := range ballastKeys {
		_, err := kv.Put(context.Background(), &pb.PutRequest{Key: fmt.Appendf(nil, "ballast/%d", n),
			Value: make([]byte, paddedBytes)})
		if err != nil {
			return err
		}
	}
	all, err := s.everything(0)
	if err != nil {
		return err
	}
	s.revision = all.Header.Revision
	for _, kv := range all.Kvs {
		s.state[string(kv.Key)] = kv
	}
	return nil
}

// under runs a strike under load and checks everything afterwards: of the server as it is then, and again
// after a kill. The load stops when the strike is over.
func (s *strikes) under(name string, strike func(*toll) error) error {
	cost := s.table[name]
	if cost == nil {
		cost = &toll{}
		s.table[name] = cost
		s.order = append(s.order, name)
	}
	s.now = &record{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	traffic := &load{record: s.now, round: s.number, start: s.revision, judge: s.judge, stubborn: true,
		padding: paddedBytes, kv: pb.NewKVClient(s.conn), lease: pb.NewLeaseClient(s.conn),
		conn: s.conn, upkeep: pb.NewMaintenanceClient(s.conn)}
	wait := traffic.run(ctx)
	time.Sleep(s.length())
	failed := s.checkpointsFailed()
	err := strike(cost)
	if err == nil {
		time.Sleep(s.length())
		traffic.settle()
	}
	cancel()
	wait()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, writes := s.now.writes.since()
	_, reads := s.now.reads.since()
	cost.times++
	cost.refused += s.now.refused
	cost.checkpointsFailed += s.checkpointsFailed() - failed
	cost.writes, cost.reads = max(cost.writes, writes), max(cost.reads, reads)
	return s.checkTwice(name)
}

func (s *strikes) checkTwice(name string) error {
	if err := s.check(s.now); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.server.Kill()
	if err := s.server.Restart(); err != nil {
		return err
	}
	if err := s.connect(); err != nil {
		return err
	}
	if err := s.check(&record{}); err != nil {
		return fmt.Errorf("%s, and a kill: %w", name, err)
	}
	return s.compact()
}

// compact leaves no history: it would fill the disk by itself in a few rounds.
func (s *strikes) compact() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := pb.NewKVClient(s.conn).Compact(ctx, &pb.CompactionRequest{Revision: s.revision, Physical: true})
	// The check may have compacted to it already.
	if status.Code(err) == codes.OutOfRange {
		return nil
	}
	return err
}

// backAgain waits until a write is acknowledged that was answered after since.
func (s *strikes) backAgain(cost *toll, since time.Time, limit time.Duration) error {
	for time.Since(since) < limit {
		if last, _ := s.now.writes.since(); last.After(since) {
			cost.back = max(cost.back, last.Sub(since))
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("no write is acknowledged %v after there was room again", limit)
}

// untilRefused waits until writes are refused for want of room, from now on.
func (s *strikes) untilRefused() error {
	refused := func() int {
		s.now.mu.Lock()
		defer s.now.mu.Unlock()
		return s.now.refused
	}
	before := refused()
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(time.Millisecond) {
		if refused() > before {
			return nil
		}
	}
	return fmt.Errorf("the disk is full and nothing was refused in %v", patience)
}

// ended waits for the end of the process, which must have said why.
func (s *strikes) ended(why string) error {
	for begun := time.Now(); s.server.Alive(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > patience {
			return fmt.Errorf("%s, and the process lives %v later", why, patience)
		}
	}
	if said := s.server.LogTail(5); !strings.Contains(said, why) {
		return fmt.Errorf("the process ended without a word of %q", why)
	}
	return nil
}

// refusesToStart starts the server on what it cannot use: it must end, and say so.
func (s *strikes) refusesToStart(why string) error {
	if err := s.server.Launch(); err != nil {
		return err
	}
	if err := s.ended(why); err != nil {
		return err
	}
	if said := s.server.LogTail(1); !strings.Contains(said, s.disk.path) {
		return fmt.Errorf("the refusal names no file: %s", said)
	}
	return nil
}

// keep copies the data out of the volume, which goes when we do.
func (s *strikes) keep() string {
	kept := filepath.Join(s.server.Dir, "kept")
	if err := os.CopyFS(kept, os.DirFS(s.disk.path)); err != nil {
		return fmt.Sprintf("%s (not all: %v)", kept, err)
	}
	return kept
}

func (s *strikes) checkpointsFailed() int {
	return strings.Count(s.server.LogTail(1<<30), "checkpoint failed")
}

func (s *strikes) print() {
	fmt.Printf("%s of %d MiB: %v\n", s.disk.kind(), s.disk.size>>20, s.score)
	fmt.Printf("%-28s %5s %8s %12s %12s %12s %s\n", "strike", "times", "refused", "writes", "reads", "back after",
		"checkpoints failed")
	for _, name := range s.order {
		cost := s.table[name]
		fmt.Printf("%-28s %5d %8d %12v %12v %12v %d\n", name, cost.times, cost.refused,
			cost.writes.Round(time.Millisecond), cost.reads.Round(time.Millisecond),
			cost.back.Round(time.Millisecond), cost.checkpointsFailed)
	}
}

// busy tells whether an error says that a file system is in use.
func busy(err error) bool {
	return err != nil && (errors.Is(err, syscall.EBUSY) || strings.Contains(err.Error(), "busy"))
}
