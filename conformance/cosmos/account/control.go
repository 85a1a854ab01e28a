package account

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Control is what can be asked of the account over HTTP while it serves:
//
//	GET  /counts                                requests and charges by region and operation; POST /counts/reset
//	POST /strike?kind=&operation=&region=&share=&count=&for=&wait=      a fault begins
//	POST /heal                                  all faults end
//	POST /fail?region=&how=                     a region, or all without a name, answers only so; how= nothing ends it
//	POST /writes?to=&away=&how=                 the write region moves; answers when it has
//	POST /regions/add?name=  /regions/remove?name=
//	POST /lag?region=&by=                       a region shows what was written so long ago
//	POST /key?to=  /delay?by=  /throughput?to=
func (a *Account) Control() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// A client that is gone needs no reply.
		_ = json.NewEncoder(w).Encode(a.Counts())
	})
	for path, do := range a.commands() {
		routes.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := do(r.URL.Query()); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			fmt.Fprintln(w, "done")
		})
	}
	return routes
}

func (a *Account) commands() map[string]func(url.Values) error {
	return map[string]func(url.Values) error{
		"/counts/reset": func(url.Values) error { a.ResetCounts(); return nil },
		"/heal":         func(url.Values) error { a.Heal(); return nil },
		"/strike":       a.strikeAsked,
		"/fail":         func(v url.Values) error { return a.Fail(v.Get("region"), Kind(v.Get("how"))) },
		"/writes": func(v url.Values) error {
			away, err := length(v, "away")
			if err != nil {
				return err
			}
			return a.MoveWrites(v.Get("to"), away, Kind(v.Get("how")))
		},
		"/regions/add": func(v url.Values) error {
			_, err := a.AddRegion(v.Get("name"), 0)
			return err
		},
		"/regions/remove": func(v url.Values) error { return a.RemoveRegion(v.Get("name")) },
		"/lag": func(v url.Values) error {
			by, err := length(v, "by")
			if err != nil {
				return err
			}
			return a.Lag(v.Get("region"), by)
		},
		"/key": func(v url.Values) error { a.SetKey(v.Get("to")); return nil },
		"/delay": func(v url.Values) error {
			by, err := length(v, "by")
			a.SetDelay(by)
			return err
		},
		"/throughput": func(v url.Values) error {
			rate, err := strconv.ParseFloat(v.Get("to"), 64)
			a.SetThroughput(rate)
			return err
		},
	}
}

func (a *Account) strikeAsked(v url.Values) (err error) {
	s := Strike{Kind: Kind(v.Get("kind")), Operation: v.Get("operation"), Region: v.Get("region")}
	if share := v.Get("share"); share != "" {
		if s.Share, err = strconv.ParseFloat(share, 64); err != nil {
			return err
		}
	}
	if count := v.Get("count"); count != "" {
		if s.Count, err = strconv.Atoi(count); err != nil {
			return err
		}
	}
	if s.For, err = length(v, "for"); err != nil {
		return err
	}
	if s.Wait, err = length(v, "wait"); err != nil {
		return err
	}
	return a.Strike(s)
}

// length reads a duration; none is zero.
func length(v url.Values, name string) (time.Duration, error) {
	if v.Get(name) == "" {
		return 0, nil
	}
	return time.ParseDuration(v.Get(name))
}
