#!/usr/bin/env bash
# Moves the store from under a running kube-apiserver: etcd is stopped, its directory restored, Meridian started on
# the same port. A client's watch that was open all the time must have seen every change once, and the API server's own
# informers must not have listed again. ETCD, ETCDCTL, MERIDIAN, KUBE (the folder of kube-apiserver) name the programs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/../bin
etcd=${ETCD:-$bin/etcd}
kube=${KUBE:-$bin}
meridian=${MERIDIAN:-$here/../../target/release/meridian}
port=${PORT:-24490}
url=http://127.0.0.1:$port
api=https://127.0.0.1:$((port + 2))
work=$(mktemp -d)
pids=
trap 'kill -9 $pids 2>/dev/null || true; rm -rf "$work"' EXIT
store() { # program, directory
    "$1" --data-dir "$2" --listen-client-urls "$url" --advertise-client-urls "$url" \
        --listen-peer-urls "http://127.0.0.1:$((port + 1))" --log-level fatal \
        --watch-progress-notify-interval 5s >>"$work/store.log" 2>&1 &
    store=$!
    pids="$pids $store"
    until curl -sf "$url/readyz" >/dev/null; do sleep 0.1; kill -0 "$store"; done
}
call() { # path, more of curl
    curl -sk -H 'Authorization: Bearer admin' -H 'Content-Type: application/json' "$api$1" "${@:2}"
}
ready() {
    for _ in $(seq 600); do
        [ "$(call /readyz)" = ok ] && return
        sleep 0.2
    done
    echo "kube-apiserver is not ready" >&2
    tail -3 "$work/api.log" >&2
    exit 1
}
maps=/api/v1/namespaces/default/configmaps
create() { call "$maps" -d "{\"metadata\":{\"name\":\"$1\"},\"data\":{\"k\":\"$1\"}}" >/dev/null; }
initialized() { call /metrics | grep '^apiserver_watch_cache_initializations_total' | sort; }
version() { sed -n 's/.*"resourceVersion": *"\([0-9]*\)".*/\1/p' | head -1; }
list() { call "$1" | tr -d ' \n'; }

openssl genrsa -out "$work/key" 2048 2>/dev/null
echo 'admin,admin,admin,system:masters' >"$work/tokens"
store "$etcd" "$work/etcd"
"$kube/kube-apiserver" --etcd-servers="$url" --secure-port=$((port + 2)) --bind-address=127.0.0.1 \
    --cert-dir="$work/certs" --service-cluster-ip-range=10.0.0.0/24 --token-auth-file="$work/tokens" \
    --service-account-issuer=https://move --service-account-signing-key-file="$work/key" \
    --service-account-key-file="$work/key" --authorization-mode=RBAC >"$work/api.log" 2>&1 &
pids="$pids $!"
ready
until call "$maps" | grep -q '"items"'; do sleep 0.2; done
from=$(call "$maps" | version)
curl -skN -H 'Authorization: Bearer admin' "$api$maps?watch=1&resourceVersion=$from" >"$work/watched" &
pids="$pids $!"
for i in 1 2 3 4 5; do create "before-$i"; done
sleep 1
list /api/v1/namespaces >"$work/namespaces.before"
list "$maps?resourceVersion=" >"$work/maps.before"
initialized >"$work/initialized.before"

begun=$(date +%s.%N)
kill "$store"
{ wait "$store" || true; } 2>/dev/null
"$meridian" restore "$work/etcd" --data-dir "$work/meridian"
store "$meridian" "$work/meridian"
printf 'no store for %.2f s\n' "$(echo "$(date +%s.%N) - $begun" | bc)"
ready
list /api/v1/namespaces >"$work/namespaces.after"
list "$maps?resourceVersion=" >"$work/maps.after"
for i in 1 2 3 4 5; do create "after-$i"; done
call "$maps/before-1" -X DELETE >/dev/null
sleep 2
initialized >"$work/initialized.after"

failed=0
same() { # what, suffixes
    if diff "$work/$1.before" "$work/$1.after" >"$work/difference"; then echo "same: $1"; else
        echo "DIFFERS: $1"
        head -5 "$work/difference" | cut -c1-300
        failed=1
    fi
}
strip() { sed -i 's/"metadata":{"resourceVersion":"[0-9]*"}/"metadata":{}/' "$work/$1"; }
for file in namespaces.before namespaces.after maps.before maps.after; do strip $file; done
same namespaces
same maps
same initialized
sed -n 's/.*"type":"\([A-Z]*\)".*"name":"\([a-z]*-[0-9]\)".*/\1 \2/p' "$work/watched" >"$work/seen.after"
{
    for i in 1 2 3 4 5; do echo "ADDED before-$i"; done
    for i in 1 2 3 4 5; do echo "ADDED after-$i"; done
    echo "DELETED before-1"
} >"$work/seen.before"
same seen
exit $failed
