//! Flags whose effect is the whole process's: its log, its memory, its disk, its last words.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use server::wire::etcdserverpb as pb;

use super::collector::collector;
use super::running::{Process, free_address, meridian, run};

#[test]
fn a_flag_without_effect_is_named_once_and_the_log_goes_where_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (log, address) = (dir.path().join("m.log"), free_address());
    let mut command = meridian(&dir.path().join("data"), address);
    command.arg(format!("--log-outputs=stderr,{}", log.display()));
    command.args(["--enable-log-rotation", "--log-level=debug", "--pre-vote", "--max-wals=7"]);
    let process = Process::run(command, address);
    process.signal("TERM");
    assert!(process.ended().status.success());
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for name in ["pre-vote", "max-wals"] {
        let said = lines.iter().filter(|line| line["setting"] == name).count();
        assert_eq!(said, 1, "{name}: {text}");
    }
    assert_eq!(lines.last().unwrap()["msg"], "stopped");
}

#[test]
fn memory_is_locked_or_the_reason_told() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let rights = std::fs::read_to_string("/proc/self/status").unwrap();
    let rights = rights.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let may = u64::from_str_radix(rights.trim(), 16).unwrap() & 1 << 14 != 0;
    let plain = meridian(dir.path(), address);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -l 64 && exec \"$0\" \"$@\""]).arg(plain.get_program());
    limited.args(plain.get_args()).arg("--memory-mlock").stderr(std::process::Stdio::piped());
    if !may {
        return run(limited).said(1, &["RLIMIT_MEMLOCK", "65536 bytes may be locked"]);
    }
    let process = Process::run(limited, address);
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    let locked: u64 = locked.trim().trim_end_matches("kB").trim().parse().unwrap();
    assert!(locked > 0, "{status}");
}

#[tokio::test]
async fn without_sync_the_data_outlive_the_process_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let unsynced = |address| {
        let mut command = meridian(dir.path(), address);
        command.arg("--unsafe-no-fsync");
        command
    };
    let address = free_address();
    let process = Process::run(unsynced(address), address);
    for n in 0..100 {
        process.client().await.put(&format!("k{n}"), "v").await;
    }
    process.signal("KILL");
    drop(tokio::task::spawn_blocking(move || process.ended()).await.unwrap());
    let again = Process::start(dir.path());
    let all = again.client().await.range(super::support::everything()).await.unwrap();
    assert_eq!(all.count, 100);
}

#[test]
fn profiles_are_there_when_asked_for() {
    for (flag, code) in [("--enable-pprof", "200"), ("--enable-pprof=false", "404")] {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let mut command = meridian(dir.path(), address);
        command.arg(flag);
        let _process = Process::run(command, address);
        let mut socket = TcpStream::connect(address).unwrap();
        socket
            .write_all(b"GET /debug/pprof/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with(&format!("HTTP/1.1 {code} ")), "{flag}: {reply}");
    }
}

#[tokio::test]
async fn the_last_spans_are_told_before_the_end() {
    let (collector, mut hears) = collector(0).await;
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut command = meridian(dir.path(), address);
    command.args(["--enable-distributed-tracing", "--distributed-tracing-sampling-rate=1000000"]);
    command.arg(format!("--distributed-tracing-address={collector}"));
    let process =
        tokio::task::spawn_blocking(move || Process::run(command, address)).await.unwrap();
    let mut client = process.client().await;
    let put = pb::PutRequest { key: "k".into(), ..Default::default() };
    client.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", put).await.unwrap();
    process.signal("TERM");
    let ended = tokio::task::spawn_blocking(move || process.ended()).await.unwrap();
    assert!(ended.status.success());
    let request =
        tokio::time::timeout(Duration::from_secs(5), hears.recv()).await.unwrap().unwrap();
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans[0].name, "etcdserverpb.KV/Put");
}

#[tokio::test]
async fn two_may_share_a_port_if_both_are_told_to() {
    let address = free_address();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let shared = |dir: &tempfile::TempDir| {
        let mut command = meridian(dir.path(), address);
        command.arg("--socket-reuse-port");
        Process::run(command, address)
    };
    let first = shared(&dirs[0]);
    let second = shared(&dirs[1]);
    drop(first);
    second.client().await.put("k", "the one that is left answers").await;
    let mut alone = meridian(dirs[0].path(), address);
    alone.arg("--socket-reuse-port=false");
    run(alone).said(1, &["cannot listen on", "stop what listens there"]);
}
