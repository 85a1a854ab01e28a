#!/usr/bin/env bash
# Measures Meridian with one and three replicas on PostgreSQL, etcd with three members, and kine on the same
# PostgreSQL. Arguments go to the benchmark itself (-rounds, -only, -targets, -out FILE).
set -euo pipefail
cd "$(dirname "$0")"
../../conformance/build-tools.sh
../../conformance/postgres/install.sh
[ -x ../out/kine ] || GOBIN="$(cd .. && pwd)/out" CGO_ENABLED=0 go install -buildvcs=false github.com/k3s-io/kine@v0.17.5
[ -n "${MERIDIAN:-}" ] || (cd ../.. && cargo build --release)
go build -buildvcs=false -o ../out/replicas .
exec ../out/replicas -meridian "${MERIDIAN:-../../target/release/meridian}" "$@"
