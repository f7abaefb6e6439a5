//! Temporary folders of tests, which are gone when the process is, however it ends.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

/// Waits for the end of its input, which is the end of this process. Servers that work in the folders may still be about
/// to end then and write one more file, which stops `rm`; in a folder that is gone, they cannot.
const KEEPER: &str = r#"
read -r end
for try in 1 2 3 4 5 6 7 8; do rm -rf "$1" 2>/dev/null && exit; done
exec rm -rf "$1"
"#;

/// A folder of a test's own. It is removed when it is dropped; else (it stands in a static, or the process is killed)
/// with the process.
#[derive(Debug)]
pub struct Folder(TempDir);

/// All of this process's folders are in one, and a process of its own removes that.
struct Root {
    path: PathBuf,
    _keeper: ChildStdin,
}

impl Folder {
    /// Makes one.
    ///
    /// # Panics
    /// If there is no room for it.
    pub fn new() -> Self {
        let made = TempDir::new_in(&root().path);
        Self(made.expect("there is room for a temporary folder"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

#[expect(clippy::zombie_processes, reason = "it outlives this process, to tidy up after it")]
fn root() -> &'static Root {
    static ROOT: OnceLock<Root> = OnceLock::new();
    ROOT.get_or_init(|| {
        let made = tempfile::Builder::new().prefix("unstale-tests-").tempdir();
        let path = made.expect("there is room for a temporary folder").keep();
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "sh"]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::null());
        // In a group of its own, so that what ends the tests (Ctrl-C, a limit of time) does not end it.
        let mut keeper = command.process_group(0).spawn().expect("there is a shell");
        Root { path, _keeper: keeper.stdin.take().expect("piped above") }
    })
}
