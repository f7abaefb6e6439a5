//! A real Redis server for a test: started on a free port, stopped when it is dropped, also by a test that fails.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use crate::{CacheVersion, RedisLimits, RedisSettings};
use tempfile::TempDir;

/// A running server. Its data stay in a folder of its own, also while it is stopped.
pub struct RedisServer {
    process: Child,
    port: u16,
    dir: TempDir,
}

const FOLDER: &str = "there is room for a temporary folder";
const OURS: &str = "the process is ours";
/// Another process may take the free port first.
const STARTS_MAX: usize = 10;

impl RedisServer {
    /// Starts one, empty.
    ///
    /// # Panics
    /// If `redis-server` is not installed: these tests are not skipped.
    pub fn start() -> Self {
        let dir = TempDir::new().expect(FOLDER);
        for _ in 0..STARTS_MAX {
            let port = free_port();
            if let Some(process) = start(port, &dir) {
                return Self { process, port, dir };
            }
        }
        panic!("redis-server did not start on any of {STARTS_MAX} free ports");
    }

    /// The process, to be stopped and continued by signals.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill().expect(OURS);
        self.process.wait().expect(OURS);
    }

    /// Starts it again after `kill`: with what was written by `SAVE`, else empty.
    pub fn start_again(&mut self) {
        self.process = start(self.port, &self.dir).expect("the port was its own a moment ago");
    }

    /// Runs a command, from outside the cache.
    pub fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let client = redis::Client::open(self.url()).expect("a URL of our own");
        let mut line = redis::cmd(command[0]);
        line.arg(&command[1..]);
        let mut connection = client.get_connection().expect("the server runs");
        line.query(&mut connection).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Names of its keys that match `pattern`, sorted.
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.run(&["KEYS", pattern]);
        keys.sort();
        keys
    }

    /// Deletes the keys that match `pattern`.
    pub fn delete(&self, pattern: &str) {
        for key in self.keys(pattern) {
            self.run::<()>(&["DEL", &key]);
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}

/// None if it did not get as far as accepting connections.
fn start(port: u16, dir: &TempDir) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap_or_else(|error| {
        panic!("redis-server cannot be run ({error}); install Redis 7: apt install redis-server, or brew install redis")
    });
    let lines = BufReader::new(process.stdout.take().expect("piped above")).lines();
    let (ready, is_ready) = mpsc::channel();
    // Reads on to the end, so that the server never waits for its reader.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if line.contains("Ready to accept connections") {
                let _ = ready.send(());
            }
        }
    });
    if is_ready.recv().is_ok() {
        return Some(process);
    }
    let _ = process.kill();
    let _ = process.wait();
    None
}

/// Settings for a store on `server`.
pub fn settings(server: &RedisServer, namespace: &str) -> RedisSettings {
    RedisSettings {
        url: server.url(),
        namespace: namespace.into(),
        version: CacheVersion::default(),
        limits: RedisLimits::default(),
    }
}
