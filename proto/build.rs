//! Compiles the `.proto` files with protox, so that no `protoc` has to be installed.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir("proto/cloudstic/v1")?.map(|file| Ok(file?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .boxed(".cloudstic.v1.ForgetReport.pruned")
        .bytes(".cloudstic.v1.ArchivePart.data")
        .bytes(".cloudstic.v1.FilePart.data")
        .bytes(".cloudstic.v1.ObjectPart.data")
        .skip_debug([".cloudstic.v1.Secret"])
        .compile_fds(descriptors)?;
    Ok(())
}
