#!/usr/bin/env bash
# Times a restore of KEYS keys (1,000,000 unless said otherwise, each written twice) beside etcdutl's
# restore and etcd's start on the result. ETCD, ETCDCTL, ETCDUTL, BENCHMARK and MERIDIAN name the programs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/../bin
etcd=${ETCD:-$bin/etcd}
etcdctl=${ETCDCTL:-$bin/etcdctl}
etcdutl=${ETCDUTL:-$bin/etcdutl}
benchmark=${BENCHMARK:-$bin/benchmark}
meridian=${MERIDIAN:-$here/../../target/release/meridian}
keys=${KEYS:-1000000}
port=${PORT:-24590}
url=http://127.0.0.1:$port
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$work"' EXIT
serve() {
    "$1" --data-dir "$2" --listen-client-urls "$url" --advertise-client-urls "$url" \
        --listen-peer-urls "http://127.0.0.1:$((port + 1))" --quota-backend-bytes 8589934592 \
        --log-level fatal >>"$work/log" 2>&1 &
    pid=$!
    until curl -sf "$url/readyz" >/dev/null; do sleep 0.05; kill -0 "$pid"; done
}
stop() {
    kill "$pid"
    { wait "$pid" || true; } 2>/dev/null
    pid=
}
seconds() { # name, command: how long it takes
    begun=$(date +%s.%N)
    "${@:2}"
    printf '%-40s %6.2f s\n' "$1" "$(echo "$(date +%s.%N) - $begun" | bc)"
}
quiet() { "$@" >>"$work/log" 2>&1; }
hash() { "$etcdctl" --endpoints "$url" endpoint hashkv -w json | sed 's/.*"hash":\([0-9]*\).*/\1/'; }

serve "$etcd" "$work/etcd"
for _ in 1 2; do
    quiet "$benchmark" --endpoints "$url" --conns 10 --clients 500 put --total "$keys" --key-space-size "$keys" \
        --sequential-keys --key-size 32 --val-size 256
done
quiet "$etcdctl" --endpoints "$url" snapshot save "$work/snapshot.db"
expected=$(hash)
stop
echo "$keys keys, a snapshot of $(stat -c %s "$work/snapshot.db") bytes"
sync
seconds "etcdutl snapshot restore" quiet "$etcdutl" snapshot restore "$work/snapshot.db" --data-dir "$work/utl"
seconds "etcd: start on it, until ready" serve "$etcd" "$work/utl"
stop
sync
/usr/bin/time -f '%M KiB at most' true 2>/dev/null && time=(/usr/bin/time -f '%M KiB of memory at most') || time=()
seconds "meridian restore" "${time[@]}" "$meridian" restore "$work/snapshot.db" --data-dir "$work/meridian"
seconds "meridian: start on it, until ready" serve "$meridian" "$work/meridian"
[ "$(hash)" = "$expected" ] || { echo "HashKV differs"; exit 1; }
stop
seconds "meridian restore of the directory" quiet "$meridian" restore "$work/etcd" --data-dir "$work/again"
