//! Pitfall ac: the last line says why the process stops, and only a stop that was asked for is 0.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::running::{Process, free_address, meridian, run};

#[tokio::test]
async fn a_signal_ends_it_in_good_order() {
    for name in ["TERM", "INT"] {
        let dir = tempfile::tempdir().unwrap();
        let process = Process::start(dir.path());
        let mut client = process.client().await;
        client.put("a", "1").await;
        // An open watch does not hold it up.
        let watch = super::support::Client::talk::<_, server::wire::etcdserverpb::WatchResponse>;
        let path = "/etcdserverpb.Watch/Watch";
        let create = server::wire::etcdserverpb::WatchRequest::default();
        let (say, _hear) = watch(&mut client, path).await;
        say.send(create).await.unwrap();
        process.signal(name);
        let words = ["\"stopped\"", &format!("SIG{name}")];
        tokio::task::spawn_blocking(move || process.ended()).await.unwrap().said(0, &words);
    }
}

#[test]
fn a_flag_that_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = meridian(&dir.path().join("data"), free_address());
    command.arg("--no-such-flag=1");
    let ended = run(command);
    ended.said(2, &["no-such-flag"]);
    assert!(!dir.path().join("data").exists(), "nothing was made before the flags were read");
}

#[test]
fn a_value_that_is_none_is_named_with_its_flag() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = meridian(dir.path(), free_address());
    command.arg("--quota-backend-bytes=plenty");
    let ended = run(command);
    assert!(!ended.status.success());
    for word in ["quota-backend-bytes", "plenty"] {
        assert!(ended.last.contains(word), "{ended:?}");
    }
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    run(meridian(&data, address)).said(1, &["cannot listen on", &address.to_string()]);
    assert!(!data.exists());
}

/// Of unix sockets, one that a dead process left is taken over; a file is not touched.
#[test]
fn a_file_in_the_place_of_a_unix_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("notes"), dir.path().join("data"));
    fs::write(&file, b"of somebody").unwrap();
    let listen = |path: &Path| {
        let url = format!("unix://{}", path.display());
        let mut command = meridian(&data, free_address());
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command
    };
    run(listen(&file)).said(1, &["cannot listen on unix://", file.to_str().unwrap()]);
    assert_eq!(fs::read(&file).unwrap(), b"of somebody");
    assert!(!data.exists());
    let left = dir.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    let process = Process::run(listen(&left), free_address());
    process.signal("TERM");
    process.ended().said(0, &["SIGTERM"]);
    assert!(!left.exists(), "as etcd, it takes its socket's file along");
}

#[test]
fn a_second_process_on_a_directory_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let first = Process::start(dir.path());
    let folder = dir.path().to_str().unwrap();
    run(meridian(dir.path(), free_address())).said(1, &["stopped", folder]);
    first.signal("TERM");
    first.ended().said(0, &["SIGTERM"]);
}

#[test]
fn an_etcds_directory_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["member/snap", "member/wal"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("member/snap/db"), b"bolt").unwrap();
    run(meridian(dir.path(), free_address())).said(1, &["etcd", dir.path().to_str().unwrap()]);
    assert_eq!(names(dir.path()), ["member"]);
}

#[tokio::test]
async fn a_damaged_journal_is_refused_with_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut client = process.client().await;
    for n in 0..50 {
        client.put(&format!("k{n}"), "a value that is easily found").await;
    }
    drop(process);
    let (file, mut bytes, at) = files(dir.path())
        .into_iter()
        .find_map(|file| {
            let bytes = fs::read(&file).unwrap();
            let found = bytes.windows(12).position(|window| window == b"easily found");
            found.map(|at| (file, bytes, at))
        })
        .expect("the journal holds the value");
    bytes[at] ^= 0x20;
    fs::write(&file, &bytes).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    run(meridian(dir.path(), free_address())).said(1, &["stopped", name, "at byte"]);
    assert_eq!(fs::read(&file).unwrap(), bytes, "the damage is left to look at");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut found): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    found.extend(folders.iter().flat_map(|folder| files(folder)));
    found
}
