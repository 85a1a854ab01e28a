#!/usr/bin/env bash
# Moves stores from a real etcd to Meridian, and asks both the same: revisions, every key at each of them, HashKV,
# leases, alarms, users, roles, watches into the past. Each way in is taken: a snapshot, a directory that was
# stopped, one that was killed, one with its log elsewhere, a checkpoint. ETCD, ETCDCTL, ETCDUTL and MERIDIAN
# name the programs. Other versions of etcd are taken as sources with OTHER_ETCDS="path path".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/../bin
etcd=${ETCD:-$bin/etcd}
export ETCDCTL=${ETCDCTL:-$bin/etcdctl}
etcdutl=${ETCDUTL:-$bin/etcdutl}
meridian=${MERIDIAN:-$here/../../target/release/meridian}
port=${PORT:-24690}
export URL=http://127.0.0.1:$port
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$work"' EXIT
failed=0

serve() { # program, data directory, more flags
    "$1" --data-dir "$2" --listen-client-urls "$URL" --advertise-client-urls "$URL" \
        --listen-peer-urls "http://127.0.0.1:$((port + 1))" --log-level fatal "${@:3}" >>"$work/log" 2>&1 &
    pid=$!
    for _ in $(seq 150); do
        curl -sf "$URL/version" >/dev/null && return
        sleep 0.1
    done
    echo "$1 does not start; its log ends:" >&2
    tail -5 "$work/log" >&2
    exit 1
}
stop() {
    kill "$1" "$pid"
    { wait "$pid" || true; } 2>/dev/null
    pid=
}
restore() { "$meridian" restore "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }; }
ctl() { "$ETCDCTL" --endpoints "$URL" "$@"; }

# What the directory $2, served by $1, answers.
answers() {
    serve "$1" "$2"
    "$here/expect.sh" "${@:4}" >"$work/$3" 2>"$work/$3.errors" || { cat "$work/$3.errors" >&2; exit 1; }
    # From the oldest revision that is left on, in the order in which it happened.
    from=$(sed -n 's/^compacted //p' "$work/$3")
    from=$((from > 0 ? from + 1 : 1))
    timeout 2 "$ETCDCTL" --endpoints "$URL" "${@:4}" watch '' --prefix --rev "$from" -w json 2>/dev/null |
        sed 's/"Header":{[^}]*},*//' >>"$work/$3" || true
    stop -TERM
}
compare() { # name, expected, found
    if diff "$work/$2" "$work/$3" >"$work/difference"; then
        echo "same: $1 ($(grep -c . "$work/$2") lines)"
    else
        echo "DIFFERS: $1"
        head -20 "$work/difference" | cut -c1-300
        failed=1
    fi
}

one_source() { # name, etcd
    name=$1 source=$2
    export OLD=0
    case $name in 3.4.*) OLD=1 ;; esac
    w=$work/$name
    mkdir "$w"
    # Stopped in order; its answers are those after a restart, as a restored store gives them.
    serve "$source" "$w/etcd"
    "$here/history.sh" history
    ctl snapshot save "$w/first.db" >/dev/null 2>&1
    stop -TERM
    cp -r "$w/etcd" "$w/copy"
    answers "$source" "$w/copy" "$name.first"
    restore "$w/first.db" --data-dir "$w/m1"
    answers "$meridian" "$w/m1" "$name.snapshot"
    compare "$name: snapshot" "$name.first" "$name.snapshot"
    restore "$w/etcd" --data-dir "$w/m2"
    answers "$meridian" "$w/m2" "$name.stopped"
    compare "$name: stopped directory" "$name.first" "$name.stopped"
    # Killed, with most of what was done last in the log alone.
    serve "$source" "$w/etcd" $(batches "$source")
    "$here/history.sh" tail rights
    stop -KILL
    restore "$w/etcd" --data-dir "$w/m3"
    grep 'of the log were applied' "$work/said" || echo "(nothing was in the log alone)"
    mkdir "$w/elsewhere"
    cp -r "$w/etcd" "$w/split"
    mv "$w/split/member/wal" "$w/elsewhere/wal"
    restore "$w/split" --wal-dir "$w/elsewhere/wal" --data-dir "$w/m4"
    answers "$source" "$w/etcd" "$name.second" --user root:pw
    answers "$meridian" "$w/m3" "$name.killed" --user root:pw
    compare "$name: killed directory" "$name.second" "$name.killed"
    answers "$meridian" "$w/m4" "$name.wal-dir" --user root:pw
    compare "$name: log elsewhere" "$name.second" "$name.wal-dir"
    # With an alarm on, and users: a snapshot of that. (Not NOSPACE, which Meridian takes back by itself.)
    serve "$source" "$w/etcd"
    token=$(curl -sSf -X POST "$URL/v3/auth/authenticate" -d '{"name":"root","password":"pw"}' |
        sed 's/.*"token":"\([^"]*\)".*/\1/')
    curl -sSf -X POST -H "Authorization: $token" "$URL/v3/maintenance/alarm" \
        -d '{"action":"ACTIVATE","memberID":"10276657743932975437","alarm":"CORRUPT"}' >/dev/null
    ctl --user root:pw snapshot save "$w/second.db" >/dev/null 2>&1
    stop -TERM
    answers "$source" "$w/etcd" "$name.third" --user root:pw
    grep -q 'alarms .*CORRUPT' "$work/$name.third" || { echo "no alarm to compare"; failed=1; }
    restore "$w/second.db" --data-dir "$w/m5"
    answers "$meridian" "$w/m5" "$name.alarmed" --user root:pw
    compare "$name: snapshot with users and an alarm" "$name.third" "$name.alarmed"
    # And back: what Meridian saves, etcd restores.
    serve "$meridian" "$w/m5"
    ctl --user root:pw snapshot save "$w/back.db" >/dev/null 2>&1
    stop -TERM
    "$etcdutl" snapshot restore "$w/back.db" --data-dir "$w/back" >/dev/null 2>&1
    answers "$etcd" "$w/back" "$name.back" --user root:pw
    compare "$name: to Meridian and back to etcd 3.7" "$name.third" "$name.back"
    # Meridian's own.
    restore "$w/m5" --data-dir "$w/m6"
    answers "$meridian" "$w/m6" "$name.again" --user root:pw
    compare "$name: Meridian's directory" "$name.alarmed" "$name.again"
    restore "$(ls "$w"/m5/checkpoints/*.checkpoint | tail -1)" --data-dir "$w/m7"
    answers "$meridian" "$w/m7" "$name.checkpoint" --user root:pw
    compare "$name: Meridian's checkpoint" "$name.alarmed" "$name.checkpoint"
}

