package account

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"conformance/cosmos/emulator"
)

// shared is one emulator for all tests; each has a database of its own in it.
var shared *emulator.Emulator

func TestMain(m *testing.M) {
	var err error
	if shared, err = emulator.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	shared.Stop()
	os.Exit(code)
}

const (
	west  = "West Europe"
	north = "North Europe"
)

// tester asks an account as a client would.
type tester struct {
	*testing.T
	*Account
	database string
	key      string
	client   *http.Client
}

func begin(t *testing.T, options Options) *tester {
	t.Helper()
	options.Upstream = shared.URL
	a, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	c := &tester{T: t, Account: a, key: options.Key, client: &http.Client{Timeout: 2 * time.Second},
		database: strings.ReplaceAll(t.Name(), "/", "-")}
	t.Cleanup(func() { c.must(c.ask(west, "DELETE", "/dbs/"+c.database, "", ""), 204, 401) })
	c.must(c.ask(west, "POST", "/dbs", "", fmt.Sprintf(`{"id":%q}`, c.database)), 201)
	c.must(c.ask(west, "POST", "/dbs/"+c.database+"/colls", "", `{"id":"c","partitionKey":{"paths":["/pk"],"kind":"Hash"}}`), 201)
	c.ResetCounts()
	return c
}

type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

func (c *tester) ask(region, method, path, partition, body string, headers ...string) reply {
	c.Helper()
	r, err := c.Region(region)
	if err != nil {
		c.Fatal(err)
	}
	request, err := http.NewRequest(method, strings.TrimSuffix(r.URL(), "/")+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	if partition != "" {
		request.Header.Set("x-ms-documentdb-partitionkey", fmt.Sprintf("[%q]", partition))
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	request.Header.Set("x-ms-date", date)
	kind, link := (&query{path: path}).signed()
	request.Header.Set("Authorization", url.QueryEscape("type=master&ver=1.0&sig="+Sign(c.key, method, kind, link, date)))
	// A connection that is used again would have the client send a lost request twice.
	request.Close = true
	answer, err := c.client.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, answer.Header, string(text), err}
}

func (c *tester) must(r reply, statuses ...int) reply {
	c.Helper()
	for _, status := range statuses {
		if r.err == nil && r.status == status {
			return r
		}
	}
	c.Fatalf("want %v: %d %s %v", statuses, r.status, r.body, r.err)
	return r
}

func (c *tester) items() string { return "/dbs/" + c.database + "/colls/c/docs" }

func (c *tester) create(region, partition, id string) reply {
	c.Helper()
	return c.ask(region, "POST", c.items(), partition, fmt.Sprintf(`{"id":%q,"pk":%q,"n":%q}`, id, partition, id))
}

func (c *tester) read(region, partition, id string) reply {
	c.Helper()
	return c.ask(region, "GET", c.items()+"/"+id, partition, "")
}

// search asks for all items of a partition, page by page, and says how many pages there were.
func (c *tester) search(region, partition string) (ids []string, pages int) {
	c.Helper()
	next := ""
	for {
		headers := []string{"x-ms-documentdb-isquery", "true", "Content-Type", "application/query+json"}
		if next != "" {
			headers = append(headers, "x-ms-continuation", next)
		}
		r := c.must(c.ask(region, "POST", c.items(), partition, `{"query":"SELECT c.id FROM c WHERE c.n >= @n ORDER BY c.n",`+
			`"parameters":[{"name":"@n","value":""}]}`, headers...), 200)
		var page struct{ Documents []struct{ ID string } }
		if err := json.Unmarshal([]byte(r.body), &page); err != nil {
			c.Fatal(err)
		}
		for _, each := range page.Documents {
			ids = append(ids, each.ID)
		}
		pages++
		if next = r.header.Get("x-ms-continuation"); next == "" {
			return ids, pages
		}
	}
}

// within waits until something holds.
func (c *tester) within(limit time.Duration, what string, holds func() bool) {
	c.Helper()
	for began := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > limit {
			c.Fatalf("not in %v: %s", limit, what)
		}
	}
}

