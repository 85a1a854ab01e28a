package main

import (
	"fmt"
	"strings"
)

// wrongJSON is everything that can be said wrongly, and some of what is right though it looks wrong.
func wrongJSON() []Step {
	bodies := []string{
		``, ` `, "\n\n", `{}`, `null`, `true`, `"a"`, `1`, `-`, `01`, `1 2`, `nope`, `tru`, `[`, `[]`, `{`, `{"`, `{"a`, `{"a"`,
		`{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{a:1}`, `{'a':1}`, `{"a" 1}`, `{"a":1]`, `[1}`, `{"a":01}`, `{"a":1.}`,
		`{"a":1e}`, `{"a":+1}`, `{"a":.5}`, `{"a":NaN}`, `{"a":nul}`, `{"a":"` + "\n" + `"}`, `{"a":"\x"}`, `{"a":"\u12"}`,
		`{"a":"\u12g4"}`, "{\"a\":\"\x01\"}", "{\"\xff\":1}", "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}", "\x00", "\x7f", "é", "\xa0", `'`,
		`{"key":"YQ=="}x`, `{"key":"YQ=="}}`, `{"key":"YQ=="}{"key":`, `1x`,
		`{"key":1}`, `{"key":true}`, `{"key":{}}`, `{"key":[]}`, `{"key":null}`, `{"key":"?"}`, `{"key":"YQ"}`, `{"key":"YQ="}`,
		`{"key":"YQ==="}`, `{"key":"YR=="}`, `{"key":"Y"}`, `{"key":"-_8="}`, `{"key":"-_8"}`, `{"key":"+_8="}`, `{"key":"Y Q="}`,
		`{"key":"Y\nQ=="}`, `{"key":"Y\nQ\n="}`, `{"key":"YQ==","key":"YQ=="}`, `{"key":"YQ==","\u006bey":"YQ=="}`,
		`{"key":"YQ==","limit":"1"}`, `{"key":"YQ==","limit":1}`, `{"key":"YQ==","limit":1.0}`, `{"key":"YQ==","limit":1.5}`,
		`{"key":"YQ==","limit":1e2}`, `{"key":"YQ==","limit":"1e2"}`, `{"key":"YQ==","limit":" 1"}`, `{"key":"YQ==","limit":""}`,
		`{"key":"YQ==","limit":"x"}`, `{"key":"YQ==","limit":9223372036854775808}`, `{"key":"YQ==","limit":"9223372036854775807"}`,
		`{"key":"YQ==","limit":-1}`, `{"key":"YQ==","limit":"-1"}`, `{"key":"YQ==","limit":true}`, `{"key":"YQ==","limit":[1]}`,
		`{"key":"YQ==","limit":{}}`, `{"key":"YQ==","limit":1e400}`, `{"key":"YQ==","limit":1e-400}`, `{"key":"YQ==","limit":100e-2}`,
		`{"key":"YQ==","keys_only":"true"}`, `{"key":"YQ==","keysOnly":1}`, `{"key":"YQ==","keysOnly":true}`,
		`{"key":"YQ==","keysOnly":true,"keys_only":true}`, `{"key":"YQ==","KeysOnly":true}`, `{"key":"YQ==","keys-only":[{"a":null}]}`,
		`{"key":"YQ==","sort_order":"DESCEND"}`, `{"key":"YQ==","sort_order":2}`, `{"key":"YQ==","sort_order":7}`,
		`{"key":"YQ==","sort_order":"descend"}`, `{"key":"YQ==","sort_order":"2"}`, `{"key":"YQ==","sort_order":2.5}`,
		`{"key":"YQ==","sort_order":true}`, `{"key":"YQ==","sort_order":4294967296}`, `{"key":"YQ==","sort_target":-1}`,
		`{"[ext]":1,"key":"YQ=="}`, `{"@type":"x","key":"YQ=="}`, `{"":1,"key":"YQ=="}`, "{\n \"key\":\n  \"é\"}", "{\n \"ü\": 1, \"limit\":\"é\"}",
		`{"a":"\ud800"}`, `{"a":"\ud800\u0041"}`, `{"a":"\ud800abcdef"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\udc00\ud800"}`,
		`{"key":"\ud83d\ude00"}`, `{"key":"\u0059Q=="}`, `{"limit":"a\"b\\<&>"}`, `{"limit":"\u2028"}`,
	}
	var steps []Step
	for _, body := range bodies {
		steps = append(steps, post("/v3/kv/range", body))
	}
	nested := func(times int) string {
		return strings.Repeat(`[`, times) + strings.Repeat(`]`, times)
	}
	return append(steps,
		post("/v3/kv/range", fmt.Sprintf(`{"key":"YQ==","a":%s}`, nested(9_000))),
		post("/v3/kv/range", fmt.Sprintf(`{"key":"YQ==","a":%s}`, nested(10_001))),
		post("/v3/kv/txn", `{"compare":[{"key":"YQ==","version":1,"mod_revision":2}]}`),
		post("/v3/kv/txn", `{"compare":[null]}`), post("/v3/kv/txn", `{"compare":{}}`), post("/v3/kv/txn", `{"compare":[[]]}`),
		post("/v3/kv/txn", `{"compare":[{"result":"MAYBE"}]}`), post("/v3/kv/txn", `{"success":[{"request_put":[]}]}`),
		post("/v3/kv/txn", `{"success":[{"request_put":{},"request_range":null}]}`),
		post("/v3/kv/txn", `{"success":[{"request_put":{"key":"YQ=="},"requestRange":{}}]}`),
		post("/v3/kv/txn", `{"success":[{}]}`), post("/v3/kv/txn", `{"success":null,"failure":[]}`),
		post("/v3/maintenance/alarm", `{"memberID":-1}`), post("/v3/maintenance/alarm", `{"memberID":"18446744073709551616"}`),
		post("/v3/maintenance/alarm", `{"memberID":"18446744073709551615"}`), post("/v3/maintenance/alarm", `{"alarm":"nospace"}`),
		post("/v3/cluster/member/add", `{"peerURLs":"http://a:1"}`), post("/v3/cluster/member/add", `{"peerURLs":[1]}`),
		post("/v3/cluster/member/add", `{"peer_urls":[]}`),
		post("/v3/lease/grant", `{"TTL":"x"}`), post("/v3/lease/grant", `{"ttl":5}`),
	)
}

