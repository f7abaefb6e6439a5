//! Asking a program for something, within bounds: a key service's client, most often.

use std::{process::Stdio, time::Duration};

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use super::KeyService;

/// How long it may take.
const TIME_MAX: Duration = Duration::from_secs(10);
/// How much it may say.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// A key service that is asked by a program: it has to write the keys and end with 0, within 10 s.
#[derive(Clone)]
pub struct KeyCommand(Vec<String>);

impl KeyCommand {
    /// The program and its arguments.
    pub fn new(words: Vec<String>) -> Self {
        Self(words)
    }
}

impl KeyService for KeyCommand {
    fn name(&self) -> String {
        // Its arguments may be a login.
        format!("SEALING_KEY_COMMAND {:?}", self.0.first().map_or("", String::as_str))
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Zeroizing<String>, String>> {
        output(&self.0).boxed()
    }
}

/// What a program writes. It is run as it stands, by no shell; what it writes to its standard error goes nowhere, because
/// nobody knows what it holds. It ends with this call, one way or the other.
async fn output(words: &[String]) -> Result<Zeroizing<String>, String> {
    let (program, arguments) = words.split_first().ok_or("it names no program")?;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let mut stdout = child.stdout.take().expect("it is piped");
    let said = async {
        let mut said = Zeroizing::new(Vec::with_capacity(OUTPUT_BYTES_MAX + 1));
        let mut limited = (&mut stdout).take(OUTPUT_BYTES_MAX as u64 + 1);
        limited.read_to_end(&mut said).await.map_err(|error| format!("it cannot be read: {error}"))?;
        if said.len() > OUTPUT_BYTES_MAX {
            return Err(format!("it writes more than {OUTPUT_BYTES_MAX} bytes"));
        }
        let status = child.wait().await.map_err(|error| format!("it cannot be waited for: {error}"))?;
        if !status.success() {
            return Err(format!("it ends with {status}"));
        }
        let text = str::from_utf8(&said).map_err(|_| "it writes something else than text".to_owned())?;
        Ok(Zeroizing::new(text.to_owned()))
    };
    let ended = tokio::time::timeout(TIME_MAX, said).await;
    ended.unwrap_or_else(|_| Err(format!("it takes longer than {TIME_MAX:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        output(&words).await.map(|text| text.to_string())
    }

    #[tokio::test]
    async fn what_a_program_writes_is_what_is_said() {
        assert_eq!(run(&["printf", "%s", "a;b $HOME"]).await.unwrap(), "a;b $HOME");
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_without_what_was_said() {
        assert!(run(&[]).await.unwrap_err().contains("names no program"));
        assert!(run(&["/nowhere/at/all"]).await.unwrap_err().contains("cannot be started"));
        assert!(run(&["false"]).await.unwrap_err().contains("ends with exit status: 1"));
        assert!(run(&["yes"]).await.unwrap_err().contains("more than 65536 bytes"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_does_not_end_is_ended() {
        assert!(run(&["sleep", "1000"]).await.unwrap_err().contains("longer than 10s"));
    }
}
