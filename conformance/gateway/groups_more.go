package main

import "fmt"

func leases() []Step {
	return []Step{
		post("/v3/lease/grant", `{"TTL":"100","ID":"7"}`), post("/v3/lease/grant", `{"TTL":100,"ID":7}`),
		post("/v3/lease/grant", `{"TTL":"100"}`), post("/v3/lease/grant", `{}`), post("/v3/lease/grant", `{"TTL":"9000000001"}`),
		post("/v3/kv/put", `{"key":"YQ==","lease":"7"}`), post("/v3/kv/put", `{"key":"Yg==","lease":7}`),
		post("/v3/kv/range", `{"key":"YQ=="}`),
		post("/v3/lease/timetolive", `{"ID":"9"}`), post("/v3/kv/lease/timetolive", `{"ID":9,"keys":true}`),
		post("/v3/lease/revoke", `{"ID":"9"}`), post("/v3/kv/lease/revoke", `{}`),
		stream("/v3/lease/keepalive", ``, 2), stream("/v3/lease/keepalive", `xx`, 2),
		stream("/v3/lease/keepalive", `{"ID":"7"}`, 3), stream("/v3/lease/keepalive", `{"ID":"7"}{"ID":8} {"ID":"7"}`, 5),
		stream("/v3/lease/keepalive", `{"ID":"7"}x{"ID":8}`, 3), stream("/v3/lease/keepalive", `{"ID":"x"}`, 2),
		stream("/v3/lease/keepalive", `{}`, 2), stream("/v3/lease/keepalive", `null`, 2), stream("/v3/lease/keepalive", `{"ID":"7"`, 2),
		stream("/v3beta/lease/keepalive", `{"ID":"7"}`, 2),
		post("/v3/kv/lease/revoke", `{"ID":"7"}`), post("/v3/kv/range", `{"key":"YQ=="}`), post("/v3/lease/revoke", `{"ID":7}`),
	}
}

func watches() []Step {
	write := put("k", "<v>")
	remove := post("/v3/kv/deleterange", `{"key":"aw=="}`)
	late := Step{Method: "POST", Path: "/v3/watch", Lines: 2, Headers: []string{"Grpc-Timeout: 300m"},
		Body: `{"create_request":{"key":"aw=="}}`}
	return []Step{
		stream("/v3/watch", ``, 1), stream("/v3/watch", `{}`, 1), stream("/v3/watch", `xx`, 1), stream("/v3/watch", `[]`, 1),
		stream("/v3/watch", `{"create_request":{"key":"aw=="}}`, 3, write, remove),
		stream("/v3/watch", `{"createRequest":{"key":"aw==","prevKv":true,"filters":["NODELETE"]}}`, 2, write, remove),
		stream("/v3/watch", `{"create_request":{"key":"aw==","start_revision":"2"}}`, 2),
		stream("/v3/watch", `{"create_request":{"key":"aw==","filters":["NOPE"]}}`, 2),
		stream("/v3/watch", `{"create_request":{"key":"aw==","watch_id":"5"}}{"create_request":{"key":"aw==","watch_id":5}}`, 2),
		stream("/v3/watch", `{"create_request":{"key":"aw==","watch_id":"5"}}`+"\n"+`{"cancel_request":{"watch_id":"5"}}`, 2),
		{Method: "POST", Path: "/v3/watch", Lines: 2, Unordered: true,
			Body: `{"create_request":{"key":"aw=="}}{"progress_request":{}}`},
		stream("/v3/watch", `{"create_request":{"key":"aw==","start_revision":"-1"}}`, 1),
		stream("/v3/watch", `{"create_request":{"key":"aw==","start_revision":"99"}}`, 1),
		stream("/v3/watch", `{"create_request":{}}`, 1),
		stream("/v3/watch", `{"create_request":{"key":"aw=="},"cancel_request":{}}`, 1),
		stream("/v3/watch", `{"create_request":{"key":"aw=="}} oops`, 2, write),
		late,
		post("/v3/kv/compaction", `{"revision":"3"}`),
		stream("/v3/watch", `{"create_request":{"key":"aw==","start_revision":"2"}}`, 2),
		stream("/v3beta/watch", `{"create_request":{"key":"AA==","range_end":"AA=="}}`, 2, write),
	}
}

