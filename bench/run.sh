#!/usr/bin/env bash
# Builds both servers and runs every scenario on each, in turn. Arguments go to the benchmark itself
# (-rounds, -keys, -only, -out ../docs).
set -euo pipefail
cd "$(dirname "$0")"
../conformance/build-tools.sh
(cd .. && cargo build --release)
go build -o out/bench .
exec out/bench "$@"
