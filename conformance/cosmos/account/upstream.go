package account

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// upstream is the emulator. Its queries look at every item of a container, whatever partition they ask for, so each
// partition has a container of its own there, in a database beside the one that the client sees: a query sees its partition
// alone, and takes as long as that is large.
type upstream struct {
	url    string
	client *http.Client

	mu    sync.Mutex
	known map[string]bool
}

func newUpstream(url string) *upstream {
	return &upstream{url: url, known: map[string]bool{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024}}}
}

// passed are the headers that mean something to the emulator.
var passed = []string{"A-Im", "Content-Type", "If-Match", "If-None-Match", "X-Ms-Documentdb-Partitionkey", "X-Ms-Documentdb-Isquery",
	"X-Ms-Documentdb-Is-Upsert", "X-Ms-Max-Item-Count",
	"X-Ms-Continuation", "X-Ms-Documentdb-Query-Enablecrosspartition"}

// ask sends a request on; that the emulator cannot be asked is a 503.
func (u *upstream) ask(method, path string, header http.Header, body []byte) *answer {
	request, err := http.NewRequest(method, u.url+path, bytes.NewReader(body))
	if err != nil {
		return refusal(http.StatusBadRequest, 0, err.Error())
	}
	for _, name := range passed {
		if values := header[name]; len(values) > 0 {
			request.Header[name] = values
		}
	}
	reply, err := u.client.Do(request)
	if err != nil {
		return refusal(http.StatusServiceUnavailable, 0, "the emulator: "+err.Error())
	}
	defer reply.Body.Close()
	given, err := io.ReadAll(reply.Body)
	if err != nil {
		return refusal(http.StatusServiceUnavailable, 0, "the emulator: "+err.Error())
	}
	reply.Header.Del("Connection")
	reply.Header.Del("Keep-Alive")
	return &answer{status: reply.StatusCode, header: reply.Header, body: given}
}

const (
	// besides names the database where the partitions of another are.
	besides = "~items"
	// ofPartition stands between a container's name and that of a partition.
	ofPartition = "~"
)

// home is the path of the container where a partition's items are; it is made when it is first asked for. Of a container that
// does not exist there is the emulator's answer instead.
func (u *upstream) home(q *query, of string) (string, *answer) {
	sum := sha256.Sum256([]byte(q.partition))
	database := q.database + besides
	name := q.container + ofPartition + of + hex.EncodeToString(sum[:8])
	path := "/dbs/" + database + "/colls/" + name
	u.mu.Lock()
	known := u.known[path]
	u.mu.Unlock()
	if known {
		return path, nil
	}
	shown := u.ask(http.MethodGet, "/dbs/"+q.database+"/colls/"+q.container, nil, nil)
	if shown.status != http.StatusOK {
		return "", refusal(http.StatusNotFound, 1003, "Owner resource does not exist")
	}
	var container struct {
		PartitionKey json.RawMessage `json:"partitionKey"`
	}
	if err := json.Unmarshal(shown.body, &container); err != nil {
		return "", refusal(http.StatusInternalServerError, 0, err.Error())
	}
	made := u.ask(http.MethodPost, "/dbs", nil, fmt.Appendf(nil, `{"id":%q}`, database))
	if made.status == http.StatusCreated || made.status == http.StatusConflict {
		made = u.ask(http.MethodPost, "/dbs/"+database+"/colls", nil,
			fmt.Appendf(nil, `{"id":%q,"partitionKey":%s}`, name, container.PartitionKey))
	}
	if made.status != http.StatusCreated && made.status != http.StatusConflict {
		return "", made
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.known[path] = true
	return path, nil
}

// homes are the names of all containers that hold a container's items, or one lagging region's copy of them.
func (u *upstream) homes(database, container, of string) ([]string, error) {
	shown := u.ask(http.MethodGet, "/dbs/"+database+besides+"/colls", nil, nil)
	if shown.status == http.StatusNotFound {
		return nil, nil
	}
	var list struct{ DocumentCollections []struct{ ID string } }
	if err := json.Unmarshal(shown.body, &list); err != nil {
		return nil, err
	}
	var names []string
	for _, each := range list.DocumentCollections {
		rest, found := strings.CutPrefix(each.ID, container+ofPartition+of)
		// A copy's name goes on with that of its region.
		if found && (of != "" || !strings.Contains(rest, ofPartition)) {
			names = append(names, each.ID)
		}
	}
	return names, nil
}

// forget removes what is kept of a container, or of a whole database.
func (u *upstream) forget(q *query) {
	parts := strings.Split(strings.Trim(q.path, "/"), "/")
	u.mu.Lock()
	u.known = map[string]bool{}
	u.mu.Unlock()
	switch {
	case len(parts) == 2 && parts[0] == "dbs":
		u.ask(http.MethodDelete, "/dbs/"+parts[1]+besides, nil, nil)
	case len(parts) == 4 && parts[2] == "colls":
		// An emulator that cannot list has nothing to forget.
		names, _ := u.homes(parts[1], parts[3], "")
		for _, name := range names {
			u.ask(http.MethodDelete, "/dbs/"+parts[1]+besides+"/colls/"+name, nil, nil)
		}
	}
}
