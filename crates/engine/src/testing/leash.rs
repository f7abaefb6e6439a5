//! Processes that do not outlive the test which started them, however that ends.

use std::{
    ffi::OsStr,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

/// Becomes the program, which has this shell's number then. What stays behind kills it when the input ends.
const LEASH: &str = r#"
exec 3<&0
( read -r end <&3; kill -9 $$ ) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"#;

/// A command whose process is killed when its input ends: when this process is gone, even killed, or lets go of
/// [`Child::stdin`](std::process::Child::stdin). Who waits for an end in peace takes that out before: `wait` lets go of it.
///
/// It ends with 127 if there is no such program.
pub fn leashed(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", LEASH, "sh"]).arg(program).stdin(Stdio::piped());
    // In a group of its own: what ends the tests at once (Ctrl-C, a limit of time) ends it by the leash.
    command.process_group(0);
    command
}
