package account

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// answer is what a client gets, or does not get.
type answer struct {
	status int
	header http.Header
	body   []byte
	charge float64
	// lost tells that the connection ends instead; held is how long it stays open before, for ever if negative.
	lost bool
	held time.Duration
}

func lostAnswer() *answer { return &answer{lost: true} }

// refusal is a reply of the service's own, in the shape of its errors.
func refusal(status, substatus int, message string) *answer {
	body, err := json.Marshal(map[string]string{"code": http.StatusText(status), "message": message})
	if err != nil {
		panic(err)
	}
	a := &answer{status: status, header: http.Header{}, body: body}
	a.header.Set("Content-Type", "application/json")
	if substatus != 0 {
		a.header.Set("x-ms-substatus", strconv.Itoa(substatus))
	}
	return a
}

// made is a reply with a document that the account makes itself.
func made(status int, document any) *answer {
	body, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	a := &answer{status: status, header: http.Header{}, body: body}
	a.header.Set("Content-Type", "application/json")
	return a
}

// hold keeps a lost answer's connection open.
func (a *answer) hold(r *http.Request) {
	if a.held < 0 {
		<-r.Context().Done()
		return
	}
	pause(r, a.held)
}

func (a *answer) write(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	header.Set("x-ms-request-charge", strconv.FormatFloat(a.charge, 'f', 2, 64))
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	// A client that is gone needs no reply.
	_, _ = w.Write(a.body)
}
