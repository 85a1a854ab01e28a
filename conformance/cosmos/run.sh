#!/usr/bin/env bash
# Runs the judges on Meridian with its journal in an emulated account of Azure Cosmos DB: those that are named, or all but
# the control plane.
#
#   run.sh BINARY [judges contract differential client kill faults kubernetes]
#   QUICK=1 run.sh BINARY                      what CI runs, in a few minutes
#   SEED=7 run.sh BINARY faults                what the requests, moments and faults follow from; printed otherwise
#   ACCOUNT='cosmos://NAME/EtcdDB/EtcdData?key_file=FILE' run.sh BINARY        a real account: contract, differential, client, kill
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 BINARY [PART...]" >&2; exit 2; }
binary=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 MERIDIAN="$binary" ETCD="${ETCD:-$PWD/bin/etcd}" COSMOS_EMULATOR="$PWD/cosmos/emulator.sh"
seed=${SEED:-$(date +%s)} quick=${QUICK:-} account=${ACCOUNT:-}
chosen=" ${*:-judges contract differential client kill faults} "
failed="" began=$SECONDS proxy="" work=$(mktemp -d)
trap 'down; rm -rf "$work"' EXIT

down() { [ -z "$proxy" ] || { kill "$proxy" 2>/dev/null || true; wait "$proxy" 2>/dev/null || true; proxy=""; }; }

# up [OPTION...]: an account with an emulator beneath and a container in it, at $url; commands go to $control.
up() {
  if [ -n "$account" ]; then url=$account; "$binary" cosmos init "$url"; return; fi
  down
  : >"$work/proxy"
  bin/cosmos-proxy -key-file "$work/key" -seed "$seed" "$@" >"$work/proxy" 2>&1 &
  proxy=$!
  until grep -q '^ready' "$work/proxy"; do
    kill -0 "$proxy" 2>/dev/null || { cat "$work/proxy"; return 1; }
    sleep 0.1
  done
  url="cosmos://$(sed -n 's,^account http://\(.*\)/$,\1,p' "$work/proxy")/EtcdDB/EtcdData?key_file=$work/key&emulator=on"
  control=$(sed -n 's/^control //p' "$work/proxy")
  "$binary" cosmos init "$url" >"$work/init" 2>&1 || { cat "$work/init"; return 1; }
}
amount() { if [ -n "$quick" ]; then echo "$1"; else echo "$2"; fi; }
strike() { curl -fsS -o /dev/null -X POST "$control/strike?$1"; }

part() { # part NAME WHAT: runs the function of that name, if it is chosen and can be
  case "$chosen" in *" $1 "*) ;; *) return 0 ;; esac
  if [ -n "$account" ] && [[ ! " contract differential client kill " == *" $1 "* ]]; then
    echo "== $1: not run: a real account has no proxy before it that strikes"
    return 0
  fi
  echo "== $1: $2"
  local from=$SECONDS
  local do=$1
  [ "$1" != kill ] || do=killing
  if "$do"; then echo "== $1: $((SECONDS - from)) s"; else echo "== $1: FAILED"; failed="$failed $1"; fi
  down
}

judges() { go test -buildvcs=false -count=1 ./cosmos/... ./postgres/faults; }
contract() {
  up -delay 1ms || return 1
  MERIDIAN_TEST_COSMOS="$url" cargo test -q --manifest-path ../Cargo.toml -p cosmos-journal account
}
differential() {
  up || return 1
  bin/differential -seed "$seed" -requests "$(amount 1500 10000)" -etcd "$ETCD" -meridian "$binary" -journal "$url" \
    -replicas 3 || return 1
  [ -z "$account" ] || { echo "== differential, with faults: not run on a real account"; return 0; }
  up -delay 2ms -page 7 || return 1
  strike 'kind=throttled&share=0.05&wait=20ms' && strike 'kind=lost-reply&operation=create&share=0.02' &&
    strike 'kind=lost-request&share=0.01' && strike 'kind=unavailable-after&operation=create&share=0.01' &&
    strike 'kind=retry-with&operation=create&share=0.01' && strike 'kind=gone&share=0.005' || return 1
  bin/differential -seed "$((seed + 1))" -requests "$(amount 500 4000)" -etcd "$ETCD" -meridian "$binary" \
    -journal "$url" -replicas 3 -skip-phases
}
client() {
  up || return 1
  STORE=meridian REPLICAS=3 JOURNAL="$url" go test -buildvcs=false -count=1 ./client
}
killing() {
  up || return 1
  bin/kill -seed "$seed" -rounds "$(amount 8 40)" -server "$binary" -args "--journal=$url --initial-cluster-token=kill-$seed"
}
faults() {
  bin/faults -binary "$binary" -cosmos Strong -seed "$seed" \
    -only "${quick:+killed -9|replies to creates lost|take effect after|408, 410|write region moves}" || return 1
  [ -z "$quick" ] || return 0
  bin/faults -binary "$binary" -cosmos BoundedStaleness -seed "$seed" -draw "${DRAW:-60}"
}
kubernetes() { cosmos/kubernetes.sh "$binary"; }

[ -x "$ETCD" ] || ./build-tools.sh
mkdir -p bin
go build -buildvcs=false -o bin/differential ./differential
go build -buildvcs=false -o bin/kill ./kill
go build -buildvcs=false -o bin/faults ./postgres/faults
go build -buildvcs=false -o bin/cosmos-proxy ./cosmos/proxy
echo "seed $seed"
part judges "the proxy's faults, charges, regions and keys are what they are said to be"
part contract "what every journal promises, in an account"
part differential "three replicas beside an etcd, without faults and with"
part client "the official one, three endpoints"
part kill "kill -9 under load"
part faults "the account and the replicas struck under load; one history explains every answer"
part kubernetes "a control plane, the writer killed, the write region moved"
echo "all took $((SECONDS - began)) s"
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
