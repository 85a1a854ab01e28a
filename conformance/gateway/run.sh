#!/bin/sh
# Judges a binary's JSON gateway by etcd's: run.sh BINARY. etcd comes from ETCD, or from ../bin.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 BINARY" >&2; exit 2; }
meridian=$(realpath "$1")
cd "$(dirname "$0")"
ETCD=${ETCD:-$(realpath ../bin/etcd)}
exec go run . -etcd "$ETCD" -meridian "$meridian"
