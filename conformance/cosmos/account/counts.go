package account

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
)

// Count is what was asked of one kind in one region.
type Count struct {
	Region    string `json:"region"`
	Operation string `json:"operation"`
	Requests  int    `json:"requests"`
	// Sent is the bytes of the requests' bodies.
	Sent    int            `json:"sent"`
	Charge  float64        `json:"charge"`
	Answers map[string]int `json:"answers"`
}

// counts keeps them all.
type counts struct {
	mu  sync.Mutex
	all map[[2]string]*Count
}

func (c *counts) add(region, operation string, sent int, given *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[[2]string]*Count{}
	}
	key := [2]string{region, operation}
	count := c.all[key]
	if count == nil {
		count = &Count{Region: region, Operation: operation, Answers: map[string]int{}}
		c.all[key] = count
	}
	count.Requests++
	count.Sent += sent
	count.Charge += given.charge
	said := strconv.Itoa(given.status)
	if substatus := given.header.Get("x-ms-substatus"); substatus != "" {
		said += "/" + substatus
	}
	if given.lost {
		said = "lost"
	}
	count.Answers[said]++
}

// Counts are all requests since the last reset, by region and operation.
func (a *Account) Counts() []Count {
	c := &a.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Count
	for _, count := range c.all {
		one := *count
		one.Answers = map[string]int{}
		for said, times := range count.Answers {
			one.Answers[said] = times
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(x, y Count) int {
		return cmp.Or(cmp.Compare(x.Region, y.Region), cmp.Compare(x.Operation, y.Operation))
	})
	return all
}

// ResetCounts begins to count again.
func (a *Account) ResetCounts() {
	a.counts.mu.Lock()
	defer a.counts.mu.Unlock()
	a.counts.all = nil
}

// Sum is the requests and charges of an operation in all regions; of all operations if it is empty.
func Sum(all []Count, operation string) (requests int, charge float64) {
	for _, count := range all {
		if operation == "" || count.Operation == operation {
			requests += count.Requests
			charge += count.Charge
		}
	}
	return requests, charge
}
