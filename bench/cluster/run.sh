#!/usr/bin/env bash
# Builds everything that is missing and runs the load of a cluster on etcd and on Meridian, in turns.
# Arguments go to the program itself; `out/cluster -help` lists them. ETCD, MERIDIAN and BIN name
# binaries that are there already, in place of those that would be built.
set -euo pipefail
caller="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")"
root="$(cd ../.. && pwd)"
bin="${BIN:-$root/conformance/bin}"
kwok="v0.8.0"

if [[ -z "${BIN:-}" ]]; then
  "$root/conformance/build-kubernetes.sh" kube-apiserver kube-controller-manager kube-scheduler >&2
  if ! "$bin/kwok" --version 2>/dev/null | grep -qF " $kwok "; then
    echo "kwok $kwok: building" >&2
    GOBIN="$bin" CGO_ENABLED=0 nice -n "${GO_NICE:-10}" go install "sigs.k8s.io/kwok/cmd/kwok@$kwok"
  fi
fi
[[ -n "${ETCD:-}" ]] || "$root/conformance/build-tools.sh" >&2
[[ -n "${MERIDIAN:-}" ]] || (cd "$root" && cargo build --release -p server >&2)
mkdir -p out
CGO_ENABLED=0 go build -o out/cluster .
program="$PWD/out/cluster"
# So that -out docs means the caller's docs.
cd "$caller"
exec "$program" -bin "$bin" -etcd "${ETCD:-$root/conformance/bin/etcd}" \
  -meridian "${MERIDIAN:-$root/target/release/meridian}" "$@"
