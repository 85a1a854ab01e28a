#!/usr/bin/env bash
# Measures three replicas of Meridian on an emulated account of Azure Cosmos DB that is 5 ms away. Arguments go to the
# benchmark itself (-rounds, -each, -idle, -delay, -out FILE).
set -euo pipefail
cd "$(dirname "$0")"
export COSMOS_EMULATOR="$PWD/../../conformance/cosmos/emulator.sh"
[ -n "${MERIDIAN:-}" ] || (cd ../.. && cargo build --release)
mkdir -p ../out
go build -buildvcs=false -o ../out/cosmos .
exec ../out/cosmos -meridian "${MERIDIAN:-../../target/release/meridian}" "$@"
