//! Turns `proto/*.proto` into Rust, with no `protoc`: messages only, since the server speaks gRPC
//! through its own layer.

use std::error::Error;

/// Messages that hold a password or a token: `wire` says how they are shown.
const SECRET: [&str; 4] = [
    "AuthenticateRequest",
    "AuthenticateResponse",
    "AuthUserAddRequest",
    "AuthUserChangePasswordRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["etcdserverpb.proto", "mvccpb.proto", "authpb.proto", "health.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    prost_build::Config::new()
        .bytes(["."])
        .skip_debug(SECRET.map(|message| format!(".etcdserverpb.{message}")))
        .compile_fds(descriptors)?;
    Ok(())
}
