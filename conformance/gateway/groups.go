package main

import (
	"encoding/base64"
	"fmt"
	"strings"
)

func groups() []Group {
	return []Group{
		{Name: "routes", Steps: everyRoute()},
		{Name: "keys", Steps: keys()},
		{Name: "json", Steps: wrongJSON()},
		{Name: "http", Steps: plainHTTP()},
		{Name: "leases", Steps: leases()},
		{Name: "watches", Steps: watches()},
		{Name: "websockets", Steps: webSockets()},
		{Name: "maintenance", Steps: maintenance()},
		{Name: "members", Steps: members()},
		{Name: "locks", Steps: locks()},
		{Name: "elections", Steps: elections()},
		{Name: "users", Steps: users()},
		{Name: "without", Args: []string{"--enable-grpc-gateway=false"}, Steps: without()},
		{Name: "access", Args: []string{"--cors=https://a.example:1", "--host-whitelist=127.0.0.1"}, Steps: access()},
	}
}

func post(path, body string, headers ...string) Step {
	return Step{Method: "POST", Path: path, Body: body, Headers: headers}
}

func stream(path, body string, lines int, during ...Step) Step {
	return Step{Method: "POST", Path: path, Body: body, Lines: lines, During: during}
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func put(key, value string) Step {
	return post("/v3/kv/put", fmt.Sprintf(`{"key":%q,"value":%q}`, b64(key), b64(value)))
}

// unaryRoutes are answered at once, whatever they are asked.
var unaryRoutes = []string{
	"kv/range", "kv/put", "kv/deleterange", "kv/txn", "kv/compaction",
	"lease/grant", "lease/revoke", "kv/lease/revoke", "lease/timetolive", "kv/lease/timetolive",
	"lease/leases", "kv/lease/leases",
	"cluster/member/add", "cluster/member/remove", "cluster/member/update", "cluster/member/list",
	"cluster/member/promote",
	"maintenance/alarm", "maintenance/status", "maintenance/defragment", "maintenance/hash",
	"maintenance/hashkv", "maintenance/transfer-leadership", "maintenance/downgrade",
	"auth/enable", "auth/disable", "auth/status", "auth/authenticate", "auth/user/add", "auth/user/get",
	"auth/user/list", "auth/user/delete", "auth/user/changepw", "auth/user/grant", "auth/user/revoke",
	"auth/role/add", "auth/role/get", "auth/role/list", "auth/role/delete", "auth/role/grant",
	"auth/role/revoke",
	"lock/lock", "lock/unlock",
	"election/campaign", "election/proclaim", "election/leader", "election/resign",
}

var streamRoutes = []string{"watch", "lease/keepalive", "maintenance/snapshot", "election/observe"}

// everyRoute sees that each path is there, under both its names, for POST alone, and reads JSON.
func everyRoute() []Step {
	var steps []Step
	for _, route := range unaryRoutes {
		steps = append(steps,
			post("/v3/"+route, `{"`),
			post("/v3beta/"+route, `[1]`),
			Step{Method: "GET", Path: "/v3/" + route})
	}
	for _, route := range streamRoutes {
		steps = append(steps,
			Step{Method: "GET", Path: "/v3/" + route},
			Step{Method: "PUT", Path: "/v3beta/" + route})
	}
	return append(steps,
		post("/v3/maintenance/snapshot", `nul`),
		post("/v3/election/observe", `{"name":1}`),
		post("/v3/kv/rangestream", `{}`),
		post("/v3/kv", `{}`),
		post("/v3/", `{}`),
		post("/v3/cluster/member/list", `{}`),
		post("/v3/maintenance/alarm", `{}`),
		post("/v3/lease/leases", ``),
		post("/v3/auth/status", `{}`),
		post("/v3/kv/range", `{"key":"AA==","range_end":"AA=="}`),
	)
}

// without has the gateway switched off.
func without() []Step {
	return []Step{
		post("/v3/kv/range", `{}`), post("/v3beta/kv/range", `{}`), post("/v3/nope", `{}`),
		{Method: "GET", Path: "/v3"}, {Method: "GET", Path: "/v3/"}, {Method: "OPTIONS", Path: "/v3/kv/range"},
		{Method: "GET", Path: "/version"},
	}
}

// access has few names and few origins.
func access() []Step {
	body := `{"key":"YQ=="}`
	return []Step{
		post("/v3/kv/range", body),
		post("/v3/kv/range", body, "Origin: https://a.example:1"),
		post("/v3/kv/range", body, "Origin: https://b.example"),
		post("/v3/kv/range", `[`, "Origin: https://a.example:1"),
		stream("/v3/lease/keepalive", `{"ID":1}`, 2),
		{Method: "OPTIONS", Path: "/v3/kv/put", Headers: []string{"Origin: https://a.example:1"}},
	}
}

// plainHTTP is what stands around the JSON.
func plainHTTP() []Step {
	body := `{"key":"YQ=="}`
	large := strings.Repeat("x", 3_000_000)
	half := strings.Repeat("x", 1_700_000)
	return []Step{
		put("a", "1"),
		{Method: "GET", Path: "/v3"}, {Method: "POST", Path: "/v3"}, {Method: "GET", Path: "/v3beta"},
		{Method: "GET", Path: "/v3/"}, {Method: "HEAD", Path: "/v3/kv/range"}, {Method: "DELETE", Path: "/v3/kv/put"},
		{Method: "PATCH", Path: "/v3/kv/put"}, {Method: "OPTIONS", Path: "/v3/kv/put"},
		{Method: "OPTIONS", Path: "/v3/nope"}, {Method: "GET", Path: "/v3/nope"},
		post("/v3/kv/range/", body), post("/v3//kv/range", body), post("/v3/kv/../kv/range", body),
		post("/v3beta//kv/range", body), post("/V3/kv/range", body), post("/v3/KV/range", body),
		post("/v3/kv/%72ange", body), post("/v3/kv%2Frange", body), post("/v3/kv/range?limit=1", body),
		post("/v3/kv/range:x", body), post("/v3alpha/kv/range", body), post("/v4/kv/range", body),
		{Method: "GET", Path: "/config/local/log"}, {Method: "PUT", Path: "/config/local/log", Body: `{"Level":"DEBUG"}`},
		{Method: "POST", Path: "/debug/vars"}, {Method: "GET", Path: "/debug/vars/"}, {Method: "HEAD", Path: "/debug/vars"},
		{Method: "GET", Path: "/debug"}, {Method: "GET", Path: "/debug/pprof/"}, {Method: "GET", Path: "/v2/keys"},
		post("/v3/kv/range", body, "Content-Type: text/plain"),
		post("/v3/kv/range", body, "Content-Type: application/x-www-form-urlencoded"),
		post("/v3/kv/range", body, "Content-Type: ;;;"),
		post("/v3/kv/range", body, "Accept: text/html"),
		post("/v3/kv/range", body, "Content-Type: application/x-www-form-urlencoded", "X-HTTP-Method-Override: get"),
		post("/v3/kv/range", body, "Content-Type: application/x-www-form-urlencoded", "X-HTTP-Method-Override: post"),
		post("/v3/kv/range", body, "X-HTTP-Method-Override: GET"),
		post("/v3/kv/range", body, "Grpc-Timeout: 5S"), post("/v3/kv/range", body, "Grpc-Timeout: 1n"),
		post("/v3/kv/range", body, "Grpc-Timeout: x"), post("/v3/kv/range", body, "Grpc-Timeout: 0S"),
		post("/v3/kv/range", body, "Grpc-Timeout: -1S"), post("/v3/kv/range", body, "Grpc-Timeout: 5"),
		post("/v3/kv/range", body, "Grpc-Timeout: 1.5S"), post("/v3/nope", body, "Grpc-Timeout: x"),
		post("/v3/kv/range", body, "Grpc-Metadata-A-Bin: x"), post("/v3/kv/range", body, "Grpc-Metadata-A-Bin: YQ=="),
		post("/v3/kv/range", body, "Grpc-Metadata-A-Bin: YQ"), post("/v3/kv/range", body, "Grpc-Metadata-A-Bin: Y!=="),
		post("/v3/kv/range", body, "Grpc-Metadata-Hasleader: true"), post("/v3/kv/range", body, "Authorization: nobody"),
		post("/v3/kv/range", body, "Grpc-Metadata-Token: nobody"), post("/v3/kv/range", body, "TE: trailers"),
		post("/v3/kv/range", body, "Cookie: a=b", "Accept-Language: de", "X-Forwarded-For: 10.0.0.1"),
		post("/v3/kv/put", fmt.Sprintf(`{"key":"YQ==","value":%q}`, b64(large))),
		post("/v3/kv/put", fmt.Sprintf(`{"key":"YQ==","value":%q}`, b64(half))),
		post("/v3/kv/put", fmt.Sprintf(`{"key":"Yg==","value":%q}`, b64(half[:1_000_000]))),
		{Method: "POST", Path: "/v3/kv/range", Body: `{"key":"Yg=="}`},
	}
}
