#!/usr/bin/env bash
# Plants mistakes, one at a time, and says within how many seeds the simulation catches each: `run.sh [NAME...]`.
#
# Each NAME.patch makes one plausible mistake, and hangs on the switch of switch.patch, so that one build in a
# scratch worktree of HEAD holds them all and each run makes one: the one that PLANTED names. SEEDS, FROM, JOBS and
# MINUTES (for one mistake) may be set, and SIM: what such a build made before. "none" makes none, and must find
# nothing. A patch that says "Worlds: --disk" is looked for in worlds of that kind only; all others are where
# replicas share a journal.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
seeds=${SEEDS:-200} from=${FROM:-1} jobs=${JOBS:-$(nproc)} minutes=${MINUTES:-30}
if [[ $# -gt 0 ]]; then
    names=("$@")
else
    names=(none)
    for patch in "$here"/*.patch; do
        name=$(basename "$patch" .patch)
        [[ $name == switch ]] || names+=("$name")
    done
fi

scratch=$(mktemp -d)
trap 'git -C "$root" worktree remove --force "$scratch/tree" 2>/dev/null || true; rm -rf "$scratch"' EXIT

build() {
    git -C "$root" worktree add --quiet --detach "$scratch/tree" HEAD
    git -C "$scratch/tree" apply "$here/switch.patch"
    for patch in "$here"/*.patch; do
        [[ $patch == */switch.patch ]] || git -C "$scratch/tree" apply "$patch"
    done
    local target=${CARGO_TARGET_DIR:-$root/sim/target}
    (cd "$scratch/tree/sim" && CARGO_TARGET_DIR=$target cargo build --quiet --locked)
    cp "$target/debug/sim" "$scratch/sim"
}

# One row of the table.
plant() {
    local name=$1 said="$scratch/$1.said" run found why worlds
    worlds=$(sed -n 's/^Worlds: //p' "$here/$name.patch" 2>/dev/null || true)
    [[ $name == none ]] || worlds=${worlds:---replicas}
    (cd "$scratch" && PLANTED=$name timeout $((minutes * 60)) ./sim "$seeds" --from "$from" --jobs "$jobs" --first $worlds) \
        >"$said" 2>/dev/null || true
    run=$(sed -n 's/^\([0-9]*\) seeds, .*/\1/p' "$said")
    found=$(grep -m1 '^seed [0-9]* FOUND: ' "$said" || true)
    why=$(cut -d: -f2- <<<"$found" | cut -c2-110 | tr '|' '/')
    if [[ -n $found ]]; then
        echo "| $name | ${run:-?} | $(cut -d' ' -f2 <<<"$found") | $why |"
    else
        echo "| $name | not in ${run:-the time given} | | |"
    fi
}

if [[ -n ${SIM:-} ]]; then cp "$SIM" "$scratch/sim"; else build; fi
echo "| planted | caught within seeds | by seed | finding |"
echo "|---|---|---|---|"
for name in "${names[@]}"; do
    plant "$name"
done
