//! Real access traces, where they are; see [`folder`].

use std::{env, path::PathBuf, process::Command};

/// Where the traces are: `$TRACES`, or `../shared/data/traces` beside the repository. None if there is no such folder.
pub fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/traces");
    let folder = env::var_os("TRACES").map_or_else(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// The accesses of a trace: big-endian 32-bit numbers in an xz file, which the program `xz` unpacks.
pub fn read(name: &str) -> Result<Vec<u32>, String> {
    let folder = folder().ok_or("there is no folder of traces; set TRACES to where it is")?;
    let file = folder.join(format!("{name}.trace.xz"));
    let unpacked = Command::new("xz")
        .args(["--decompress", "--stdout"])
        .arg(&file)
        .output()
        .map_err(|error| format!("the program xz does not run ({error}); install xz-utils"))?;
    if !unpacked.status.success() {
        return Err(format!("xz could not read {}: {}", file.display(), String::from_utf8_lossy(&unpacked.stderr)));
    }
    Ok(unpacked.stdout.chunks_exact(4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]])).collect())
}
