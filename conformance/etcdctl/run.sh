#!/bin/sh
# Runs the table of etcdctl's commands against a real etcd and the given server (the release
# build if none is given). More arguments go to the judge: -only NAME, -print, -list.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
meridian=${1:-$(cd .. && pwd)/target/release/meridian}
[ $# -gt 0 ] && shift
bin=${BIN:-bin}
[ -x "$bin/etcd" ] || ./build-tools.sh
mkdir -p bin
go build -buildvcs=false -o bin/etcdctl-table ./etcdctl
exec bin/etcdctl-table -etcd "${ETCD:-$bin/etcd}" -etcdctl "${ETCDCTL:-$bin/etcdctl}" \
    -etcdutl "${ETCDUTL:-$bin/etcdutl}" -meridian "$meridian" "$@"
