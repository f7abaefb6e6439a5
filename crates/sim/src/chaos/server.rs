//! A real Redis server that is hurt: killed, paused, restarted with what it has on disk or without, made a replica.
//!
//! Nodes reach it through proxies, so it may come back on another port.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    time::Duration,
};

use redis::{AsyncConnectionConfig, FromRedisValue, ToRedisArgs};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};
use unstale::testing::{Folder, leashed};

use super::failure::{Failure, Step};

/// Another process may take the free port first.
const STARTS_MAX: usize = 10;
const START_WAIT_MAX: Duration = Duration::from_secs(20);
const COMMAND_WAIT_MAX: Duration = Duration::from_secs(20);
/// What a shell answers for a program that there is not.
const NO_SUCH_PROGRAM: i32 = 127;

/// What a server is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Nothing,
    /// What `SAVE` wrote.
    Snapshot,
    /// What stands in its append-only file.
    AppendOnlyFile,
}

/// A server, running or killed; it ends when it is dropped or this process is gone, and its folder with it.
pub(super) struct Server {
    process: Child,
    port: u16,
    dir: Folder,
}

impl Server {
    pub(super) async fn start() -> Step<Self> {
        let dir = Folder::new();
        let (process, port) = start(&dir, Data::Nothing).await?;
        Ok(Self { process, port, dir })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as `kill -9` does.
    pub(super) async fn kill(&mut self) -> Step {
        self.process.kill().await.map_err(Failure::of("killing redis-server"))
    }

    /// Starts it again after [`kill`](Self::kill), as a rule on another port.
    pub(super) async fn start_again(&mut self, data: Data) -> Step {
        if data == Data::Nothing {
            self.dir = Folder::new();
        }
        (self.process, self.port) = start(&self.dir, data).await?;
        Ok(())
    }

    pub(super) fn pause(&self) -> Step {
        self.signal(Signal::STOP)
    }

    pub(super) fn resume(&self) -> Step {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Step {
        let pid = self.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| Failure::new("redis-server has ended by itself"))?;
        kill_process(pid, signal).map_err(Failure::of("signalling redis-server"))
    }

    /// Runs a command, not through any proxy.
    pub(super) async fn run<T: FromRedisValue>(&self, command: &[impl ToRedisArgs]) -> Step<T> {
        let asked = async {
            let client = redis::Client::open(self.url())?;
            // Some commands take long on purpose.
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            let mut line = redis::Cmd::new();
            command.iter().for_each(|word| {
                line.arg(word);
            });
            line.query_async(&mut connection).await
        };
        match timeout(COMMAND_WAIT_MAX, asked).await {
            Ok(answer) => {
                answer.map_err(|error: redis::RedisError| Failure::Failed(format!("a command to Redis: {error}")))
            }
            Err(_elapsed) => Err(Failure::new("Redis did not answer a command of the scenario")),
        }
    }

    /// A number from `INFO`.
    pub(super) async fn info(&self, field: &str) -> Step<u64> {
        let info: String = self.run(&["INFO", "everything"]).await?;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let number = value.and_then(|value| value.trim().parse().ok());
        number.ok_or_else(|| Failure::Failed(format!("INFO has no number {field}")))
    }

    pub(super) async fn config(&self, name: &str, value: &str) -> Step {
        self.run(&["CONFIG", "SET", name, value]).await
    }
}

async fn start(dir: &Folder, data: Data) -> Step<(Child, u16)> {
    for _ in 0..STARTS_MAX {
        let port = free_port().map_err(Failure::of("looking for a free port"))?;
        if let Some(process) = start_on(port, dir, data).await? {
            return Ok((process, port));
        }
    }
    Err(Failure::Failed(format!("redis-server did not start on any of {STARTS_MAX} free ports")))
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// None if it did not get as far as accepting connections.
async fn start_on(port: u16, dir: &Folder, data: Data) -> Step<Option<Child>> {
    let append_only = if data == Data::AppendOnlyFile { "yes" } else { "no" };
    let mut command = Command::from(leashed("redis-server"));
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--appendonly", append_only, "--enable-debug-command", "local", "--repl-diskless-sync-delay", "0"]);
    command.arg("--dir").arg(dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.kill_on_drop(true).spawn().map_err(Failure::of("running a shell"))?;
    let mut lines = BufReader::new(process.stdout.take().expect("piped above")).lines();
    let ready = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("Ready to accept connections") {
                return true;
            }
        }
        false
    };
    if !timeout(START_WAIT_MAX, ready).await.unwrap_or(false) {
        process.start_kill().map_err(Failure::of("ending redis-server"))?;
        let status = process.wait().await.map_err(Failure::of("ending redis-server"))?;
        if status.code() == Some(NO_SUCH_PROGRAM) {
            let how = "redis-server cannot be run; install Redis 7: apt install redis-server, or brew install redis";
            return Err(Failure::new(how));
        }
        return Ok(None);
    }
    // Reads on to the end, so that the server never waits for its reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(Some(process))
}
