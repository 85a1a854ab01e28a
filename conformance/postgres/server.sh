#!/usr/bin/env bash
# A throwaway PostgreSQL from Debian's packages, on loopback, as a user without rights, in a directory of its own.
#
#   server.sh start PORT [NAME=VALUE...]   starts one (settings as in postgresql.conf) and prints its address
#   server.sh stop PORT                    stops it and removes what it left
#   server.sh psql PORT [ARGUMENTS...]     psql in its database
#   server.sh pid PORT                     the postmaster's
set -euo pipefail
user=${POSTGRES_USER:-postgres} base=${POSTGRES_BASE:-/var/tmp}
die() { echo "server.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || die "usage: server.sh start|stop|psql|pid PORT"
what=$1 port=$2; shift 2
dir=$base/meridian-postgres-$port

install_packages() {
  [ -n "$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] && return
  [ "$(id -u)" = 0 ] || die "there is no PostgreSQL here, and only root can install one"
  # The package would start a cluster of its own.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y postgresql >&2
}
bin() { ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1; }
as() { if [ "$(id -u)" = 0 ]; then (cd / && setpriv --reuid="$user" --regid="$user" --clear-groups -- "$@"); else "$@"; fi; }

case $what in
start)
  install_packages
  as "$(bin)/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$dir"; mkdir -p "$dir"
  [ "$(id -u)" != 0 ] || chown "$user" "$dir"
  as "$(bin)/initdb" -D "$dir/data" -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1 || die "$(cat "$dir/initdb.log")"
  {
    printf '%s\n' "port = $port" "listen_addresses = '127.0.0.1'" "unix_socket_directories = '$dir'" \
      "max_connections = 200" "logging_collector = off" "log_line_prefix = '%m %p '"
    for setting in "$@"; do echo "${setting%%=*} = '${setting#*=}'"; done
  } | as tee -a "$dir/data/postgresql.conf" >/dev/null
  as "$(bin)/pg_ctl" -D "$dir/data" -l "$dir/data/log" -w start >/dev/null || die "$(as tail -20 "$dir/data/log")"
  as "$(bin)/createdb" -h "$dir" -p "$port" -U postgres meridian
  echo "postgres://postgres@127.0.0.1:$port/meridian?sslmode=disable"
  ;;
stop)
  as "$(bin)/pg_ctl" -D "$dir/data" -m fast stop >/dev/null || as "$(bin)/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null || true
  rm -rf "$dir"
  ;;
psql) as "$(bin)/psql" -h "$dir" -p "$port" -U postgres -d meridian "$@" ;;
pid) as head -1 "$dir/data/postmaster.pid" ;;
*) die "unknown: $what" ;;
esac
