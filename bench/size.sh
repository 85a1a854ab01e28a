#!/usr/bin/env bash
# Builds both servers and grows a store of Kubernetes' shape on each, in turn, until it breaks or the machine's
# limit is reached. Arguments go to the benchmark itself (-max-size, -steps, -only, -out ../docs).
set -euo pipefail
cd "$(dirname "$0")"
../conformance/build-tools.sh
(cd .. && cargo build --release)
go build -o out/bench .
exec out/bench size "$@"