func maintenance() []Step {
	return []Step{
		post("/v3/maintenance/status", `{}`), post("/v3/maintenance/defragment", `{}`), post("/v3/maintenance/hashkv", `{}`),
		post("/v3/maintenance/alarm", `{"action":"ACTIVATE","memberID":"5","alarm":"NOSPACE"}`),
		post("/v3/maintenance/alarm", `{"action":"GET"}`), post("/v3/maintenance/alarm", `{"action":0,"alarm":"CORRUPT"}`),
		put("a", "1"), post("/v3/lease/grant", `{"TTL":9}`),
		post("/v3/maintenance/status", `{}`),
		post("/v3/maintenance/alarm", `{"action":2,"memberID":5,"alarm":1}`), put("a", "1"),
		post("/v3/maintenance/alarm", `{"action":"ACTIVATE","memberID":"5","alarm":"CORRUPT"}`), put("a", "1"),
		post("/v3/kv/range", `{"key":"YQ=="}`),
		post("/v3/maintenance/alarm", `{"action":"DEACTIVATE","memberID":"5","alarm":"CORRUPT"}`),
		stream("/v3/maintenance/snapshot", `{}`, 1),
		post("/v3/maintenance/transfer-leadership", `{}`), post("/v3/maintenance/transfer-leadership", `{"targetID":"5"}`),
		post("/v3/maintenance/downgrade", `{}`), post("/v3/maintenance/downgrade", `{"action":"CANCEL"}`),
		post("/v3/maintenance/downgrade", `{"action":"VALIDATE","version":"3.6.0"}`),
		post("/v3/maintenance/downgrade", `{"action":"VALIDATE","version":"3.0.0"}`),
	}
}

func members() []Step {
	return []Step{
		post("/v3/cluster/member/list", `{}`), post("/v3/cluster/member/list", `{"linearizable":true}`),
		post("/v3/cluster/member/remove", `{"ID":"5"}`), post("/v3/cluster/member/update", `{"ID":"5","peerURLs":["http://a:1"]}`),
		post("/v3/cluster/member/promote", `{"ID":"5"}`), post("/v3/cluster/member/add", `{"peerURLs":["x"]}`),
		post("/v3/cluster/member/add", `{}`),
	}
}

func locks() []Step {
	lock := post("/v3/lock/lock", `{"name":"bG9jaw==","lease":"7"}`)
	return []Step{
		post("/v3/lease/grant", `{"TTL":"100","ID":"7"}`), lock, lock,
		post("/v3/kv/range", `{"key":"bG9jay83"}`), post("/v3/lock/unlock", `{"key":"bG9jay83"}`), post("/v3/lock/unlock", `{}`),
		post("/v3/lock/lock", `{"name":"bG9jaw==","lease":"99"}`), post("/v3/lock/lock", `{"name":"b3RoZXI="}`),
		post("/v3/lock/lock", `{"name":1}`),
	}
}

func elections() []Step {
	return []Step{
		post("/v3/election/leader", `{"name":"ZQ=="}`), post("/v3/lease/grant", `{"TTL":"100","ID":"7"}`),
		post("/v3/election/campaign", `{"name":"ZQ==","lease":"7","value":"djE="}`), post("/v3/election/leader", `{"name":"ZQ=="}`),
		stream("/v3/election/observe", `{"name":"ZQ=="}`, 1),
		post("/v3/election/proclaim", `{"leader":{"name":"ZQ==","key":"ZS83","rev":"2","lease":"7"},"value":"djI="}`),
		post("/v3/election/proclaim", `{}`), post("/v3/election/resign", `{}`),
		post("/v3/election/resign", `{"leader":{"name":"ZQ==","key":"ZS83","rev":"2","lease":"7"}}`),
		post("/v3/election/leader", `{"name":"ZQ=="}`),
		post("/v3/election/campaign", `{"name":"ZQ==","lease":"99"}`),
	}
}