func (c *tester) lost(r reply) {
	c.Helper()
	if r.err == nil || !errors.Is(r.err, io.EOF) && !strings.Contains(r.err.Error(), "reset") {
		c.Fatalf("the connection should have ended: %d %v", r.status, r.err)
	}
}

func TestItemsAreCreatedOnce(t *testing.T) {
	c := begin(t, Options{})
	c.must(c.read(west, "p", "1"), 404)
	c.must(c.create(west, "p", "1"), 201)
	c.must(c.create(west, "p", "1"), 409)
	c.must(c.create(west, "other", "1"), 201)
	if got := c.must(c.read(north, "p", "1"), 200); !strings.Contains(got.body, `"pk":"p"`) {
		t.Fatal(got.body)
	}
	if ids, _ := c.search(north, "p"); fmt.Sprint(ids) != "[1]" {
		t.Fatal(ids)
	}
	c.must(c.ask(west, "DELETE", c.items()+"/1", "p", ""), 204)
	c.must(c.read(west, "p", "1"), 404)
	c.must(c.read(west, "other", "1"), 200)
	short := c.must(c.ask(west, "POST", c.items(), "p", `{"id":"2","pk":"p"}`, "Prefer", "return=minimal"), 201)
	if short.body != "" || short.header.Get("Etag") == "" {
		t.Fatalf("%v %q", short.header, short.body)
	}
	if missing := c.must(c.ask(west, "GET", "/dbs/"+c.database+"/colls/none/docs/1", "p", ""), 404); missing.header.Get("x-ms-substatus") != "1003" {
		t.Fatal(missing)
	}
	c.must(c.ask(west, "POST", c.items(), "p", `{"id":"3","pk":"p","n":"`+strings.Repeat("x", itemLimit)+`"}`), 413)
}

// Clients read what partitions there are as a feed, until it has no more.
func TestPartitionsAreAFeed(t *testing.T) {
	c := begin(t, Options{})
	path := "/dbs/" + c.database + "/colls/c/pkranges"
	first := c.must(c.ask(west, "GET", path, "", "", "A-IM", "Incremental Feed"), 200)
	if !strings.Contains(first.body, `"id":"0"`) {
		t.Fatal(first.body)
	}
	c.must(c.ask(west, "GET", path, "", "", "A-IM", "Incremental Feed", "If-None-Match", first.header.Get("Etag")), 304)
}

func TestPages(t *testing.T) {
	c := begin(t, Options{Page: 3})
	for i := range 10 {
		c.must(c.create(west, "p", fmt.Sprintf("%02d", i)), 201)
	}
	ids, pages := c.search(west, "p")
	if len(ids) != 10 || ids[0] != "00" || ids[9] != "09" || pages != 4 {
		t.Fatal(ids, pages)
	}
}

func TestDocumentNamesTheRegions(t *testing.T) {
	c := begin(t, Options{Consistency: BoundedStaleness})
	read := func() string { return c.must(c.ask(west, "GET", "/", "", ""), 200).body }
	writable := func(body string) string {
		var document struct {
			WritableLocations []location
			ReadableLocations []location
		}
		if err := json.Unmarshal([]byte(body), &document); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %s %d", len(document.WritableLocations), document.WritableLocations[0].Name, len(document.ReadableLocations))
	}
	first := read()
	if writable(first) != "1 West Europe 2" || !strings.Contains(first, `"defaultConsistencyLevel":"BoundedStaleness"`) {
		t.Fatal(first)
	}
	if _, err := c.AddRegion("UK South", 0); err != nil {
		t.Fatal(err)
	}
	if writable(read()) != "1 West Europe 3" {
		t.Fatal(read())
	}
	c.must(c.create(west, "p", "1"), 201)
	c.must(c.read("UK South", "p", "1"), 200)
	if err := c.RemoveRegion(north); err != nil {
		t.Fatal(err)
	}
	if gone := c.must(c.read(north, "p", "1"), 403); gone.header.Get("x-ms-substatus") != "1008" {
		t.Fatal(gone)
	}
	if writable(read()) != "1 West Europe 2" || c.RemoveRegion(west) == nil {
		t.Fatal(read())
	}
	if _, err := c.AddRegion(north, 0); err != nil {
		t.Fatal(err)
	}
	c.must(c.read(north, "p", "1"), 200)
}

