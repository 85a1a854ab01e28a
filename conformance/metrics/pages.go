package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// pages are what probes and people ask, right and wrong.
var pages = []string{
	"GET /health", "GET /health?serializable=true", "GET /health?serializable=false",
	"GET /health?serializable=TRUE", "GET /health?exclude=NOSPACE", "GET /health?exclude=CORRUPT",
	"GET /health?exclude=NOSPACE&exclude=CORRUPT", "GET /health?exclude=nospace", "GET /health?exclude=",
	"GET /health/", "GET /healthz", "POST /health", "PUT /health", "HEAD /health", "DELETE /health",
	"OPTIONS /health",
	"GET /livez", "GET /livez/", "GET /livez?verbose", "GET /livez?verbose=true", "GET /livez?verbose=false",
	"GET /livez?exclude=serializable_read", "GET /livez?exclude=serializable_read&verbose",
	"GET /livez?exclude=nope&verbose", "GET /livez?exclude=", "GET /livez/serializable_read",
	"GET /livez/serializable_read?verbose", "GET /livez/serializable_read?verbose&exclude=serializable_read",
	"GET /livez/non_learner", "GET /livez/serializable_read/", "HEAD /livez", "POST /livez",
	"POST /livez/serializable_read", "POST /livez/nope", "OPTIONS /livez",
	"GET /readyz", "GET /readyz/", "GET /readyz?verbose", "GET /readyz?exclude=data_corruption",
	"GET /readyz?exclude=data_corruption&exclude=linearizable_read&exclude=non_learner&verbose",
	"GET /readyz?exclude=data_corruption,linearizable_read&verbose",
	"GET /readyz/data_corruption?verbose", "GET /readyz/serializable_read?verbose",
	"GET /readyz/linearizable_read?verbose", "GET /readyz/non_learner?verbose", "GET /readyz/nope",
	"HEAD /readyz", "POST /readyz", "DELETE /readyz/data_corruption",
	"GET /livez?verbose;exclude=a", "GET /livez?%zz&verbose", "GET /livez?verbose&%zz", "GET /livez?a=b;c&verbose",
	"GET //livez", "GET /livez//serializable_read?verbose", "GET /readyz/../livez", "GET /./livez", "POST //livez",
	"GET /version", "POST /version", "HEAD /version", "GET /version/", "GET /", "GET /nope", "POST /nope",
	"HEAD /nope", "GET /metrics/",
}

// Page is an answer: the code, the headers that mean something, the body.
type Page struct {
	Status  int
	Headers []string
	Body    string
}

// fetch asks one of the pages.
func fetch(endpoint, page string) (Page, error) {
	method, path, _ := strings.Cut(page, " ")
	request, err := http.NewRequest(method, "http://"+endpoint+path, nil)
	if err != nil {
		return Page{}, err
	}
	client := http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return Page{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Page{}, err
	}
	answer := Page{Status: response.StatusCode, Body: string(body)}
	for name, values := range response.Header {
		if name != "Date" {
			answer.Headers = append(answer.Headers, fmt.Sprint(name, values))
		}
	}
	slices.Sort(answer.Headers)
	// etcd lists its checks in an order that it draws anew for every request.
	lines := strings.SplitAfter(answer.Body, "\n")
	if strings.Contains(path, "z") && len(lines) > 3 {
		slices.Sort(lines)
		answer.Body = strings.Join(lines, "")
	}
	return answer, nil
}

// comparePages lists the pages that differ.
func comparePages(etcd, other string) ([]string, error) {
	var wrong []string
	for _, page := range pages {
		want, err := fetch(etcd, page)
		if err != nil {
			return nil, fmt.Errorf("etcd, %s: %w", page, err)
		}
		got, err := fetch(other, page)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", page, err))
			continue
		}
		if fmt.Sprint(want) != fmt.Sprint(got) {
			wrong = append(wrong, fmt.Sprintf("%s:\n  etcd %+v\n  not  %+v", page, want, got))
		}
	}
	return wrong, nil
}
