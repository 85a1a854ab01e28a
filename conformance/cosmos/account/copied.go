package account

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// copied is what a region that lags shows: a copy of everything, which learns of each write some time after it, in order.
type copied struct {
	account *Account
	region  string
	lag     time.Duration
	ended   chan struct{}

	mu    sync.Mutex
	queue []lesson
	// tags are what the write region calls the versions of the copy's items.
	tags  map[string]string
	woken chan struct{}
}

// lesson is one write on its way.
type lesson struct {
	*query
	tag string
	due time.Time
}

// Lag makes a region show what was written so long ago; everything at once if zero.
func (a *Account) Lag(name string, lag time.Duration) error {
	r, err := a.Region(name)
	if err != nil {
		return err
	}
	// Nothing is under way while a copy begins or ends.
	a.effects.Lock()
	defer a.effects.Unlock()
	a.mu.Lock()
	old := r.copy
	a.mu.Unlock()
	var next *copied
	if lag > 0 {
		next = &copied{account: a, region: name, lag: lag, ended: make(chan struct{}), tags: map[string]string{},
			woken: make(chan struct{}, 1)}
		if err := next.seed(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		go next.follow()
	}
	if old != nil {
		old.stop()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r.copy = next
	return nil
}

// shows is the mark of the containers that the region reads.
func (r *Region) shows() string {
	if c := r.copyNow(); c != nil {
		return c.mark()
	}
	return ""
}

func (r *Region) copyNow() *copied {
	r.account.mu.Lock()
	defer r.account.mu.Unlock()
	return r.copy
}

// copies are those of all regions that lag.
func (a *Account) copies() []*copied {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []*copied
	for _, r := range a.regions {
		if r.copy != nil && !r.gone {
			all = append(all, r.copy)
		}
	}
	return all
}

// mark is in the names of the copy's containers.
func (c *copied) mark() string { return strings.ReplaceAll(c.region, " ", "") + ofPartition }

func (c *copied) stop() { close(c.ended) }

// seed copies all that there is.
func (c *copied) seed() error {
	u := c.account.upstream
	var list struct{ Databases []struct{ ID string } }
	if err := json.Unmarshal(u.ask(http.MethodGet, "/dbs", nil, nil).body, &list); err != nil {
		return err
	}
	for _, database := range list.Databases {
		if name, found := strings.CutSuffix(database.ID, besides); found {
			if err := c.seedFrom(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *copied) seedFrom(database string) error {
	u, inside := c.account.upstream, "/dbs/"+database+besides+"/colls"
	var list struct {
		DocumentCollections []struct {
			ID           string
			PartitionKey json.RawMessage
		}
	}
	if err := json.Unmarshal(u.ask(http.MethodGet, inside, nil, nil).body, &list); err != nil {
		return err
	}
	for _, each := range list.DocumentCollections {
		container, partition, _ := strings.Cut(each.ID, ofPartition)
		if strings.Contains(partition, ofPartition) {
			continue
		}
		name := container + ofPartition + c.mark() + partition
		// One that was here before may be out of date.
		u.ask(http.MethodDelete, inside+"/"+name, nil, nil)
		u.ask(http.MethodPost, inside, nil, fmt.Appendf(nil, `{"id":%q,"partitionKey":%s}`, name, each.PartitionKey))
		if err := c.seedItems(inside+"/"+each.ID, inside+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

func (c *copied) seedItems(from, to string) error {
	u := c.account.upstream
	var list struct{ Documents []json.RawMessage }
	if err := json.Unmarshal(u.ask(http.MethodGet, from+"/docs", nil, nil).body, &list); err != nil {
		return err
	}
	for _, item := range list.Documents {
		var was struct {
			Tag string `json:"_etag"`
		}
		if err := json.Unmarshal(item, &was); err != nil {
			return err
		}
		given := u.ask(http.MethodPost, to+"/docs", nil, item)
		if given.status != http.StatusCreated {
			return fmt.Errorf("an item of the copy: %d %s", given.status, given.body)
		}
		c.tags[given.header.Get("Etag")] = was.Tag
	}
	return nil
}

// learn queues a write that took effect.
func (c *copied) learn(q *query, tag string) {
	c.mu.Lock()
	c.queue = append(c.queue, lesson{q, tag, time.Now().Add(c.lag)})
	c.mu.Unlock()
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// follow writes into the copy what is due, in order.
func (c *copied) follow() {
	for {
		c.mu.Lock()
		waits := time.Hour
		var next *lesson
		if len(c.queue) > 0 {
			if waits = time.Until(c.queue[0].due); waits <= 0 {
				next = &c.queue[0]
				c.queue = slices.Clone(c.queue[1:])
			}
		}
		c.mu.Unlock()
		if next != nil {
			c.apply(next)
			continue
		}
		select {
		case <-c.ended:
			return
		case <-c.woken:
		case <-time.After(waits):
		}
	}
}

func (c *copied) apply(next *lesson) {
	u := c.account.upstream
	path, refused := u.home(next.query, c.mark())
	if refused != nil {
		// The container is gone, and its items with it.
		return
	}
	target, header := path+"/docs", next.header.Clone()
	if next.operation == replace || next.operation == remove {
		target += "/" + escape(next.id)
	}
	header.Del("If-Match")
	header.Del("If-None-Match")
	given := u.ask(next.method, target, header, next.body)
	if given.status >= 300 {
		panic(fmt.Sprintf("the copy of %s differs: %s of %s is answered %d %s", c.region, next.operation, next.id,
			given.status, given.body))
	}
	if tag := given.header.Get("Etag"); tag != "" {
		c.mu.Lock()
		c.tags[tag] = next.tag
		c.mu.Unlock()
	}
}

// retag calls an item's version as the write region does.
func (r *Region) retag(given *answer) {
	c := r.copyNow()
	tag := given.header.Get("Etag")
	if c == nil || tag == "" {
		return
	}
	c.mu.Lock()
	original := c.tags[tag]
	c.mu.Unlock()
	given.header.Set("Etag", original)
	given.body = bytes.Replace(given.body, []byte(tag), []byte(original), 1)
}
