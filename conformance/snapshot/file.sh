#!/bin/sh
# Judges the crate `bolt` without a server, by bbolt's own tool: databases of many shapes that it wrote have
# no fault and all keys; and what bbolt made of them it reads as what it wrote. BIN is where bbolt is.
set -eu
tools=$(realpath -m "${BIN:-$(dirname "$0")/../bin}")
cd "$(dirname "$0")/../.."
if [ ! -x "$tools/bbolt" ]; then
    conformance/build-tools.sh
    tools=$(pwd)/conformance/bin
fi
cargo build --quiet -p bolt --example boltfile
boltfile=${CARGO_TARGET_DIR:-target}/debug/examples/boltfile
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for shape in "0 10" "1 10" "7 0" "1000 100" "50000 300" "3000 2100" "500 5000" "30 1572864"; do
    rm -f "$folder"/*
    # Two numbers: how many records, and of which size.
    "$boltfile" write "$folder/ours" $shape >/dev/null
    "$boltfile" read "$folder/ours" | grep '^bucket' >"$folder/wrote"
    "$tools/bbolt" check "$folder/ours" >/dev/null
    counted=$("$tools/bbolt" stats "$folder/ours" | sed -n 's/.*keys\/value pairs: //p')
    keys=$(awk '{ keys += $3 } END { print keys }' "$folder/wrote")
    [ "$counted" = "$keys" ] || { echo "bbolt counts $counted keys of $keys" >&2; exit 1; }
    "$tools/bbolt" compact -o "$folder/theirs" "$folder/ours" >/dev/null
    "$boltfile" read "$folder/theirs" | grep '^bucket' >"$folder/read"
    diff "$folder/wrote" "$folder/read"
    echo "records and bytes of each $shape: $(stat -c %s "$folder/ours") bytes, no fault, $keys keys; as bbolt" \
        "rewrote it $(stat -c %s "$folder/theirs") bytes, the same keys and values"
done
