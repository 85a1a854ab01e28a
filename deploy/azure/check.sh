#!/usr/bin/env bash
# Holds the template to itself, to its twin in Bicep, to Microsoft's models of the resources and to the program,
# and runs what a machine does when it is made as far as that goes without Azure. Says what was not run.
#
#   deploy/azure/check.sh [MERIDIAN]
#
# Needs Python 3.11, openssl and curl; check/requirements.txt is installed into deploy/bin (git-ignored) once.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
models="$here/../bin/azure-$(sha256sum <"$here/check/requirements.txt" | cut -c1-12)"
if [ ! -d "$models" ]; then
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  python3 -m pip install --quiet --no-deps --only-binary :all: --require-hashes --target "$work/models" \
    --no-warn-script-location --root-user-action ignore -r "$here/check/requirements.txt"
  mkdir -p "$here/../bin"
  mv "$work/models" "$models"
fi
meridian="${1:-}"
exec python3 -B "$here/check/run.py" "$models" ${meridian:+"$(realpath "$meridian")"}
