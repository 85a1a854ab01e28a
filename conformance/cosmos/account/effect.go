package account

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// effect has the emulator do it, mends what it does otherwise than the service, and charges it.
func (a *Account) effect(r *Region, q *query) *answer {
	a.effects.RLock()
	defer a.effects.RUnlock()
	given, items, removed := a.served(r, q)
	given.header = clone(given.header)
	given.charge = a.price(q, given, items, removed)
	if q.writes() && q.ofItem() && strings.EqualFold(q.header.Get("Prefer"), "return=minimal") && given.status < 300 {
		given.body = nil
	}
	return given
}

func clone(h http.Header) http.Header {
	if h == nil {
		return http.Header{}
	}
	h = h.Clone()
	h.Del("Content-Length")
	h.Del("Content-Location")
	h.Set("x-ms-gatewayversion", "version=2.14.0")
	return h
}

// served is the answer, how many items it has, and how large the item was that it removed.
func (a *Account) served(r *Region, q *query) (given *answer, items, removed int) {
	switch {
	case !q.ofItem():
		return a.around(q), 0, 0
	case q.operation == search && spread(q.partition):
		given, items = a.everywhere(r, q)
		return given, items, 0
	case q.operation == search:
		given, items = a.page(r, q)
		return given, items, 0
	case q.operation == read:
		return a.point(r, q), 0, 0
	case q.operation == batch:
		return refusal(http.StatusBadRequest, 0, "the emulator's batches are not atomic, so there are none"), 0, 0
	}
	path, refused := a.upstream.home(q, "")
	if refused != nil {
		return refused, 0, 0
	}
	if q.operation == remove {
		removed = len(a.upstream.ask(http.MethodGet, path+"/docs/"+escape(q.id), q.header, nil).body)
	}
	return a.written(q, path), 0, removed
}

// around answers for databases, containers, throughput and the like.
func (a *Account) around(q *query) *answer {
	if strings.HasPrefix(q.path, "/offers") {
		return a.offers.answer(q)
	}
	given := a.upstream.ask(q.method, q.path+asked(q.raw), q.header, q.body)
	if strings.HasSuffix(q.path, "/pkranges") {
		// The service's ids are text; what is none a client cannot read, and asks again before each request.
		given.body = bytes.Replace(given.body, []byte(`"id":0`), []byte(`"id":"0"`), 1)
	}
	switch {
	case q.method == http.MethodDelete && given.status < 300:
		a.upstream.forget(q)
	case q.method == http.MethodPost && given.status == http.StatusCreated:
		a.offers.note(q, given)
	}
	return given
}

func asked(raw string) string {
	if raw == "" {
		return ""
	}
	return "?" + raw
}

// escape keeps what a path must not hold out of it.
func escape(id string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F", "?", "%3F", "#", "%23", " ", "%20").Replace(id)
}

// spread tells that a query names no partition.
func spread(partition string) bool {
	return partition == "" || partition == "[]" || partition == "[{}]"
}

// point reads one item. The emulator fails at one that is absent.
func (a *Account) point(r *Region, q *query) *answer {
	path, refused := a.upstream.home(q, r.shows())
	if refused != nil {
		return refused
	}
	given := a.upstream.ask(http.MethodGet, path+"/docs/"+escape(q.id), q.header, nil)
	if given.status == http.StatusInternalServerError && bytes.Contains(given.body, []byte("properties of undefined")) {
		return refusal(http.StatusNotFound, 0, "Entity with the specified id does not exist in the system.")
	}
	r.retag(given)
	return given
}

// replyLimit is the most that a page holds: https://learn.microsoft.com/azure/cosmos-db/concepts-limits
const replyLimit = 4 << 20

// page answers a query in one partition, no larger than the service would.
func (a *Account) page(r *Region, q *query) (*answer, int) {
	path, refused := a.upstream.home(q, r.shows())
	if refused != nil {
		return refused, 0
	}
	method, header := q.method, q.header.Clone()
	limit, err := strconv.Atoi(header.Get("x-ms-max-item-count"))
	if most := a.options.Page; most > 0 && (err != nil || limit <= 0 || limit > most) {
		limit = most
	}
	for {
		if limit > 0 {
			header.Set("x-ms-max-item-count", strconv.Itoa(limit))
		} else {
			header.Del("x-ms-max-item-count")
		}
		given := a.upstream.ask(method, path+"/docs", header, q.body)
		items, _ := strconv.Atoi(given.header.Get("x-ms-item-count"))
		if len(given.body) <= replyLimit || items <= 1 {
			return given, items
		}
		limit = items / 2
	}
}

// everywhere answers a query in all partitions, one after another, and does not sort.
func (a *Account) everywhere(r *Region, q *query) (*answer, int) {
	if bytes.Contains(bytes.ToUpper(q.body), []byte("ORDER BY")) {
		return refusal(http.StatusBadRequest, 0, "the proxy does not sort what is in several partitions"), 0
	}
	names, err := a.upstream.homes(q.database, q.container, r.shows())
	if err != nil {
		return refusal(http.StatusInternalServerError, 0, err.Error()), 0
	}
	header := q.header.Clone()
	header.Del("x-ms-max-item-count")
	header.Del("x-ms-continuation")
	header.Set("x-ms-documentdb-query-enablecrosspartition", "true")
	all := []json.RawMessage{}
	for _, name := range names {
		given := a.upstream.ask(q.method, "/dbs/"+q.database+besides+"/colls/"+name+"/docs", header, q.body)
		var some struct{ Documents []json.RawMessage }
		if given.status != http.StatusOK || json.Unmarshal(given.body, &some) != nil {
			return given, 0
		}
		all = append(all, some.Documents...)
	}
	reply := made(http.StatusOK, map[string]any{"Documents": all, "_count": len(all)})
	reply.header.Set("x-ms-item-count", strconv.Itoa(len(all)))
	return reply, len(all)
}

// written has the emulator write, and the regions that lag learn of it.
func (a *Account) written(q *query, path string) *answer {
	target := path + "/docs"
	if q.operation == replace || q.operation == remove {
		target += "/" + escape(q.id)
	}
	copies := a.copies()
	if len(copies) > 0 {
		// What reaches them must be in the order in which it took effect.
		a.order.Lock()
		defer a.order.Unlock()
	}
	given := a.upstream.ask(q.method, target, q.header, q.body)
	if given.status < 300 {
		for _, c := range copies {
			c.learn(q, given.header.Get("Etag"))
		}
	}
	return given
}
