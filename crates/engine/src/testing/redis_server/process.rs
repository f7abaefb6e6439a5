//! A process of a server that ends with its test, however the test ends.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use crate::testing::leashed;

/// What servers say that are ready.
const READY: [&str; 2] = ["Ready to accept connections", "Sentinel ID is"];
/// What a shell answers for a program that there is not.
const NO_SUCH_PROGRAM: i32 = 127;

/// A running server; it is killed when it is dropped.
pub(super) struct Process(Child);

impl Process {
    /// Starts `redis-server` with these arguments and waits until it is ready; none if it did not get so far, which
    /// may be because its port was taken.
    pub(super) fn start(arguments: &[String]) -> Option<Self> {
        let mut command = leashed("redis-server");
        command.args(arguments).stdout(Stdio::piped());
        let mut process = Self(command.spawn().expect("there is a shell"));
        let lines = BufReader::new(process.0.stdout.take().expect("piped above")).lines();
        let (say, said) = mpsc::channel();
        // Reads on to the end, so that the server never waits for its reader.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = say.send(line);
            }
        });
        if said.iter().any(|line| READY.iter().any(|text| line.contains(text))) {
            return Some(process);
        }
        let status = process.0.wait().expect("it is our child");
        assert!(
            status.code() != Some(NO_SUCH_PROGRAM),
            "redis-server cannot be run; install Redis 7: apt install redis-server, or brew install redis"
        );
        None
    }

    /// Sends a signal by its name.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.0.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "the process is ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}
