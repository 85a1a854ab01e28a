#!/bin/sh
# Judges target/release/meridian beside a real etcd: the judges themselves, the differential run,
# the official client, etcdctl's table, services, gateway, metrics, snapshots, flags, restores, the kill
# harness. Stops at the first that fails. REQUESTS, ROUNDS and SEED change how much; the seed is printed.
set -eu
cd "$(dirname "$0")"
export CGO_ENABLED=0
meridian=${MERIDIAN:-$(cd .. && pwd)/target/release/meridian}
etcd=${ETCD:-$(pwd)/bin/etcd}
export MERIDIAN="$meridian" ETCD="$etcd"
seed=${SEED:-$(date +%s)}
[ -x "$meridian" ] || { echo "no $meridian: cargo build --release" >&2; exit 1; }
[ -x "$etcd" ] || ./build-tools.sh
mkdir -p bin
go build -buildvcs=false -o bin/differential ./differential
go build -buildvcs=false -o bin/kill ./kill
go build -buildvcs=false -o bin/metrics ./metrics
echo "seed $seed"
echo "== the judges find nothing in etcd, and what is wrong on purpose"
go test -buildvcs=false -count=1 ./differential ./etcdctl ./kill ./metrics ./postgres/faults ./services ./snapshot
echo "== differential: plain, with authentication, locks and elections, a share of it as JSON"
bin/differential -seed "$seed" -requests "${REQUESTS:-100000}" -etcd "$etcd" -meridian "$meridian"
echo "== the official client"
STORE=meridian go test -buildvcs=false -count=1 ./client
echo "== etcdctl, all of it"
etcdctl/run.sh "$meridian"
echo "== locks, elections, members, downgrades"
services/run.sh "$meridian"
echo "== the JSON gateway"
gateway/run.sh "$meridian"
echo "== metrics and health pages"
bin/metrics -etcd "$etcd" -meridian "$meridian"
echo "== snapshots"
BIN=$(dirname "$etcd") snapshot/run.sh "$meridian" -seed "$seed"
echo "== flags"
(cd tools && go run -buildvcs=false ./flags)
echo "== stores of an etcd, restored"
MERIDIAN="$meridian" ETCD="$etcd" restore/run.sh
echo "== kill -9"
bin/kill -seed "$seed" -rounds "${ROUNDS:-100}" -server "$meridian"
