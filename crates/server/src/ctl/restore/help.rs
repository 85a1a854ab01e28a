//! What `meridian restore --help` says.

/// The text.
#[must_use]
pub const fn help() -> &'static str {
    "Usage:

  meridian restore SOURCE --data-dir DIR [flags]

SOURCE is one of
  a file that `etcdctl snapshot save` has made, of etcd 3.4 to 3.7
  the data directory of a stopped etcd, its write-ahead log included
  an etcd's member/snap/db by itself, with --skip-hash-check
  a checkpoint of Meridian (checkpoints/*.checkpoint), or a data directory that is not in use

Keys with their revisions and versions, the compacted revision, leases, alarms, users and roles
become those of a new data directory. SOURCE is not changed. DIR must be empty or absent.

Flags:
  --data-dir DIR                        the directory to make [NAME.etcd]
  --wal-dir DIR                         where the stopped etcd has its log, if it ran with --wal-dir
  --skip-hash-check                     take a snapshot whose checksum is missing or wrong
  --bump-revision N                     go N revisions forward, so that clients that saw more of the
                                        lost history than is restored see no revision twice
  --mark-compacted                      compact at that revision; required with --bump-revision
  --name NAME                           } who the new member is; computed from these as by etcd.
  --initial-cluster NAME=URL            } Without any of them a data directory keeps its member and
  --initial-cluster-token TOKEN         } cluster, and a snapshot or checkpoint becomes
  --initial-advertise-peer-urls URL     } default=http://localhost:2380, etcd-cluster
  --initial-memory-map-size N           accepted, without meaning here
"
}
