#!/usr/bin/env bash
# A history with something of everything, through etcdctl and the JSON gateway. Needs ETCDCTL and
# URL (a client URL without TLS). With "tail" only what goes behind the history: enough of each kind of
# request to tell whether a write-ahead log was applied.
set -euo pipefail
ctl() { "$ETCDCTL" --endpoints "$URL" "$@" >/dev/null; }
post() { curl -sSf -X POST "$URL/v3/$1" -d "$2" >/dev/null; }
revision() { "$ETCDCTL" --endpoints "$URL" get x -w json | sed 's/.*"revision":\([0-9]*\).*/\1/'; }

history() {
    for i in 1 2 3; do ctl put "app/$i" "first $i"; done
    for i in 1 2 3; do ctl put "app/1" "again $i"; done
    ctl del app/2
    post lease/grant '{"ID": "7001", "TTL": "3600"}'
    # (etcd 3.4 forgets such a one when it is restarted.)
    [ "${OLD:-0}" = 1 ] || post lease/grant '{"ID": "-7002", "TTL": "7200"}'
    post lease/grant '{"ID": "7003", "TTL": "1000"}'
    ctl put leased/a va --lease 1b59
    ctl put leased/b vb --lease 1b5b
    ctl put leased/c vc --lease 1b5b
    printf '%s\n' 'value("app/1") = "again 3"' '' 'put txn/a yes' 'put txn/b yes' 'del app/3' '' \
        'put txn/a no' '' | ctl txn
    ctl put leased/a detached
    printf '%s' 'binary value' | ctl put $'key\twith\nodd bytes \xff'
    ctl put empty ''
    ctl del txn/b
    ctl compact "$(($(revision) - 3))"
    for i in 1 2 3; do ctl put app/4 "version $i"; done
    ctl del app/4
    ctl put app/4 'made again'
}

tail() {
    ctl put tail/a 1
    ctl put tail/b 2
    printf '%s\n' 'version("tail/a") = "1"' 'mod("absent") = "0"' '' 'put tail/c 3' 'del tail/a' \
        'get tail/ --prefix' '' 'put tail/d no' '' | ctl txn
    post kv/txn "$(printf '{"success":[{"requestTxn":{"compare":[{"key":"%s","target":"CREATE","createRevision":"0"}],"success":[{"requestPut":{"key":"%s","value":"%s"}}]}}]}' "$(printf tail/n | base64)" "$(printf tail/n | base64)" "$(printf nested | base64)")"
    post kv/put "$(printf '{"key":"%s","value":"","ignore_value":true,"lease":"7001"}' "$(printf tail/b | base64)")"
    post lease/grant '{"ID": "7004", "TTL": "300"}'
    post lease/grant '{"ID": "7005", "TTL": "500"}'
    post lease/revoke '{"ID": "7003"}'
    ctl put tail/leased x --lease 1b5d
    ctl del tail/ --prefix --from-key=false
    ctl put tail/z last
    ctl compact "$(($(revision) - 2))"
    # Refused when it was applied, and so without effect.
    ctl put tail/none x --lease 1234567 2>/dev/null || true
    ctl put tail/end end
}

# Ends with users and roles on: from then on it takes --user root:pw.
rights() {
    ctl user add root:pw
    ctl user add reader:pw
    ctl user add gone:pw
    ctl user add writer --no-password
    ctl user grant-role root root
    ctl role add app
    ctl role add unused
    ctl role grant-permission app readwrite app/ app0
    ctl role grant-permission app read leased/ --prefix=true
    ctl role grant-permission app write zzz
    ctl role revoke-permission app zzz
    ctl user grant-role reader app
    ctl user grant-role writer app
    ctl user passwd reader --interactive=false <<<other
    ctl auth enable
    ctl --user root:pw user delete gone
    ctl --user root:pw role delete unused
    ctl --user reader:other put app/9 allowed
    # Refused when it was applied, or before.
    ctl --user reader:other put tail/9 denied 2>/dev/null || true
    ctl --user root:pw put by/root yes
}

for part in "${@:-history}"; do $part; done
