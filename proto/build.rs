//! Compiles the `.proto` files with protox, so that no `protoc` has to be installed.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 4] = [
    "cloudstic/v1/daemon.proto",
    "cloudstic/v1/jobs.proto",
    "cloudstic/v1/locks.proto",
    "cloudstic/v1/repositories.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".cloudstic.v1.ArchivePart.data").compile_fds(descriptors)?;
    Ok(())
}
