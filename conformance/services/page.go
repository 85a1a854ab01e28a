package main

import (
	"io"
	"net/http"
)

// page is a web page of the client port.
func page(path string) step {
	return step{path, func(s *side) string {
		reply, err := http.Get("http://" + s.server.Endpoint + path)
		if err != nil {
			return err.Error()
		}
		defer reply.Body.Close()
		body, err := io.ReadAll(reply.Body)
		if err != nil {
			return err.Error()
		}
		return reply.Status + " " + string(body)
	}}
}
