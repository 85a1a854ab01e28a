package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports are drawn below those that the kernel gives to outgoing connections: a server that is killed must find its own free
// when it starts again, however many clients have connected meanwhile.
const (
	lowestPort  = 20_000
	highestPort = 32_000
	portTries   = 1_000
)

var (
	portsMu    sync.Mutex
	portsGiven = map[int]bool{}
)

// FreePorts draws ports that nobody listens on now, none of them twice in one process.
func FreePorts(count int) ([]int, error) {
	portsMu.Lock()
	defer portsMu.Unlock()
	ports := make([]int, 0, count)
	for range portTries {
		if len(ports) == count {
			return ports, nil
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil || portsGiven[port] {
			if err == nil {
				listener.Close()
			}
			continue
		}
		listener.Close()
		portsGiven[port] = true
		ports = append(ports, port)
	}
	if len(ports) == count {
		return ports, nil
	}
	return nil, errors.New("no free ports")
}
