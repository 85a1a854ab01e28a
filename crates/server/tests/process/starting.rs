//! What a process makes of the place it is started in.

use std::process::Command;

use super::running::{Process, free_address, meridian};

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let plain = meridian(dir.path(), address);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -Sn 300 && ulimit -Hn 700 && exec \"$0\" \"$@\""]);
    limited.arg(plain.get_program()).args(plain.get_args());
    limited.stderr(std::process::Stdio::piped());
    let process = Process::run(limited, address);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["700", "700"]);
}

#[tokio::test]
async fn an_empty_folder_called_member_is_no_etcd() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("member")).unwrap();
    let process = Process::start(dir.path());
    process.client().await.put("key", "value").await;
    assert!(dir.path().join("identity").exists());
}
