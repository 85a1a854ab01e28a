package account

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// What a request is, for counting and for striking.
const (
	accountRead = "account"
	metadata    = "metadata"
	read        = "read"
	create      = "create"
	replace     = "replace"
	upsert      = "upsert"
	remove      = "delete"
	search      = "query"
	batch       = "batch"
)

// itemLimit is the most that an item may be: https://learn.microsoft.com/azure/cosmos-db/concepts-limits
const itemLimit = 2 << 20

// query is one request, taken apart.
type query struct {
	operation string
	method    string
	path      string
	raw       string
	header    http.Header
	body      []byte
	// database, container, partition and id are those of an item, where there is one; the partition is its key as JSON.
	database, container, partition, id string
}

// parse reads a request to its end.
func parse(r *http.Request) (*query, *answer) {
	path := "/" + strings.Trim(r.URL.EscapedPath(), "/")
	q := &query{method: r.Method, path: path, raw: r.URL.RawQuery, header: r.Header, operation: metadata}
	body, err := io.ReadAll(io.LimitReader(r.Body, itemLimit+1))
	if err != nil {
		return q, lostAnswer()
	}
	q.body = body
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case path == "/":
		q.operation = accountRead
	case len(parts) >= 5 && parts[0] == "dbs" && parts[2] == "colls" && parts[4] == "docs":
		q.ofItems(parts)
	}
	if len(body) > itemLimit {
		return q, refusal(http.StatusRequestEntityTooLarge, 0, "Request size is too large")
	}
	return q, nil
}

func (q *query) ofItems(parts []string) {
	q.database, q.container = parts[1], parts[3]
	q.partition = q.header.Get("x-ms-documentdb-partitionkey")
	if len(parts) > 5 {
		q.id, _ = url.PathUnescape(parts[5])
	}
	switch {
	case q.method == http.MethodGet && q.id != "":
		q.operation = read
	case q.method == http.MethodGet:
		q.operation = search
	case q.method == http.MethodDelete:
		q.operation = remove
	case q.method == http.MethodPut || q.method == http.MethodPatch:
		q.operation = replace
	case q.says("x-ms-documentdb-isquery") || strings.HasPrefix(q.header.Get("Content-Type"), "application/query+json"):
		q.operation = search
	case q.says("x-ms-cosmos-is-batch-request"):
		q.operation = batch
	case q.says("x-ms-documentdb-is-upsert"):
		q.operation = upsert
	default:
		q.operation = create
	}
}

func (q *query) says(header string) bool { return strings.EqualFold(q.header.Get(header), "true") }

// ofItem tells a request for items from one for what is around them.
func (q *query) ofItem() bool { return q.container != "" }

// writes tells whether only the write region may do it.
func (q *query) writes() bool {
	switch q.operation {
	case create, replace, upsert, remove, batch:
		return true
	case metadata:
		return q.method != http.MethodGet && !q.says("x-ms-documentdb-isquery")
	}
	return false
}
