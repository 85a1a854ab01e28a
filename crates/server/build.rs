//! Turns `proto/*.proto` into Rust, with no `protoc`: messages only, since the server speaks gRPC
//! through its own layer.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["etcdserverpb.proto", "mvccpb.proto", "health.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    // What others are told, in their words.
    let descriptors = protox::compile(["otlp.proto", "profile.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
