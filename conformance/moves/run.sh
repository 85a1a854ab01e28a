#!/usr/bin/env bash
# Moves a store etcd -> Meridian -> etcd and compares every station with the first.
#   run.sh MERIDIAN_BINARY [-keys N] [option ...]     the options are those of `go run ./moves -help`
# A million keys by default; CI takes -keys 50000.
set -euo pipefail
[[ $# -ge 1 ]] || { echo "usage: $0 MERIDIAN_BINARY [-keys N] [option ...]" >&2; exit 2; }
meridian="$(realpath "$1")"
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=0
./build-tools.sh >&2
go test -buildvcs=false -count=1 ./moves
go build -buildvcs=false -o bin/moves ./moves
exec bin/moves -meridian "$meridian" "$@"
