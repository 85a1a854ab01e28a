package account

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// offers are the throughput of databases and containers, which the emulator does not know:
// https://learn.microsoft.com/rest/api/cosmos-db/offers
type offers struct {
	mu  sync.Mutex
	all map[string]*offer
}

type offer struct {
	ID       string       `json:"id"`
	RID      string       `json:"_rid"`
	Self     string       `json:"_self"`
	Version  string       `json:"offerVersion"`
	Type     string       `json:"offerType"`
	Resource string       `json:"offerResourceId"`
	Link     string       `json:"resource"`
	Content  offerContent `json:"content"`
}

type offerContent struct {
	Throughput int             `json:"offerThroughput"`
	Autopilot  json.RawMessage `json:"offerAutopilotSettings,omitempty"`
}

// note keeps the throughput that a database or container was made with.
func (o *offers) note(q *query, given *answer) {
	fixed, scaled := q.header.Get("x-ms-offer-throughput"), q.header.Get("x-ms-cosmos-offer-autopilot-settings")
	if fixed == "" && scaled == "" {
		return
	}
	var resource struct {
		RID  string `json:"_rid"`
		Self string `json:"_self"`
	}
	if json.Unmarshal(given.body, &resource) != nil {
		return
	}
	name := strings.ToLower(resource.RID)
	next := &offer{ID: name, RID: name, Self: "offers/" + name + "/", Version: "V2", Type: "Invalid",
		Resource: resource.RID, Link: resource.Self}
	next.Content.Throughput, _ = strconv.Atoi(fixed)
	if scaled != "" {
		var settings struct {
			Max int `json:"maxThroughput"`
		}
		// What is not settings is as good as none.
		_ = json.Unmarshal([]byte(scaled), &settings)
		next.Content.Throughput, next.Content.Autopilot = settings.Max/10, json.RawMessage(scaled)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[string]*offer{}
	}
	o.all[name] = next
}

// answer finds the offers of one resource, or changes one.
func (o *offers) answer(q *query) *answer {
	o.mu.Lock()
	defer o.mu.Unlock()
	name := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(q.path, "/offers"), "/"))
	if name != "" {
		return o.one(q, o.all[name])
	}
	found := []*offer{}
	for _, each := range o.all {
		if q.method == http.MethodGet || strings.Contains(string(q.body), each.Resource) {
			found = append(found, each)
		}
	}
	return made(http.StatusOK, map[string]any{"Offers": found, "_count": len(found), "_rid": ""})
}

func (o *offers) one(q *query, found *offer) *answer {
	if found == nil {
		return refusal(http.StatusNotFound, 0, "there is no such offer")
	}
	if q.method == http.MethodPut {
		var next offer
		if err := json.Unmarshal(q.body, &next); err != nil {
			return refusal(http.StatusBadRequest, 0, err.Error())
		}
		found.Content = next.Content
	}
	return made(http.StatusOK, found)
}
