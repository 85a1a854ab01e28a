//! Turns `proto/*.proto` into Rust, with no `protoc`: messages only, since the server speaks gRPC
//! through its own layer. The JSON gateway reads the same messages' descriptors.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use prost::Message;

/// Messages that hold a password or a token: `wire` says how they are shown.
const SECRET: [&str; 4] = [
    "AuthenticateRequest",
    "AuthenticateResponse",
    "AuthUserAddRequest",
    "AuthUserChangePasswordRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["etcdserverpb", "mvccpb", "authpb", "lock", "election", "health", "raft"]
        .map(|name| format!("{name}.proto"));
    let descriptors = protox::compile(files, ["proto"])?;
    let out = env::var_os("OUT_DIR").ok_or("cargo gives a folder to write into")?;
    fs::write(Path::new(&out).join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new()
        .bytes(["."])
        .skip_debug(SECRET.map(|message| format!(".etcdserverpb.{message}")))
        .compile_fds(descriptors)?;
    // What others are told, in their words, and what replicas tell each other.
    let descriptors = protox::compile(["otlp.proto", "profile.proto", "peer.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