func TestWritesMove(t *testing.T) {
	c := begin(t, Options{})
	if refused := c.must(c.create(north, "p", "0"), 403); refused.header.Get("x-ms-substatus") != "3" {
		t.Fatal(refused)
	}
	done := make(chan error, 1)
	go func() { done <- c.MoveWrites(north, 300*time.Millisecond, Unavailable) }()
	c.within(time.Second, "the old region refuses", func() bool { return c.create(west, "p", "1").status == 503 })
	c.must(c.create(north, "p", "1"), 403)
	c.must(c.read(west, "p", "1"), 404)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.must(c.create(west, "p", "2"), 403)
	c.must(c.create(north, "p", "2"), 201)
	behind, err := http.Get(c.URL() + "dbs")
	if err != nil || behind.StatusCode != 200 {
		t.Fatal(behind, err)
	}
	behind.Body.Close()
	if counts := c.Counts(); counts[0].Region != north || counts[0].Operation != metadata && counts[1].Operation != metadata {
		t.Fatal(counts)
	}
	if err := c.MoveWrites(west, 0, WriteForbidden); err != nil {
		t.Fatal(err)
	}
	c.must(c.create(west, "p", "3"), 201)
}

func TestKeys(t *testing.T) {
	const first, second = "c2VjcmV0IG9uZQ==", "c2VjcmV0IHR3bw=="
	c := begin(t, Options{Key: first})
	c.must(c.create(west, "p", "a b/c"), 201)
	c.must(c.ask(west, "GET", c.items()+"/1", "p", ""), 404)
	c.must(c.ask(west, "GET", "/", "", ""), 200)
	c.SetKey(second)
	c.must(c.read(west, "p", "1"), 401)
	c.key = second
	c.must(c.read(west, "p", "1"), 404)
	old := &query{method: "GET", path: "/", header: http.Header{}}
	date := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	old.header.Set("x-ms-date", date)
	old.header.Set("Authorization", url.QueryEscape("type=master&ver=1.0&sig="+Sign(second, "GET", "", "", date)))
	if old.provenWith(second, time.Now()) || !old.provenWith(second, time.Now().Add(-time.Hour)) {
		t.Fatal("a signature of an hour ago")
	}
}

func TestDelay(t *testing.T) {
	c := begin(t, Options{Delay: 40 * time.Millisecond})
	began := time.Now()
	c.must(c.read(west, "p", "1"), 404)
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Fatal(took)
	}
}

func TestControl(t *testing.T) {
	c := begin(t, Options{})
	send := func(method, path string) (int, string) {
		w := &recorder{header: http.Header{}}
		r, err := http.NewRequest(method, "http://control"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Control().ServeHTTP(w, r)
		return w.status, w.text.String()
	}
	if status, text := send("POST", "/strike?kind=retry-with&operation=create&count=1&wait=7ms"); status != 0 && status != 200 {
		t.Fatal(status, text)
	}
	if struck := c.must(c.create(west, "p", "1"), 449); struck.header.Get("x-ms-retry-after-ms") != "7" {
		t.Fatal(struck)
	}
	c.must(c.create(west, "p", "1"), 201)
	_, text := send("GET", "/counts")
	var all []Count
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	if requests, _ := Sum(all, create); requests != 2 || all[0].Answers["449"] != 1 || all[0].Answers["201"] != 1 {
		t.Fatal(text)
	}
	for _, wrong := range []string{"/strike?kind=none", "/strike?kind=gone&region=Mars", "/writes?to=Mars", "/fail?how=late",
		"/delay?by=long", "/throughput?to=much", "/regions/remove?name=Mars"} {
		if status, _ := send("POST", wrong); status != 400 {
			t.Fatal(wrong, status)
		}
	}
}

type recorder struct {
	header http.Header
	status int
	text   bytes.Buffer
}

func (r *recorder) Header() http.Header            { return r.header }
func (r *recorder) WriteHeader(status int)         { r.status = status }
func (r *recorder) Write(text []byte) (int, error) { return r.text.Write(text) }
