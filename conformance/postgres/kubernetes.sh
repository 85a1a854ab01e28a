#!/usr/bin/env bash
# Runs a real Kubernetes control plane on three replicas, kills the writer and fails PostgreSQL over beneath it.
#   kubernetes.sh BINARY [option of ../kubernetes ...]      a real etcd stands on itself, and only its leader is killed
set -euo pipefail
[[ $# -ge 1 ]] || { echo "usage: $0 BINARY [option ...]" >&2; exit 2; }
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
binary="$(realpath "$1")"
shift
"$here/../build-kubernetes.sh" >&2
cd "$here/.."
CGO_ENABLED=0 go build -buildvcs=false -o bin/stand ./postgres/stand
(cd kubernetes && CGO_ENABLED=0 go build -buildvcs=false -o ../bin/kubernetes-conformance .)
nodes=3
"$binary" --version | grep -q Meridian || nodes=0
[[ $nodes = 0 ]] || postgres/install.sh
said="$(mktemp)"
bin/stand -binary "$binary" -nodes $nodes >"$said" 2>&1 &
stand=$!
trap 'kill $stand 2>/dev/null; wait $stand 2>/dev/null; rm -f "$said"' EXIT
until grep -q '^ready' "$said"; do
    kill -0 $stand 2>/dev/null || { cat "$said" >&2; exit 1; }
    sleep 0.2
done
control="$(awk '$1 == "control" { print $2 }' "$said")"
endpoints="$(awk '$1 == "endpoints" { print $2 }' "$said")"
ask="curl -fsS -X POST $control"
hooks=(-kill-writer "$ask/writer/kill" -restore-writer "$ask/writer/restore")
[[ $nodes = 0 ]] || hooks+=(-fail-database "$ask/primary/kill" -restore-database "$ask/primary/restore")
bin/kubernetes-conformance -bin bin -endpoints "$endpoints" "${hooks[@]}" "$@"
