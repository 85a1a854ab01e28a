#!/usr/bin/env bash
# A throwaway PostgreSQL from Debian's packages, on loopback, as a user without rights, in a directory of its own.
#
#   server.sh start PORT [NAME=VALUE...]   starts one (settings as in postgresql.conf) and prints its address
#   server.sh stop PORT                    stops it and removes what it left
#   server.sh psql PORT [ARGUMENTS...]     psql in its database
#   server.sh pid PORT                     the postmaster's
#   server.sh certs PORT                   the folder with ca.pem, meridian_cert.pem and meridian_cert.key
set -euo pipefail
user=${POSTGRES_USER:-postgres} base=${POSTGRES_BASE:-/var/tmp}
die() { echo "server.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || die "usage: server.sh start|stop|psql|pid|certs PORT"
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

# A CA, the server's certificate for localhost, and a client's for the role meridian_cert.
certificates() {
  local to=$dir/certs; mkdir -p "$to"
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=throwaway CA' -keyout "$to/ca.key" -out "$to/ca.pem" 2>/dev/null
  for name in localhost meridian_cert; do
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$to/$name.key" -out "$to/$name.csr" 2>/dev/null
    openssl x509 -req -in "$to/$name.csr" -CA "$to/ca.pem" -CAkey "$to/ca.key" -CAcreateserial -days 30 \
      -extfile <(echo "subjectAltName=DNS:$name") -out "$to/$name.pem" 2>/dev/null
  done
  chmod 600 "$to"/*.key
  [ "$(id -u)" != 0 ] || chown "$user" "$to/localhost.key"
}

case $what in
start)
  install_packages
  as "$(bin)/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$dir"; mkdir -p "$dir"
  [ "$(id -u)" != 0 ] || chown "$user" "$dir"
  as "$(bin)/initdb" -D "$dir/data" -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1 || die "$(cat "$dir/initdb.log")"
  certificates
  # Two roles that must prove who they are; everybody else on this machine is trusted.
  { printf '%s\n' 'host all meridian_secret all scram-sha-256' 'hostssl all meridian_cert all cert' \
      'hostnossl all meridian_cert all reject'; as cat "$dir/data/pg_hba.conf"; } | as tee "$dir/hba" >/dev/null
  as mv "$dir/hba" "$dir/data/pg_hba.conf"
  {
    printf '%s\n' "port = $port" "listen_addresses = '127.0.0.1'" "unix_socket_directories = '$dir'" \
      "max_connections = 200" \
      "ssl = on" "ssl_ca_file = '$dir/certs/ca.pem'" "ssl_cert_file = '$dir/certs/localhost.pem'" "ssl_key_file = '$dir/certs/localhost.key'" "logging_collector = off" "log_line_prefix = '%m %p '"
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
certs) echo "$dir/certs" ;;
pid) as head -1 "$dir/data/postmaster.pid" ;;
*) die "unknown: $what" ;;
esac
