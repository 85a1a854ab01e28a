#!/bin/sh
# Judges the Lock, Election, Maintenance and Cluster services of the given meridian beside a real etcd.
#   services/run.sh BINARY [flags of services]
set -eu
binary=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
mkdir -p bin
etcd=${ETCD:-$(pwd)/bin/etcd}
[ -x "$etcd" ] || ./build-tools.sh
go build -buildvcs=false -o bin/services ./services
exec bin/services -etcd "$etcd" -meridian "$binary" "$@"
