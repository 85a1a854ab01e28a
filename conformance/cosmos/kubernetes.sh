#!/usr/bin/env bash
# Runs a real Kubernetes control plane on three replicas on an emulated account of Azure Cosmos DB, kills the writer and
# moves the account's write region beneath it.
#   kubernetes.sh BINARY [option of ../kubernetes ...]
set -euo pipefail
[[ $# -ge 1 ]] || { echo "usage: $0 BINARY [option ...]" >&2; exit 2; }
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
binary="$(realpath "$1")"
shift
"$here/../build-kubernetes.sh" >&2
cd "$here/.."
CGO_ENABLED=0 go build -buildvcs=false -o bin/stand ./postgres/stand
(cd kubernetes && CGO_ENABLED=0 go build -buildvcs=false -o ../bin/kubernetes-conformance .)
export COSMOS_EMULATOR="$here/emulator.sh"
said="$(mktemp)"
bin/stand -binary "$binary" -cosmos Strong >"$said" 2>&1 &
stand=$!
trap 'kill $stand 2>/dev/null; wait $stand 2>/dev/null; rm -f "$said"' EXIT
until grep -q '^ready' "$said"; do
    kill -0 $stand 2>/dev/null || { cat "$said" >&2; exit 1; }
    sleep 0.2
done
control="$(awk '$1 == "control" { print $2 }' "$said")"
endpoints="$(awk '$1 == "endpoints" { print $2 }' "$said")"
ask="curl -fsS -X POST $control"
bin/kubernetes-conformance -bin bin -endpoints "$endpoints" -database "Azure Cosmos DB" \
    -kill-writer "$ask/writer/kill" -restore-writer "$ask/writer/restore" \
    -fail-database "$ask/writes/move" -restore-database true "$@"