func users() []Step {
	steps := []Step{
		post("/v3/auth/status", `{}`), post("/v3/auth/enable", `{}`), post("/v3/auth/authenticate", `{"name":"a","password":"b"}`),
		post("/v3/auth/user/get", `{"name":"a"}`), post("/v3/auth/role/get", `{"role":"a"}`), post("/v3/auth/user/add", `{}`),
		post("/v3/auth/user/add", `{"name":"root","password":"r"}`), post("/v3/auth/user/add", `{"name":"root","password":"r"}`),
		post("/v3/auth/role/add", `{"name":"root"}`), post("/v3/auth/user/grant", `{"user":"root","role":"root"}`),
		post("/v3/auth/user/add", `{"name":"u","options":{"no_password":false},"password":"p"}`),
		post("/v3/auth/role/add", `{"name":"r"}`), post("/v3/auth/role/grant", `{"name":"r"}`),
		post("/v3/auth/role/grant", `{"name":"r","perm":{"permType":"READ","key":"YQ==","range_end":"Yg=="}}`),
		post("/v3/auth/user/grant", `{"user":"u","role":"r"}`), post("/v3/auth/user/get", `{"name":"u"}`),
		post("/v3/auth/role/get", `{"role":"r"}`), post("/v3/auth/user/list", `{}`), post("/v3/auth/role/list", `{}`),
		post("/v3/auth/enable", `{}`), post("/v3/auth/status", `{}`), post("/v3/kv/range", `{"key":"YQ=="}`),
		post("/v3/kv/range", `{"key":"YQ=="}`, "Authorization: nonsense"), post("/v3/auth/authenticate", `{"name":"u","password":"x"}`),
		{Method: "POST", Path: "/v3/auth/authenticate", Body: `{"name":"u","password":"p"}`, Remember: "token"},
	}
	for _, header := range []string{"Authorization: $token", "Authorization: Bearer $token", "Grpc-Metadata-Token: $token",
		"Grpc-Metadata-Authorization: $token", "Token: $token"} {
		steps = append(steps, post("/v3/kv/range", `{"key":"YQ=="}`, header), post("/v3/kv/put", `{"key":"YQ=="}`, header))
	}
	steps = append(steps,
		Step{Method: "POST", Path: "/v3/watch", Body: `{"create_request":{"key":"YQ=="}}`, Lines: 1},
		Step{Method: "POST", Path: "/v3/watch", Body: `{"create_request":{"key":"YQ=="}}`, Lines: 1, Headers: []string{"Authorization: $token"}},
		Step{Method: "POST", Path: "/v3/watch", Body: `{"create_request":{"key":"eg=="}}`, Lines: 1, Headers: []string{"Authorization: $token"}},
		Step{Method: "WS", Path: "/v3/watch", Say: []string{`{"create_request":{"key":"YQ=="}}`}, Lines: 1, Headers: []string{"Protocol: Bearer, $token"}},
		Step{Method: "WS", Path: "/v3/watch", Say: []string{`{"create_request":{"key":"YQ=="}}`}, Lines: 1, Headers: []string{"Cookie: token=$token"}},
		Step{Method: "POST", Path: "/v3/maintenance/snapshot", Body: `{}`, Lines: 2},
		Step{Method: "POST", Path: "/v3/maintenance/snapshot", Body: `{}`, Lines: 2, Headers: []string{"Authorization: nonsense"}},
		Step{Method: "POST", Path: "/v3/lease/keepalive", Body: `{"ID":1}`, Lines: 2, Headers: []string{"Authorization: nonsense"}},
		Step{Method: "POST", Path: "/v3/auth/authenticate", Body: `{"name":"root","password":"r"}`, Remember: "token"})
	for _, route := range []string{"auth/user/list", "auth/user/get", "auth/user/changepw", "auth/user/revoke", "auth/role/revoke",
		"auth/role/delete", "auth/user/delete", "auth/disable", "auth/status"} {
		body := `{"name":"u","user":"u","role":"r","password":"q","key":"YQ==","range_end":"Yg=="}`
		steps = append(steps, post("/v3/"+route, body), post("/v3/"+route, body, "Authorization: $token"))
	}
	return append(steps, post("/v3/auth/user/list", fmt.Sprintf(`{"unknown":%q}`, "x")))
}
