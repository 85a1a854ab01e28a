package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/net/websocket"
)

// talk says something on a WebSocket and hears so many messages.
func talk(endpoint string, step Step, memory *Memory) (Answer, error) {
	config, err := websocket.NewConfig("ws://"+endpoint+step.Path, "http://"+endpoint)
	if err != nil {
		return Answer{}, err
	}
	for _, header := range step.Headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Protocol" {
			config.Protocol = strings.Split(memory.fill(value), ", ")
			continue
		}
		config.Header.Add(name, memory.fill(value))
	}
	socket, err := websocket.DialConfig(config)
	if err != nil {
		return Answer{Body: err.Error()}, nil
	}
	defer socket.Close()
	for _, message := range step.Say {
		if err := websocket.Message.Send(socket, message); err != nil {
			return Answer{}, err
		}
	}
	var heard strings.Builder
	socket.SetReadDeadline(time.Now().Add(patience))
	for range step.Lines {
		var message string
		if err := websocket.Message.Receive(socket, &message); err != nil {
			// etcd closes without a word, which the system may make a reset of.
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				heard.WriteString("the end")
			}
			break
		}
		heard.WriteString(canonical(message) + "\n")
	}
	return Answer{Body: heard.String()}, nil
}

// webSockets are streams of browsers.
func webSockets() []Step {
	watch := `{"create_request":{"key":"aw==","start_revision":"2"}}`
	quiet := `{"create_request":{"key":"aw=="}}`
	hello := func(method string, headers ...string) Step {
		return Step{Method: method, Path: "/v3/watch", Headers: append(headers, "Upgrade: websocket")}
	}
	key := "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	version := "Sec-WebSocket-Version: 13"
	ws := func(path string, lines int, say ...string) Step {
		return Step{Method: "WS", Path: path, Lines: lines, Say: say}
	}
	return []Step{
		put("k", "v"),
		ws("/v3/watch", 2, watch), ws("/v3beta/watch", 2, watch), ws("/v3/watch?method=GET", 1, watch),
		ws("/v3/watch", 4, quiet, `{"create_request":{"key":"aw==","watch_id":"5"}}`, `{"cancel_request":{"watch_id":"5"}}`),
		ws("/v3/watch", 2, `{"create_request":{`, `"key":"aw=="}}`), ws("/v3/watch", 1, ``), ws("/v3/watch", 2, quiet+quiet),
		ws("/v3/lease/keepalive", 2, `{"ID":"7"}`, `{"ID":8}`), ws("/v3/lease/keepalive", 1, `xx`), ws("/v3/nope", 2, `{}`),
		hello("GET", "Connection: Upgrade", key, version), hello("GET", "Connection: keep-alive, upgrade", key, version),
		hello("GET", "Connection: Upgrade", key, version, "Sec-WebSocket-Protocol: Bearer, a.1"),
		hello("GET", "Connection: Upgrade", key, version, "Sec-WebSocket-Protocol: chat"),
		hello("GET", "Connection: Upgrade", key), hello("GET", "Connection: Upgrade", version),
		hello("GET", "Connection: Upgrade", version, "Sec-WebSocket-Key: dGhl"), hello("POST", "Connection: Upgrade", key, version),
		hello("GET", key, version),
	}
}
