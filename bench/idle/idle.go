package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// leaseID is the lease that all streams keep alive.
const leaseID = 77

// idle are connections whose streams say nothing.
type idle struct{ connections []net.Conn }

func watchMessage(connection, stream int) []byte {
	create := &pb.WatchCreateRequest{Key: fmt.Appendf(nil, "idle/%d/%d", connection, stream)}
	return framed(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})
}

func keepAliveMessage(int, int) []byte { return framed(&pb.LeaseKeepAliveRequest{ID: leaseID}) }

func framed(message proto.Message) []byte {
	body, err := proto.Marshal(message)
	if err != nil {
		panic(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

// openAll opens everything, some connections at a time, and waits until each stream was answered.
func openAll(address string, one kind) (*idle, error) {
	all := &idle{}
	var lock sync.Mutex
	var group sync.WaitGroup
	failed := make(chan error, one.connections)
	room := make(chan struct{}, 16)
	for n := range one.connections {
		group.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			conn, err := openOne(address, one, n)
			if err != nil {
				failed <- err
				return
			}
			lock.Lock()
			all.connections = append(all.connections, conn)
			lock.Unlock()
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		all.close()
		return nil, err
	default:
		return all, nil
	}
}

func (i *idle) close() {
	for _, conn := range i.connections {
		conn.Close()
	}
}

// openOne opens a connection and its streams; from then on it answers pings only.
func openOne(address string, one kind, number int) (net.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, conn)
	// A window that the answers of all streams fit.
	err = framer.WriteSettings()
	if err == nil {
		err = framer.WriteWindowUpdate(0, 1<<30)
	}
	if err != nil {
		return nil, err
	}
	for n := range one.streams {
		if err := openStream(framer, address, one, number, n); err != nil {
			return nil, err
		}
	}
	answered := make(chan error, 1)
	go hear(conn, one.streams, answered)
	if _, err := conn.Write(out.Bytes()); err != nil {
		return nil, err
	}
	select {
	case err := <-answered:
		return conn, err
	case <-time.After(2 * time.Minute):
		return nil, fmt.Errorf("connection %d was not answered in two minutes", number)
	}
}

func openStream(framer *http2.Framer, address string, one kind, connection, stream int) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0)
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", one.path},
		{":authority", address}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return err
		}
	}
	id := uint32(2*stream + 1)
	head := http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true}
	if err := framer.WriteHeaders(head); err != nil {
		return err
	}
	return framer.WriteData(id, false, one.message(connection, stream))
}

// hear reads until the connection ends, and says when so many streams were answered (or the settings, if none).
func hear(conn net.Conn, streams int, answered chan<- error) {
	framer := http2.NewFramer(conn, conn)
	heard := map[uint32]bool{}
	settled := false
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			if err != io.EOF {
				err = fmt.Errorf("after %d answers: %w", len(heard), err)
			}
			select {
			case answered <- err:
			default:
			}
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				framer.WriteSettingsAck()
				settled = true
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				framer.WritePing(true, frame.Data)
			}
		case *http2.DataFrame:
			heard[frame.StreamID] = true
		case *http2.RSTStreamFrame:
			select {
			case answered <- fmt.Errorf("stream %d was reset: %v", frame.StreamID, frame.ErrCode):
			default:
			}
		}
		if settled && len(heard) >= streams && answered != nil {
			select {
			case answered <- nil:
			default:
			}
		}
	}
}
