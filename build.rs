//! Compiles `proto/` with protox, so that nobody needs a `protoc`, and keeps
//! the descriptor set: reflection answers from it, and REST paths are read from
//! its `google.api.http` options.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let services = fs::read_dir("proto/flagstaff/v1")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(services)?;

    #[expect(clippy::disallowed_methods, reason = "cargo tells build scripts by env alone")]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // This encoding keeps the options; the decoded set drops extensions it does not know.
    fs::write(out.join("flagstaff.bin"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        // Operations whose bodies come later answer UNIMPLEMENTED.
        .generate_default_stubs(true)
        .codec_path("crate::wire::codec::Codec")
        .btree_map(".")
        // The contract's comments are for its readers in every language; rustdoc would
        // take their angle brackets and indexes for markup.
        .disable_comments(["."])
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
