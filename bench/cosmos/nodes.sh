#!/usr/bin/env bash
# What a Kubernetes cluster of N nodes costs in request units: nodes.sh N [-last 2m] [-out FILE]
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 N [option...]" >&2; exit 2; }
count=$1
shift
exec "$(dirname "$0")/run.sh" -nodes "$count" "$@"
