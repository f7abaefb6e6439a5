//! Real Redis servers for tests: alone, watched by sentinels, or as a cluster. Started on free ports, and stopped when
//! they are dropped, also by a test that fails or is killed. They may stand in a static, which nobody drops.

mod certificates;
mod cluster;
mod process;
mod sentinel;

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use self::process::{Process, free_port};
pub use self::{certificates::Certificates, cluster::RedisCluster, sentinel::RedisSentinels};
use crate::{RedisSettings, testing::Folder};

/// A running server. Its data stay in a folder of its own, also while it is stopped.
pub struct RedisServer {
    process: Option<Process>,
    port: u16,
    dir: Folder,
    arguments: Vec<String>,
    /// Of its default user, where these tests need one to look inside.
    password: Option<&'static str>,
}

/// Another process may take the free port first.
const STARTS_MAX: usize = 10;
/// A signal may end the wait for an answer.
const ASKED_MAX: usize = 10;
/// For what takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);

impl RedisServer {
    /// Starts one, empty.
    ///
    /// # Panics
    /// If `redis-server` is not installed: these tests are not skipped.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more arguments, such as `["--maxmemory", "8mb"]`.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::launch(|_, _| arguments.iter().map(ToString::to_string).collect())
    }

    /// Starts one that speaks TLS on a port of its own, with the certificate of this name; it may ask clients for theirs.
    pub fn start_with_tls(certificates: &Certificates, name: &str, asks_clients: bool) -> Self {
        Self::launch(|_, _| certificates.arguments(name, asks_clients))
    }

    /// Arguments may depend on the port and on the folder.
    fn launch(arguments: impl Fn(u16, &Path) -> Vec<String>) -> Self {
        let mut dir = Folder::new();
        for _ in 0..STARTS_MAX {
            let port = free_port();
            let arguments = arguments(port, dir.path());
            let mut server = Self { process: None, port, arguments, dir, password: None };
            if server.try_start() {
                return server;
            }
            dir = server.dir;
        }
        panic!("redis-server did not start on any of {STARTS_MAX} free ports");
    }

    fn try_start(&mut self) -> bool {
        let mut arguments = self.arguments.clone();
        let has_file = arguments.first().is_some_and(|first| !first.starts_with("--"));
        if !has_file {
            let (port, dir) = (self.port.to_string(), self.dir.path().to_string_lossy().into_owned());
            let usual = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", &dir];
            arguments.splice(..0, usual.map(str::to_owned));
        }
        self.process = Process::start(&arguments);
        self.process.is_some()
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port on which it speaks TLS; the usual one if it does not.
    pub fn tls_port(&self) -> u16 {
        certificates::tls_port(&self.arguments).unwrap_or(self.port)
    }

    /// Where it speaks TLS.
    pub fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.tls_port())
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The folder that it works in.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Whether it was not killed.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again after `kill`: with what was written by `SAVE`, else empty. Somebody who tries to reach it meanwhile may
    /// have been given its port for his own end.
    pub fn start_again(&mut self) {
        wait_until("its port is free again", || self.try_start());
    }

    /// Stops it in the middle of what it does (`SIGSTOP`): its connections stay, and nobody answers.
    pub fn pause(&self) {
        self.process.as_ref().expect("it runs").signal("STOP");
    }

    /// Lets it go on after `pause`.
    pub fn resume(&self) {
        self.process.as_ref().expect("it runs").signal("CONT");
    }

    /// Runs a command, from outside the cache.
    pub fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        self.try_run(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// The same, where it may fail.
    pub fn try_run<T: redis::FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let login = self.password.map(|password| format!(":{password}@")).unwrap_or_default();
        let url = format!("redis://{login}127.0.0.1:{}", self.port);
        let client = redis::Client::open(url).expect("a URL of our own");
        let mut line = redis::cmd(command[0]);
        line.arg(&command[1..]);
        let ask = || line.query(&mut client.get_connection_with_timeout(PATIENCE)?);
        for _ in 1..ASKED_MAX {
            match ask() {
                Err(error) if is_interrupted(&error) => {}
                answer => return answer,
            }
        }
        ask()
    }

    /// A line of `INFO`.
    pub fn info(&self, field: &str) -> String {
        let info: String = self.run(&["INFO", "everything"]);
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("INFO has no {field}")).to_owned()
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

/// Settings for a store on `server`.
pub fn settings(server: &RedisServer, namespace: &str) -> RedisSettings {
    RedisSettings::new(server.url(), namespace)
}

/// Whether a signal came while an answer was waited for: that another server of the test was paused, say. The client's error
/// says so in words only.
fn is_interrupted(error: &redis::RedisError) -> bool {
    error.is_io_error() && error.to_string().starts_with("Interrupted system call")
}

/// Waits until `is_so`, which it names if that does not happen.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "in vain waited until {what}");
        sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_interrupted_wait_is_told_from_one_that_was_too_long() {
        let error = |kind: io::ErrorKind| redis::RedisError::from(io::Error::from(kind));
        let eintr = io::Error::from_raw_os_error(4);
        assert!(is_interrupted(&eintr.into()));
        assert!(!is_interrupted(&error(io::ErrorKind::WouldBlock)) && !is_interrupted(&error(io::ErrorKind::TimedOut)));
    }
}
