package account

import (
	"math"
	"strings"
	"testing"
	"time"
)

// Every fault is really produced: what the client is told, and if the item is there afterwards.
func TestStrikes(t *testing.T) {
	c := begin(t, Options{})
	for _, want := range []struct {
		kind      Kind
		status    int
		substatus string
		effect    bool
	}{
		{LostReply, 0, "", true}, {LostRequest, 0, "", false}, {Throttled, 429, "3200", false}, {RetryWith, 449, "", false},
		{TimedOut, 408, "", false}, {TimedOutAfter, 408, "", true}, {Gone, 410, "1002", false}, {Unavailable, 503, "", false},
		{UnavailableAfter, 503, "", true}, {WriteForbidden, 403, "3", false}, {Broken, 500, "", false},
	} {
		id := string(want.kind)
		if err := c.Strike(Strike{Kind: want.kind, Operation: create, Count: 1}); err != nil {
			t.Fatal(err)
		}
		got := c.create(west, "p", id)
		if want.status == 0 {
			c.lost(got)
		} else if c.must(got, want.status); got.header.Get("x-ms-substatus") != want.substatus {
			t.Fatal(want.kind, got)
		}
		exists := 404
		if want.effect {
			exists = 200
		}
		c.must(c.read(west, "p", id), exists)
	}
	if got := c.must(c.create(west, "p", "after"), 201); got.header.Get("x-ms-request-charge") != "5.50" {
		t.Fatal(got)
	}
}

func TestSilence(t *testing.T) {
	c := begin(t, Options{})
	c.client.Timeout = 100 * time.Millisecond
	for kind, there := range map[Kind]int{Silent: 404, SilentAfter: 200} {
		if err := c.Strike(Strike{Kind: kind, Operation: create, Count: 1}); err != nil {
			t.Fatal(err)
		}
		if got := c.create(west, "p", string(kind)); got.err == nil || !strings.Contains(got.err.Error(), "deadline") {
			t.Fatal(got)
		}
		c.must(c.read(west, "p", string(kind)), there)
	}
}

