//! Refuses to build with a kernel object that is not from the sources beside it.

#![allow(clippy::panic, reason = "a build script ends the build with a message by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace");
    let recorded = root.join("shipper-ebpf/prebuilt/shipper.bpf.o.sources");
    println!("cargo::rerun-if-changed={}", recorded.display());

    // The same list as in shipper-ebpf/build.sh, `sha256sum` lines hashed once more.
    let mut sources: Vec<PathBuf> = ["common/src", "shipper-ebpf/src"]
        .iter()
        .flat_map(|dir| rust_files(&root.join(dir)))
        .filter(|path| !path.ends_with("common/src/decode.rs"))
        .chain(
            [
                "common/Cargo.toml",
                "shipper-ebpf/.cargo/config.toml",
                "shipper-ebpf/Cargo.toml",
                "shipper-ebpf/rust-toolchain.toml",
            ]
            .map(|file| root.join(file)),
        )
        .collect();
    sources.sort();
    let mut list = String::new();
    for path in &sources {
        println!("cargo::rerun-if-changed={}", path.display());
        let bytes =
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.strip_prefix(root).expect("listed below the root");
        writeln!(list, "{}  {}", hex(&Sha256::digest(bytes)), name.display()).expect("to a String");
    }
    let hash = hex(&Sha256::digest(list));
    let recorded = std::fs::read_to_string(&recorded).unwrap_or_default();
    if recorded.trim() != hash {
        println!(
            "cargo::error=the kernel object shipper-ebpf/prebuilt/shipper.bpf.o is not from these \
             sources. Run `make ebpf` (it needs a nightly compiler and bpf-linker; `make ebpf-setup` \
             installs them) and commit shipper-ebpf/prebuilt."
        );
    }
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    println!("cargo::rerun-if-changed={}", dir.display());
    std::fs::read_dir(dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("to a String");
        text
    })
}
