package main

import (
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// checkPings has a restless client ping both, and compares when and with what words it is let go.
func checkPings(b binaries) (wrong []string, err error) {
	for _, arg := range []string{"--grpc-keepalive-min-time=5s", "--grpc-keepalive-min-time=1ms", "--grpc-keepalive-min-time=0s"} {
		var ends [2]string
		for i, binary := range []string{b.etcd, b.meridian} {
			server, err := serve(binary, arg)
			if err != nil {
				return nil, err
			}
			ends[i], err = ping(server.address)
			server.stop()
			if err != nil {
				return nil, err
			}
		}
		if ends[0] != ends[1] || !strings.Contains(ends[0], "too_many_pings") {
			wrong = append(wrong, fmt.Sprintf("%s: %s, not %s", arg, ends[1], ends[0]))
		}
	}
	return wrong, nil
}

// ping pings, without a call, until it is let go: how often, and the last words.
func ping(address string) (string, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		return "", err
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return "", err
	}
	for count := 1; count <= 20; count++ {
		if err := framer.WritePing(false, [8]byte{byte(count)}); err != nil {
			return "", err
		}
		for acknowledged := false; !acknowledged; {
			frame, err := framer.ReadFrame()
			if err != nil {
				return "", err
			}
			switch frame := frame.(type) {
			case *http2.PingFrame:
				acknowledged = frame.IsAck() && frame.Data[0] == byte(count)
				time.Sleep(5 * time.Millisecond)
			case *http2.GoAwayFrame:
				return fmt.Sprintf("%v %q", frame.ErrCode, frame.DebugData()), nil
			}
		}
	}
	return "never", nil
}
