//! A real Redis server for a test: started on a free port, stopped when it is dropped, also by a test that fails.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use tempfile::TempDir;
use unstale::{CacheVersion, RedisLimits, RedisSettings};

pub(crate) struct RedisServer {
    process: Child,
    port: u16,
    dir: TempDir,
}

/// Another process may take the free port first.
const STARTS_MAX: usize = 10;

impl RedisServer {
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        for _ in 0..STARTS_MAX {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            if let Some(process) = start(port, &dir) {
                return Self { process, port, dir };
            }
        }
        panic!("redis-server did not start on any of {STARTS_MAX} free ports");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again after `kill`: with what was written by `SAVE`, else empty.
    pub(crate) fn start_again(&mut self) {
        self.process = start(self.port, &self.dir).expect("the port was its own a moment ago");
    }

    /// Runs a command, from outside the cache.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let mut line = redis::cmd(command[0]);
        line.arg(&command[1..]);
        line.query(&mut client.get_connection().unwrap()).unwrap()
    }

    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.run(&["KEYS", pattern]);
        keys.sort();
        keys
    }

    pub(crate) fn delete(&self, pattern: &str) {
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
pub(crate) fn settings(server: &RedisServer, namespace: &str) -> RedisSettings {
    RedisSettings {
        url: server.url(),
        namespace: namespace.into(),
        version: CacheVersion::default(),
        limits: RedisLimits::default(),
    }
}
