//! A process of a server that ends with its test, however the test ends.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

/// Starts the server, says its number, and ends it when its own input ends: that is when the test lets go of it, or is
/// gone itself, even killed, and even if the server stands in a static (which nobody drops). A folder that nobody else
/// removes is removed then too.
const WATCHER: &str = r#"
folder="$1"; shift
exec 3<&0
"$@" </dev/null 2>&1 3<&- & server=$!
echo "number $server"
( read -r end <&3; kill -9 $server ) 2>/dev/null & reader=$!
wait $server
kill $reader 2>/dev/null
echo gone
[ -z "$folder" ] || rm -rf "$folder"
"#;
/// What servers say that are ready.
const READY: [&str; 2] = ["Ready to accept connections", "Sentinel ID is"];

/// A running server.
pub(super) struct Process {
    watcher: Child,
    number: u32,
}

impl Process {
    /// Starts `redis-server` with these arguments and waits until it is ready; none if it did not get so far, which
    /// may be because its port was taken. `orphan`: a folder to remove when it ends.
    pub(super) fn start(arguments: &[String], orphan: Option<&Path>) -> Option<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHER, "sh"]).arg(orphan.unwrap_or(Path::new(""))).arg("redis-server").args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut watcher = command.spawn().expect("there is a shell");
        let lines = BufReader::new(watcher.stdout.take().expect("piped above")).lines();
        let (say, said) = mpsc::channel();
        // Reads on to the end, so that the server never waits for its reader.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = say.send(line);
            }
        });
        let (mut number, mut is_ready) = (None, false);
        for line in said {
            number = number.or_else(|| line.strip_prefix("number ")?.parse().ok());
            assert!(
                !line.contains("redis-server: not found"),
                "redis-server cannot be run; install Redis 7: apt install redis-server, or brew install redis"
            );
            if line == "gone" {
                break;
            }
            // The two may come in either order: they are said by two processes.
            is_ready |= READY.iter().any(|text| line.contains(text));
            if let (true, Some(number)) = (is_ready, number) {
                return Some(Self { watcher, number });
            }
        }
        end(&mut watcher);
        None
    }

    /// Sends a signal by its name.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.number.to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "the process is ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.watcher);
    }
}

fn end(watcher: &mut Child) {
    drop(watcher.stdin.take());
    let _ = watcher.wait();
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}
