#!/usr/bin/env bash
# An emulator of Azure Cosmos DB on 127.0.0.1, over plain http, in memory: npm's @vercel/cosmosdb-server 1.0.1, a third party's.
#
#   emulator.sh install         puts it into conformance/bin, once, as emulator/package-lock.json pins it
#   emulator.sh start PORT      starts one and prints its address when it answers
#   emulator.sh stop PORT       stops it, with all that was in it
#   emulator.sh run PORT        runs it in the place of this script, for who ends it by itself
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="$(cd "$here/.." && pwd)/bin/cosmos-emulator-1.0.1"
kept="${TMPDIR:-/tmp}/cosmos-emulator"
die() { echo "emulator.sh: $*" >&2; exit 1; }
[ $# -ge 1 ] || die "usage: emulator.sh install | start PORT | stop PORT | run PORT"
what=$1 port=${2:-}
[ "$what" = install ] || [ -n "$port" ] || die "$what wants a port"

install() {
  [ -e "$folder/installed" ] && return
  command -v npm >/dev/null || die "npm is missing: install Node.js 20 or newer"
  mkdir -p "$folder"
  # Two judges may begin at once, and one of them installs.
  exec 9>"$folder/lock"
  flock 9
  [ -e "$folder/installed" ] && return
  cp "$here/emulator/package.json" "$here/emulator/package-lock.json" "$folder"
  (cd "$folder" && npm ci --no-audit --no-fund --ignore-scripts >npm.log 2>&1) || die "npm ci: $(tail -5 "$folder/npm.log")"
  touch "$folder/installed"
  exec 9>&-
}
answers() { curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$port/" 2>/dev/null; }

case $what in
install) install ;;
run)
  install
  exec node "$here/emulator/serve.js" "$folder" "$port"
  ;;
start)
  install
  answers && die "port $port is taken"
  nohup node "$here/emulator/serve.js" "$folder" "$port" >"$kept-$port.log" 2>&1 </dev/null &
  echo $! >"$kept-$port.pid"
  for _ in $(seq 100); do
    answers && { echo "http://127.0.0.1:$port/"; exit 0; }
    kill -0 "$(cat "$kept-$port.pid")" 2>/dev/null || break
    sleep 0.1
  done
  die "it does not answer: $(tail -5 "$kept-$port.log")"
  ;;
stop)
  [ -e "$kept-$port.pid" ] || die "none was started on port $port"
  kill "$(cat "$kept-$port.pid")" 2>/dev/null || true
  rm -f "$kept-$port.pid" "$kept-$port.log"
  ;;
*) die "there is no $what" ;;
esac
