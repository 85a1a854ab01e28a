#!/usr/bin/env bash
# Makes the recorded inputs of the tests in crates/server/tests/restore with a real etcd (ETCD, ETCDCTL):
# a snapshot without and one with users, a data directory whose last writes are in the log alone, and what
# etcd itself answers from them once restarted. Run by hand, into an empty folder: fixtures.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1
export ETCDCTL URL=http://127.0.0.1:${PORT:-24790}
work=$(mktemp -d)
trap 'kill -9 $pid 2>/dev/null || true; rm -rf "$work"' EXIT
start() {
    "$ETCD" --data-dir "$1" --listen-client-urls "$URL" --advertise-client-urls "$URL" \
        --listen-peer-urls http://127.0.0.1:$((${PORT:-24790} + 1)) --log-level fatal "${@:2}" &
    pid=$!
    for _ in $(seq 100); do
        curl -sf "$URL/health" >/dev/null && return
        sleep 0.1
    done
    echo "etcd does not start" >&2
    exit 1
}
stop() { kill "$1" "$pid" && { wait "$pid" || true; } 2>/dev/null; }
unpadded() { # without the zeros that etcd allocates ahead
    perl -0777 -pe 's/\0+\z//; $_ .= "\0" x (-length($_) % 512 + 512)' "$1"
}

used() { # the pages of a database that are in use, of the many that etcd allocates ahead
    perl -0777 -pe '($a, $b) = (unpack("x56Q<", $_), unpack("x4152Q<", $_));
        substr($_, 4096 * ($a > $b ? $a : $b)) = ""' "$1"
}

start "$work/etcd"
"$here/history.sh"
"$ETCDCTL" --endpoints "$URL" snapshot save "$work/snapshot.db" >/dev/null 2>&1
stop -TERM
cp -r "$work/etcd" "$work/copy"
start "$work/copy"
"$here/expect.sh" >"$out/snapshot.expected"
stop -TERM
mkdir -p "$out/killed/member/snap" "$out/killed/member/wal"
cp "$work/snapshot.db" "$out/snapshot.db"
# The database of before, and the log of after: as if nothing had been committed in between.
used "$work/etcd/member/snap/db" >"$out/killed/member/snap/db"
start "$work/etcd" --backend-batch-interval 1h --backend-batch-limit 1000000
"$here/history.sh" tail rights
stop -KILL
for wal in "$work"/etcd/member/wal/*.wal; do
    unpadded "$wal" >"$out/killed/member/wal/$(basename "$wal")"
done
start "$work/etcd"
"$here/expect.sh" --user root:pw >"$out/killed.expected"
"$ETCDCTL" --endpoints "$URL" --user root:pw snapshot save "$out/rights.db" >/dev/null 2>&1
chmod 644 "$out"/*.db
stop -TERM
