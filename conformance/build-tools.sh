#!/bin/sh
# Builds the real etcd 3.7.1, etcdctl, etcdutl, etcd's benchmark tool and bbolt into conformance/bin,
# unless they are there, and prints their versions. Needs Go and the module proxy; about 75 s cold.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin="$here/bin"
mkdir -p "$bin"
export CGO_ENABLED=0
build() {
    [ -x "$bin/$1" ] && return
    echo "building $1" >&2
    (cd "$here/tools" && go build -buildvcs=false -trimpath -ldflags="-s -w" -o "$bin/$1" "$2")
}
build etcd go.etcd.io/etcd/server/v3
build etcdctl go.etcd.io/etcd/etcdctl/v3
build etcdutl go.etcd.io/etcd/etcdutl/v3
build benchmark go.etcd.io/etcd/v3/tools/benchmark
build bbolt go.etcd.io/bbolt/cmd/bbolt
"$bin/etcd" --version | head -1
"$bin/etcdctl" version
"$bin/etcdutl" version
printf 'benchmark: '
go version -m "$bin/benchmark" | awk '$1 == "mod" { print $2, $3 }'
