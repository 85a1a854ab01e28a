#!/usr/bin/env bash
# Runs a real Kubernetes control plane on the given store and judges it.
#   run.sh STORE_BINARY [option ...]      the options are those of `go run . -help`
set -euo pipefail
[[ $# -ge 1 ]] || { echo "usage: $0 STORE_BINARY [option ...]" >&2; exit 2; }
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
store="$(realpath "$1")"
shift
"$here/../build-kubernetes.sh" >&2
[[ " $* " != *" -move "* ]] || "$here/../build-tools.sh" >&2
cd "$here"
CGO_ENABLED=0 go build -o ../bin/kubernetes-conformance .
exec ../bin/kubernetes-conformance -store "$store" -bin ../bin "$@"
