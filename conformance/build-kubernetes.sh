#!/usr/bin/env bash
# Builds the Kubernetes control plane that the conformance run drives, from its published Go modules,
# into conformance/bin (git-ignored). What is there at the right version is left alone.
#
#   build-kubernetes.sh [program ...]     default: kube-apiserver kube-controller-manager
#                                         kube-scheduler kubectl
#
# About ten minutes of two cores the first time, then nothing. GO_NICE (default 10) is its niceness.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
module="$here/kubernetes"
bin="$here/bin"
cd "$module"

command -v go >/dev/null || { echo "go is not on PATH: Go 1.26 or later is needed" >&2; exit 1; }
version="$(go list -m -f '{{.Version}}' k8s.io/kubernetes)"
[[ "$version" =~ ^v([0-9]+)\.([0-9]+)\. ]] || { echo "no version in '$version'" >&2; exit 1; }
major="${BASH_REMATCH[1]}" minor="${BASH_REMATCH[2]}"

ldflags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  ldflags+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
  ldflags+=" -X $package.gitTreeState=clean"
done

# What the program at $1 says its version is; nothing when it is not there or does not run.
version_of() {
  local flag=--version
  [[ "$(basename "$1")" == kubectl ]] && flag="version --client"
  # shellcheck disable=SC2086
  [[ -x "$1" ]] && "$1" $flag 2>/dev/null | grep -oE 'v[0-9]+\.[0-9]+\.[0-9]+[^ ]*' | head -1 || true
}

# One line for every hundredth package compiled, so that a long build can be seen to move.
progress() {
  awk -v name="$1" '
    /^[a-zA-Z0-9_.\/~-]+$/ { n++; if (n % 100 == 0) { printf "  %s: %d packages compiled\n", name, n; fflush() } next }
    { print; fflush() }'
}

programs=("$@")
[[ ${#programs[@]} -gt 0 ]] || programs=(kube-apiserver kube-controller-manager kube-scheduler kubectl)
mkdir -p "$bin"
for program in "${programs[@]}"; do
  if [[ "$(version_of "$bin/$program")" == "$version" ]]; then
    echo "$program $version: already built"
    continue
  fi
  echo "$program $version: building"
  began=$SECONDS
  CGO_ENABLED=0 nice -n "${GO_NICE:-10}" go build -v -trimpath -buildvcs=false \
    -tags notest,grpcnotrace -ldflags "$ldflags" \
    -o "$bin/$program.new" "k8s.io/kubernetes/cmd/$program" 2>&1 | progress "$program"
  mv "$bin/$program.new" "$bin/$program"
  built="$(version_of "$bin/$program")"
  [[ "$built" == "$version" ]] || { echo "$program says it is '$built', not $version" >&2; exit 1; }
  echo "$program $version: built in $((SECONDS - began)) s"
done