# Flags that keep what is written out of the database, where this etcd has them.
batches() {
    "$1" --help 2>&1 | grep -q backend-batch-interval && echo "--backend-batch-interval 1h"
    true
}

# As etcdutl does it, but for a record without a key that etcdutl makes and HashKV counts.
bumped() {
    w=$work/3.7
    answer='revision\|compacted\|keys\|lease'
    "$etcdutl" snapshot restore "$w/first.db" --data-dir "$w/bumped" --bump-revision 1000 \
        --mark-compacted >/dev/null 2>&1
    answers "$etcd" "$w/bumped" utl.all
    restore "$w/first.db" --data-dir "$w/m8" --bump-revision 1000 --mark-compacted
    answers "$meridian" "$w/m8" bumped.all
    grep "$answer" "$work/utl.all" >"$work/utl"
    grep "$answer" "$work/bumped.all" >"$work/bumped"
    compare "bump and mark, beside etcdutl" utl bumped
}

# An etcd that runs is left alone.
running() {
    w=$work/3.7
    serve "$etcd" "$w/copy"
    if "$meridian" restore "$w/copy" --data-dir "$w/no" 2>"$work/said"; then
        echo "DIFFERS: a running etcd's directory was taken"
        failed=1
    else
        grep -q 'an etcd runs on it' "$work/said" && [ ! -e "$w/no/checkpoints" ] && echo "refused: a running etcd"
    fi
    stop -TERM
}

# Three members. Stopped in order, each directory has everything; killed, each is taken as far as its own log
# says that it is committed.
cluster() { # signal
    members=
    for i in 1 2 3; do members=$members,c$i=http://127.0.0.1:$((port + 10 + i)); done
    pids=
    for i in 1 2 3; do
        client=http://127.0.0.1:$((port + 20 + i))
        "$etcd" --name "c$i" --data-dir "$work/c$1$i" --listen-client-urls "$client" \
            --advertise-client-urls "$client" --listen-peer-urls "http://127.0.0.1:$((port + 10 + i))" \
            --initial-advertise-peer-urls "http://127.0.0.1:$((port + 10 + i))" \
            --initial-cluster "${members#,}" --log-level fatal --backend-batch-interval 1h \
            >>"$work/log" 2>&1 &
        pids="$pids $!"
    done
    client=http://127.0.0.1:$((port + 21))
    for _ in $(seq 150); do curl -sf "$client/readyz" >/dev/null && break; sleep 0.1; done
    URL=$client "$here/history.sh"
    hash=$("$ETCDCTL" --endpoints "$client" endpoint hashkv -w json | sed 's/.*"hash":\([0-9]*\).*/\1/')
    sleep 1
    kill "-$1" $pids
    { wait $pids || true; } 2>/dev/null
    for i in 1 2 3; do
        restore "$work/c$1$i" --data-dir "$work/m$1$i"
        if grep -q "HashKV $hash" "$work/said"; then
            echo "same: member $i of three ($1)"
        elif [ "$1" = KILL ] && grep -q 'of the log were left out: this was one member of 3' "$work/said"; then
            echo "less, and said: member $i of three ($(grep -o 'entries .* of the log were left out' "$work/said"))"
        else
            echo "DIFFERS: member $i of three ($1)"
            cat "$work/said"
            failed=1
        fi
    done
}

one_source 3.7 "$etcd"
cluster TERM
cluster KILL
bumped
running
for other in ${OTHER_ETCDS:-}; do
    one_source "$("$other" --version | sed -n 's/etcd Version: //p')" "$other"
done
exit $failed
