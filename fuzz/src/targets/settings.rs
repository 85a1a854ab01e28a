//! The configuration: a file, and a command line.

use server::config::{Invocation, from_process};

use super::says;

fn judge(args: Vec<String>, text: &str) {
    match from_process(args, [], |_| Ok(text.to_owned())) {
        Invocation::Refuse { message, exit_code } => {
            says(&message);
            assert!(exit_code > 0, "a refusal is no success");
        }
        Invocation::Print(text) => says(&text),
        _ => {}
    }
}

/// A configuration file.
pub fn config(data: &[u8]) {
    let args = ["meridian", "--config-file=x.yaml"].map(str::to_owned).to_vec();
    judge(args, &String::from_utf8_lossy(data));
}

/// A command line, an argument a line.
pub fn arguments(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let args = std::iter::once("meridian").chain(text.lines()).map(str::to_owned).collect();
    judge(args, "name: x");
}

pub(super) fn files() -> Vec<Vec<u8>> {
    [
        "name: one\ndata-dir: d\nquota-backend-bytes: 1073741824\nauto-compaction-mode: periodic\n\
         auto-compaction-retention: '1h'\nlisten-client-urls: http://127.0.0.1:2379,unix://s:1\n\
         advertise-client-urls: http://127.0.0.1:2379\nsnapshot-count: 10000\n",
        "{\"name\": \"one\", \"heartbeat-interval\": 100, \"client-transport-security\": {\"cert-file\": \
         \"c\", \"key-file\": \"k\", \"client-cert-auth\": true}, \"log-outputs\": [\"stderr\"]}",
        "a: &a [1, 2]\nb: *a\nc: !!str x\nname: |\n  one\n  two\n",
        "initial-cluster: one=http://127.0.0.1:2380\ninitial-advertise-peer-urls: \
         http://127.0.0.1:2380\nname: one\ncors: '*'\nhost-whitelist: a,b\nfeature-gates: X=true\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(super) fn lines() -> Vec<Vec<u8>> {
    [
        "--name=one\n--data-dir\nd\n--listen-client-urls=http://127.0.0.1:2379,https://[::1]:1\n\
         --advertise-client-urls\nhttp://h:2379\n--quota-backend-bytes=2GB\n--max-txn-ops=0x80",
        "restore\na.db\n--data-dir=x\n--bump-revision\n5\n--mark-compacted\n--name=m",
        "check\n--data-dir=x",
        "--journal=postgres://u@h/db\n--initial-cluster-token=t\n--name=a\n\
         --initial-cluster=a=http://h:2380",
        "--auth-token=jwt,pub-key=a,priv-key=b,sign-method=RS256,ttl=5m\n--cipher-suites=A,B\n--bcrypt-cost=4",
        "--grpc-keepalive-min-time=1h5m\n--log-rotation-config-json={\"maxsize\": 1}\n--log-level=debug",
        "--version",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
