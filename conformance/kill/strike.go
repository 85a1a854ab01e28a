package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"conformance/store"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// full takes all room, looks at what clients are told, and gives it back: writes must be there again
// without a restart.
func (s *strikes) full() error {
	return s.under("full", func(cost *toll) error {
		server := s.server.PID()
		if err := s.fillUp(); err != nil {
			return err
		}
		if err := s.fullAndBack(cost); err != nil {
			return err
		}
		return s.wasUp(server)
	})
}

// fullAndKilled kills the server while the disk is full: it must start there and serve.
func (s *strikes) fullAndKilled() error {
	return s.under("full, and kill -9", func(cost *toll) error {
		if err := s.fillUp(); err != nil {
			return err
		}
		s.server.Kill()
		s.score.kills++
		// What the dead process had not finished is swept at the start, and that room is taken, too.
		if err := s.server.Restart(); err != nil {
			return fmt.Errorf("on a full disk: %w", err)
		}
		s.conn.ResetConnectBackoff()
		if err := s.fillUp(); err != nil {
			return err
		}
		return s.fullAndBack(cost)
	})
}

// fullBesideCheckpoint takes all room when a checkpoint is being written.
func (s *strikes) fullBesideCheckpoint() error {
	return s.under("full beside a checkpoint", func(cost *toll) error {
		server := s.server.PID()
		failed := s.checkpointsFailed()
		unfinished := filepath.Join(s.disk.path, "data", "checkpoints", "*.unfinished")
		for begun := time.Now(); ; time.Sleep(100 * time.Microsecond) {
			if found, _ := filepath.Glob(unfinished); len(found) > 0 {
				break
			}
			if time.Since(begun) > patience {
				return errors.New("no checkpoint was begun")
			}
		}
		if err := s.fillUp(); err != nil {
			return err
		}
		if found, _ := filepath.Glob(unfinished); len(found) > 0 && s.checkpointsFailed() > failed {
			return fmt.Errorf("a checkpoint that failed takes room: %v", found)
		}
		if err := s.fullAndBack(cost); err != nil {
			return err
		}
		return s.wasUp(server)
	})
}

// fillUp takes all room, until clients are refused.
func (s *strikes) fillUp() error {
	if err := s.disk.fill(); err != nil {
		return err
	}
	return s.untilRefused()
}

// fullAndBack looks at what clients are told of a full disk, and gives the room back.
func (s *strikes) fullAndBack(cost *toll) error {
	if err := s.whileFull(); err != nil {
		return err
	}
	freed := time.Now()
	if err := s.disk.free(); err != nil {
		return err
	}
	return s.backAgain(cost, freed, promptly)
}

// wasUp looks if the process is the one it was, and all watches were served without a break.
func (s *strikes) wasUp(process int) error {
	if !s.server.Alive() || s.server.PID() != process {
		return errors.New("the process has ended")
	}
	s.now.mu.Lock()
	defer s.now.mu.Unlock()
	if s.now.watchesEnded > 0 {
		return fmt.Errorf("%d watches were ended", s.now.watchesEnded)
	}
	return nil
}

// whileFull asks for everything that needs no room, and for a write. All must be answered promptly.
func (s *strikes) whileFull() error {
	conn, err := s.server.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	kv := pb.NewKVClient(conn)
	asks := map[string]func(context.Context) error{
		"a linearizable read": func(ctx context.Context) error {
			_, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("ballast/1")})
			return err
		},
		"the status": func(ctx context.Context) error {
			_, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
			return err
		},
		"history for a new watch": func(ctx context.Context) error { return s.anEvent(ctx, conn) },
		"a put of 1 MiB":          func(ctx context.Context) error { return s.large(ctx, kv) },
	}
	s.refusedLarge = 0
	for begun := time.Now(); time.Since(begun) < fullFor; time.Sleep(20 * time.Millisecond) {
		for what, ask := range asks {
			ctx, cancel := context.WithTimeout(context.Background(), promptly)
			err := ask(ctx)
			cancel()
			if err != nil {
				return fmt.Errorf("while the disk is full, %s: %w", what, err)
			}
		}
	}
	if s.refusedLarge == 0 {
		return errors.New("the disk is full, and nothing was refused")
	}
	return nil
}

// large puts what hardly ever has room. If it had, a checkpoint has made some: that is taken, too.
func (s *strikes) large(ctx context.Context, kv pb.KVClient) error {
	s.larges++
	value := fmt.Sprintf("%d.large.%d", s.number, s.larges)
	value += strings.Repeat("~", 1<<20-len(value))
	op := &operation{writes: []write{{key: "put/large", value: value}}, expected: -1}
	s.now.add(op)
	reply, err := kv.Put(ctx, &pb.PutRequest{Key: []byte("put/large"), Value: []byte(value)})
	switch {
	case err == nil:
		s.now.answered(op, reply.Header.Revision)
		return s.disk.fill()
	case isNoSpace(err):
		s.now.answered(op, 0)
		s.refusedLarge++
		return nil
	default:
		return err
	}
}

// anEvent waits for the first event of a watch of everything since the round began.
func (s *strikes) anEvent(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := store.OpenWatch(ctx, conn, s.revision+1)
	for err == nil {
		var reply *pb.WatchResponse
		if reply, err = stream.Recv(); len(reply.GetEvents()) > 0 {
			return nil
		}
	}
	return err
}

// askedReadOnly is what an operator may try: the kernel does not take a file system from who writes to it.
func (s *strikes) askedReadOnly() error {
	return s.under("remount,ro", func(cost *toll) error {
		server := s.server.PID()
		if err := s.disk.remount("ro"); !busy(err) {
			return fmt.Errorf("the kernel was to say that it is busy, and said: %v", err)
		}
		if err := s.backAgain(cost, time.Now(), promptly); err != nil {
			return err
		}
		return s.wasUp(server)
	})
}

// readOnly is what a file system does that finds an error in itself.
func (s *strikes) readOnly() error {
	return s.under("read-only after an error", func(cost *toll) error {
		if err := s.disk.breakDown(); err != nil {
			return err
		}
		return s.gone(cost, "Read-only file system")
	})
}

// cutOff is what a device does that goes away: I/O errors, and nothing more is written.
func (s *strikes) cutOff() error {
	return s.under("I/O errors, and power lost", func(cost *toll) error {
		if err := s.disk.cutOff(); err != nil {
			return err
		}
		return s.gone(cost, "Input/output error")
	})
}

// gone is how it goes on: the process ends and says why, starts only on a disk that is well, and has all.
func (s *strikes) gone(cost *toll, why string) error {
	if err := s.ended(why); err != nil {
		return err
	}
	if err := s.refusesToStart(why); err != nil {
		return err
	}
	if err := s.looksAt(why); err != nil {
		return err
	}
	mended := time.Now()
	if err := s.disk.repair(); err != nil {
		return err
	}
	if err := s.looksAt("no damage"); err != nil {
		return err
	}
	if err := s.server.Restart(); err != nil {
		return err
	}
	s.conn.ResetConnectBackoff()
	return s.backAgain(cost, mended, patience)
}

// looksAt runs `meridian check` and looks for what it has to say. On a disk that is merely read-only it
// reads all.
func (s *strikes) looksAt(what string) error {
	if strings.Contains(what, "Read-only") {
		what = "no damage"
	}
	said, _ := exec.Command(s.settings.server, "check", filepath.Join(s.disk.path, "data")).CombinedOutput()
	if !strings.Contains(strings.ToLower(string(said)), strings.ToLower(what)) {
		return fmt.Errorf("check does not say %q: %s", what, said)
	}
	return nil
}
