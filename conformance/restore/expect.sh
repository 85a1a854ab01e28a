#!/usr/bin/env bash
# What a store answers, as text to compare: revisions, every key at each revision that can be read, checksums,
# leases, alarms, users and roles. Needs ETCDCTL and URL; takes etcdctl's own flags (as --user) too.
set -euo pipefail
ctl() { "$ETCDCTL" --endpoints "$URL" "$@"; }
field() { sed -n "s/.*\"$1\":\(-\{0,1\}[0-9]*\).*/\1/p" | head -1; }
now=$(ctl "$@" get absent -w json | field revision)
echo "revision $now"
hash=$(ctl "$@" endpoint hashkv -w json)
compacted=$(printf '%s' "$hash" | field compact_revision)
echo "compacted $compacted"
first=$((compacted > 1 ? compacted : 1))
# OLD=1 is for an etcd 3.4, which has no checksum at the compacted revision itself, and no AuthStatus.
for rev in $(seq "$((first + ${OLD:-0}))" "$now"); do
    hash=$(ctl "$@" endpoint hashkv --rev "$rev" -w json | field hash)
    echo "hash $rev $hash"
done
[ -n "${HASHES_ONLY:-}" ] && exit
for rev in $(seq "$first" "$now"); do
    echo "keys at $rev: $(ctl "$@" get '' --prefix --rev "$rev" -w json | sed 's/.*"revision":[0-9]*,*//; s/"raft_term":[0-9]*}*//')"
done
for id in $(ctl "$@" lease list | sed 1d | sort); do
    lease=$(ctl "$@" lease timetolive --keys -- "$id")
    # etcd has the keys in any order.
    keys=$(printf '%s' "$lease" | sed 's/.*keys(\[\(.*\)\])/\1/' | tr ' ' '\n' | sort | tr '\n' ' ')
    echo "$(printf '%s' "$lease" | sed 's/ *remaining.*//') keys $keys"
done
echo "alarms $(ctl "$@" alarm list)"
[ $# = 0 ] && exit
for user in $(ctl "$@" user list); do ctl "$@" user get "$user"; done
for role in $(ctl "$@" role list); do ctl "$@" role get "$role"; done
[ "${OLD:-0}" = 1 ] || ctl "$@" auth status
ctl --user reader:other get app/9
{ ctl --user reader:other get tail/ 2>&1 || true; } | grep -o 'permission denied' | sort -u
