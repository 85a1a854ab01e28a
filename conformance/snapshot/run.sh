#!/bin/sh
# Judges the snapshots of a server: run.sh BINARY [flags of the judge]. Prints what was compared.
# BIN is where etcd's tools are.
set -eu
binary=$(realpath "$1")
shift
tools=$(realpath -m "${BIN:-$(dirname "$0")/../bin}")
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
# What is refused on purpose is no news.
export ETCD_CLIENT_DEBUG=${ETCD_CLIENT_DEBUG:-fatal}
if [ ! -x "$tools/bbolt" ]; then
    ./build-tools.sh
    tools=$(pwd)/bin
fi
mkdir -p bin
go build -buildvcs=false -o bin/snapshot ./snapshot
exec bin/snapshot -server "$binary" -bin "$tools" "$@"
