//! Turns `proto/*.proto` into Rust, with no `protoc`: messages only, since the server speaks gRPC
//! through its own layer. The JSON gateway reads the same messages' descriptors.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["etcdserverpb.proto", "mvccpb.proto", "health.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    let out = env::var_os("OUT_DIR").ok_or("cargo gives a folder to write into")?;
    fs::write(Path::new(&out).join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