func keys() []Step {
	steps := []Step{
		put("foo", "bar"), put("foo", "baz"), put("foo2", "<&>"), put("\x00\xff", "\xff\x00"), put("empty", ""),
	}
	for _, body := range []string{
		`{"key":"Zm9v"}`, `{"key":"Zm9v","range_end":"Zm9w"}`, `{"key":"Zm9v","rangeEnd":"Zm9w","limit":1}`,
		`{"key":"AA==","range_end":"AA=="}`, `{"key":"AA==","range_end":"AA==","count_only":true}`,
		`{"key":"AA==","range_end":"AA==","keys_only":true,"sort_order":"DESCEND","sort_target":"MOD"}`,
		`{"key":"Zm9v","revision":"2"}`, `{"key":"Zm9v","revision":"99"}`, `{"key":"Zm9v","revision":-1}`, `{"key":"bm9uZQ=="}`,
		`{"key":"Zm9v","serializable":true}`, `{"key":"AA==","range_end":"AA==","min_mod_revision":"4"}`,
		`{"key":"AA==","range_end":"AA==","sort_order":9}`,
	} {
		steps = append(steps, post("/v3/kv/range", body))
	}
	for _, body := range []string{
		`{"key":"Zm9v","value":"eA==","prev_kv":true}`, `{"key":"Zm9v","lease":"99"}`, `{"key":"Zm9v","ignore_value":true}`,
		`{"key":"bmV3","ignore_value":true}`, `{"key":"Zm9v","value":"eA==","ignore_value":true}`, `{"value":"eA=="}`,
	} {
		steps = append(steps, post("/v3/kv/put", body))
	}
	return append(steps,
		post("/v3/kv/txn", `{"compare":[{"target":"VERSION","result":"GREATER","key":"Zm9v","version":"0"}],`+
			`"success":[{"request_put":{"key":"Zm9v","value":"dHhu","prev_kv":true}},{"request_range":{"key":"Zm9v"}},`+
			`{"requestDeleteRange":{"key":"Zm9vMg==","prevKv":true}}],"failure":[{"request_range":{"key":"Zm9v"}}]}`),
		post("/v3/kv/txn", `{"compare":[{"target":2,"key":"Zm9v","mod_revision":1}],"failure":[{"request_txn":{"success":[{"request_range":{"key":"Zm9v"}}]}}]}`),
		post("/v3/kv/txn", `{"compare":[{"target":"VALUE","key":"Zm9v","value":"dHhu"}],"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}`),
		post("/v3/kv/txn", `{"compare":[{"target":"LEASE","key":"Zm9v","lease":0}]}`), post("/v3/kv/txn", `{}`),
		post("/v3/kv/deleterange", `{"key":"ZW1wdHk=","prev_kv":true}`), post("/v3/kv/deleterange", `{"key":"bm9uZQ=="}`),
		post("/v3/kv/deleterange", `{}`), post("/v3/kv/deleterange", `{"key":"AA==","range_end":"AA=="}`),
		post("/v3/kv/compaction", `{"revision":"3","physical":true}`), post("/v3/kv/compaction", `{"revision":"3"}`),
		post("/v3/kv/compaction", `{"revision":"999"}`), post("/v3/kv/compaction", `{}`),
		post("/v3/kv/range", `{"key":"Zm9v","revision":"2"}`), post("/v3/maintenance/hashkv", `{}`),
		post("/v3/maintenance/hashkv", `{"revision":"1"}`), post("/v3/maintenance/hashkv", `{"revision":"999"}`),
	)
}
