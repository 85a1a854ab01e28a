#!/bin/sh
# Judges target/release/meridian beside a real etcd: the judges themselves, the differential run,
# the official client, etcdctl's table, services, gateway, metrics, snapshots, flags, restores, the kill
# harness, disks (as root); or only those that are named (run.sh etcdctl kill). What fails is said again at the end.
# REQUESTS, ROUNDS and SEED change how much; the seed is printed.
set -eu
cd "$(dirname "$0")"
export CGO_ENABLED=0
meridian=${MERIDIAN:-$(cd .. && pwd)/target/release/meridian}
etcd=${ETCD:-$(pwd)/bin/etcd}
export MERIDIAN="$meridian" ETCD="$etcd"
seed=${SEED:-$(date +%s)}
chosen=" $* "
failed=""
[ -x "$meridian" ] || { echo "no $meridian: cargo build --release" >&2; exit 1; }
[ -x "$etcd" ] || ./build-tools.sh
mkdir -p bin
go build -buildvcs=false -o bin/differential ./differential
go build -buildvcs=false -o bin/kill ./kill
go build -buildvcs=false -o bin/metrics ./metrics

part() { # part NAME WHAT COMMAND...
  name=$1 what=$2
  shift 2
  case "$chosen" in "  " | *" $name "*) ;; *) return 0 ;; esac
  echo "== $name: $what"
  "$@" || { echo "== $name: FAILED"; failed="$failed $name"; }
}
disk() { # the last: a server that does not sync loses what it said when the power goes, and that must be seen
  code=0
  bin/kill -disk -seed "$seed" -rounds "${DISK_ROUNDS:-12}" -server "$meridian" || code=$?
  [ "$code" != 3 ] || { echo "== disk: NOT JUDGED, nothing can be mounted here"; return 0; }
  [ "$code" = 0 ] || return "$code"
  ! bin/kill -disk -seed "$seed" -rounds 4 -only cutoff -args --unsafe-no-fsync -server "$meridian" > bin/unsafe.log ||
    { echo "a loss of power goes unseen"; return 1; }
}
flags() { (cd tools && go run -buildvcs=false ./flags); }

echo "seed $seed"
part judges "they find nothing in etcd, and what is wrong on purpose" \
  go test -buildvcs=false -count=1 ./differential ./etcdctl ./kill ./metrics ./postgres/faults ./services ./snapshot
part differential "plain, with authentication, locks and elections, a share of it as JSON" \
  bin/differential -seed "$seed" -requests "${REQUESTS:-100000}" -etcd "$etcd" -meridian "$meridian"
part client "the official one" env STORE=meridian go test -buildvcs=false -count=1 ./client
part etcdctl "all of it" etcdctl/run.sh "$meridian"
part services "locks, elections, members, downgrades" services/run.sh "$meridian"
part gateway "the API as JSON" gateway/run.sh "$meridian"
part metrics "and health pages" bin/metrics -etcd "$etcd" -meridian "$meridian"
part snapshot "both ways" env BIN="$(dirname "$etcd")" snapshot/run.sh "$meridian" -seed "$seed"
part flags "every one of them" flags
part restore "stores of an etcd" restore/run.sh
part kill "kill -9 under load" bin/kill -seed "$seed" -rounds "${ROUNDS:-100}" -server "$meridian"
part disk "full, read-only, broken" disk
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
