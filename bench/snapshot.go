package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

const (
	snapshotValue = 4096
	// putRate and putTime are the puts whose latency is watched, alone and beside snapshots.
	putRate = 200
	putTime = 10 * time.Second
)

// snapshotStore measures snapshots of a store with size bytes of values.
func snapshotStore(o Options) []Scenario {
	count := int(o.SnapshotSize / snapshotValue)
	return []Scenario{
		{Name: "fill", Setup: true, Run: func(s *Server) ([]Figure, error) {
			err := fillWith(s, count, snapshotValue)
			// What the filling has left to do is not the snapshot's.
			time.Sleep(5 * time.Second)
			return nil, err
		}},
		{Name: "snapshot beside puts", Run: func(s *Server) ([]Figure, error) {
			return snapshotBesidePuts(s, o.SnapshotSize, filepath.Join(filepath.Dir(s.dir), "snapshot.db"))
		}},
		// Kept nowhere, it shows the server alone, without two who write to one disk.
		{Name: "snapshot beside puts, not written", Run: func(s *Server) ([]Figure, error) {
			return snapshotBesidePuts(s, o.SnapshotSize, os.DevNull)
		}},
	}
}

// snapshotBesidePuts writes snapshots while puts are due at fixed moments, and compares with the disk's own
// rate and with puts alone.
func snapshotBesidePuts(s *Server, size int64, path string) ([]Figure, error) {
	idle, err := pacedPuts(s, putTime, nil)
	if err != nil {
		return nil, err
	}
	disk, err := diskRate(filepath.Dir(s.dir), size)
	if err != nil {
		return nil, err
	}
	s.ForgetPeak()
	resident, cpu := s.Memory("VmRSS"), s.CPU()
	saving := saveSnapshots(s, size, path)
	beside, err := pacedPuts(s, 10*time.Minute, saving.done)
	<-saving.done
	if err = errors.Join(err, saving.failed); err != nil {
		return nil, err
	}
	cpu = s.CPU() - cpu
	rate := float64(saving.bytes) / 1e6 / saving.took.Seconds()
	alone, together := percentile(idle, 99), percentile(beside, 99)
	return []Figure{
		{"disk's own rate", "MB/s", disk},
		{"rate", "MB/s", rate},
		{"disk's rate / snapshot's", "×", disk / rate},
		{"server CPU, puts included", "s/GB", cpu.Seconds() / (float64(saving.bytes) / 1e9)},
		{"put p99 alone", "ms", milliseconds(alone)},
		{"put p99 beside it", "ms", milliseconds(together)},
		{"put p99 beside it / alone", "×", float64(together) / float64(alone)},
		{"extra memory", "MB", (s.Memory("VmHWM") - resident) / 1e6},
	}, nil
}

// saved is what the snapshots of one measurement came to, once done is closed.
type saved struct {
	done   chan struct{}
	bytes  int64
	took   time.Duration
	failed error
}

// saveSnapshots writes one after the other to path: one at least, and until the puts alone would be over.
func saveSnapshots(s *Server, size int64, path string) *saved {
	all := &saved{done: make(chan struct{})}
	go func() {
		defer close(all.done)
		begin := time.Now()
		for all.bytes == 0 || time.Since(begin) < putTime {
			n, err := saveSnapshot(s, path)
			if err == nil && n < size {
				err = fmt.Errorf("the snapshot has only %d bytes", n)
			}
			if all.failed = err; err != nil {
				return
			}
			all.bytes += n
		}
		all.took = time.Since(begin)
	}()
	return all
}

// diskRate writes and syncs size bytes in the folder, in MB a second.
func diskRate(folder string, size int64) (float64, error) {
	path := filepath.Join(folder, "disk")
	defer os.Remove(path)
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	block := value(1 << 20)
	begin := time.Now()
	for written := int64(0); written < size; written += int64(len(block)) {
		if _, err := file.Write(block); err != nil {
			return 0, err
		}
	}
	if err := file.Sync(); err != nil {
		return 0, err
	}
	return float64(size) / 1e6 / time.Since(begin).Seconds(), nil
}

// saveSnapshot is what etcdctl does: everything into a file, and the file onto the disk.
func saveSnapshot(s *Server, path string) (int64, error) {
	conn := s.Dial()
	defer conn.Close()
	stream, err := pb.NewMaintenanceClient(conn).Snapshot(context.Background(), &pb.SnapshotRequest{})
	if err != nil {
		return 0, err
	}
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var size int64
	for {
		reply, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return size, err
		}
		n, err := file.Write(reply.Blob)
		size += int64(n)
		if err != nil {
			return size, err
		}
	}
	if size%512 != 32 {
		return size, fmt.Errorf("%d bytes end in no checksum", size)
	}
	if path == os.DevNull {
		return size, nil
	}
	return size, file.Sync()
}

// pacedPuts puts at fixed moments, each counted from when it was due, until limit is over or done is closed.
func pacedPuts(s *Server, limit time.Duration, done <-chan struct{}) ([]time.Duration, error) {
	clients := Connect(s, 4, 1)
	defer clients.Close()
	v := value(256)
	var lock sync.Mutex
	var latencies []time.Duration
	var failed error
	var group sync.WaitGroup
	begin := time.Now()
	for n := 0; ; n++ {
		due := begin.Add(time.Duration(n) * time.Second / putRate)
		if due.Sub(begin) >= limit {
			break
		}
		select {
		case <-done:
			limit = 0
			continue
		case <-time.After(time.Until(due)):
		}
		group.Go(func() {
			err := putOne(clients.conns[n%len(clients.conns)], n, v)
			took := time.Since(due)
			lock.Lock()
			defer lock.Unlock()
			latencies, failed = append(latencies, took), errors.Join(failed, err)
		})
	}
	group.Wait()
	return latencies, failed
}

func putOne(conn *grpc.ClientConn, n int, v []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "beside-%d", n%100), Value: v})
	return err
}
