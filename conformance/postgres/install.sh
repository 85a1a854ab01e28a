#!/bin/sh
# Installs PostgreSQL with pg_auto_failover from Debian's packages, unless it is
# there. No default cluster is made or started. Needs root only when something is missing.
set -eu
ready() {
    command -v pg_autoctl >/dev/null || return 1
    for control in /usr/share/postgresql/*/extension/pgautofailover.control; do
        [ -e "$control" ] && return 0
    done
    return 1
}
ready && exit 0
[ "$(id -u)" = 0 ] || { echo "PostgreSQL with pg_auto_failover is missing; run $0 as root" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql-common
# The package of the server would otherwise make a cluster of its own and start it.
sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
extension=$(apt-cache search --names-only '^postgresql-[0-9]+-auto-failover$' | awk '{print $1}' | sort -V | tail -1)
[ -n "$extension" ] || { echo "this release has no package postgresql-*-auto-failover" >&2; exit 1; }
server=${extension%-auto-failover}
apt-get install -y -qq --no-install-recommends "$server" "$extension" pg-auto-failover-cli
ready