func TestLateEffect(t *testing.T) {
	c := begin(t, Options{})
	if err := c.Strike(Strike{Kind: Late, Operation: create, Count: 1, Wait: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	c.lost(c.create(west, "p", "1"))
	c.must(c.read(west, "p", "1"), 404)
	c.within(2*time.Second, "it takes effect", func() bool { return c.read(west, "p", "1").status == 200 })
}

func TestStrikesEnd(t *testing.T) {
	c := begin(t, Options{})
	if err := c.Strike(Strike{Kind: Throttled, For: 100 * time.Millisecond, Region: north}); err != nil {
		t.Fatal(err)
	}
	c.must(c.read(west, "p", "1"), 404)
	c.must(c.read(north, "p", "1"), 429)
	c.within(time.Second, "it is over", func() bool { return c.read(north, "p", "1").status == 404 })
	if err := c.Strike(Strike{Kind: Throttled, Share: 0.5}); err != nil {
		t.Fatal(err)
	}
	struck := 0
	for range 200 {
		if c.must(c.read(west, "p", "1"), 404, 429).status == 429 {
			struck++
		}
	}
	if struck < 60 || struck > 140 {
		t.Fatal(struck)
	}
	c.Heal()
	c.must(c.read(west, "p", "1"), 404)
}

func TestBlackout(t *testing.T) {
	c := begin(t, Options{})
	if err := c.Fail("", LostRequest); err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{west, north} {
		c.lost(c.ask(region, "GET", "/", "", ""))
		c.lost(c.read(region, "p", "1"))
	}
	if err := c.Fail(north, ""); err != nil {
		t.Fatal(err)
	}
	c.must(c.read(north, "p", "1"), 404)
	c.lost(c.create(west, "p", "1"))
	c.Heal()
	c.must(c.create(west, "p", "1"), 201)
}

func TestThroughput(t *testing.T) {
	c := begin(t, Options{Throughput: 55})
	taken, refused := 0, 0
	for i := range 40 {
		switch got := c.must(c.create(west, "p", strings.Repeat("i", i+1)), 201, 429); got.status {
		case 201:
			taken++
		case 429:
			refused++
			if got.header.Get("x-ms-substatus") != "3200" || got.header.Get("x-ms-retry-after-ms") == "" {
				t.Fatal(got)
			}
		}
	}
	// One second's units at once, and what the time that this took has granted.
	if taken < 10 || refused == 0 {
		t.Fatal(taken, refused)
	}
	c.SetThroughput(0)
	c.must(c.create(west, "p", "free"), 201)
}

func TestCharges(t *testing.T) {
	near := func(got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 0.01 {
			t.Fatalf("%v, not %v", got, want)
		}
	}
	const kilobyte = 1024
	near(readPrice(100), 1)
	near(readPrice(kilobyte), 1)
	near(readPrice(100*kilobyte), 10)
	near(writePrice(kilobyte), 5.5)
	near(writePrice(100*kilobyte), 50)
	for level, factor := range map[string]float64{Strong: 2, BoundedStaleness: 2, Session: 1} {
		t.Run(level, func(t *testing.T) {
			c := begin(t, Options{Consistency: level})
			c.must(c.create(west, "p", "1"), 201)
			c.must(c.create(west, "p", "1"), 409)
			c.must(c.read(west, "p", "1"), 200)
			c.must(c.read(west, "p", "2"), 404)
			c.search(west, "p")
			c.must(c.ask(west, "DELETE", c.items()+"/1", "p", ""), 204)
			for operation, want := range map[string]float64{create: 6.5, read: 2 * factor, search: 2.4 * factor, remove: 5.5} {
				if _, got := Sum(c.Counts(), operation); math.Abs(got-want) > 0.02 {
					t.Fatalf("%s: %v, not %v", operation, got, want)
				}
			}
			if requests, _ := Sum(c.Counts(), ""); requests != 6 {
				t.Fatal(c.Counts())
			}
		})
	}
}

func TestLag(t *testing.T) {
	c := begin(t, Options{Consistency: BoundedStaleness})
	const lag = 400 * time.Millisecond
	c.must(c.create(west, "p", "old"), 201)
	if err := c.Lag(north, lag); err != nil {
		t.Fatal(err)
	}
	c.must(c.read(north, "p", "old"), 200)
	began := time.Now()
	c.must(c.create(west, "p", "new"), 201)
	c.must(c.ask(west, "DELETE", c.items()+"/old", "p", ""), 204)
	c.must(c.create(west, "q", "another"), 201)
	tag := c.must(c.read(west, "p", "new"), 200).header.Get("Etag")
	c.must(c.read(west, "p", "old"), 404)
	if ids, _ := c.search(north, "p"); len(ids) != 1 || ids[0] != "old" {
		t.Fatal(ids)
	}
	c.must(c.read(north, "p", "new"), 404)
	c.must(c.read(north, "p", "old"), 200)
	if took := time.Since(began); took > lag {
		t.Skipf("this machine took %v for ten requests", took)
	}
	c.within(5*time.Second, "north catches up", func() bool { return c.read(north, "q", "another").status == 200 })
	if took := time.Since(began); took < lag {
		t.Fatal(took)
	}
	c.must(c.read(north, "p", "old"), 404)
	if got := c.must(c.read(north, "p", "new"), 200); got.header.Get("Etag") != tag || !strings.Contains(got.body, tag) {
		t.Fatal(got, tag)
	}
	c.must(c.create(west, "p", "last"), 201)
	c.must(c.read(north, "p", "last"), 404)
	if err := c.Lag(north, 0); err != nil {
		t.Fatal(err)
	}
	c.must(c.read(north, "p", "last"), 200)
}
