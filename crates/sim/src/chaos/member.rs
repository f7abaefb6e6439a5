//! A node as the driver sees it: its process, its socket, and the proxy between it and Redis.

use std::{path::PathBuf, process::Stdio, time::Duration};

use parking_lot::RwLock;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::Mutex,
    time::timeout,
};

use super::{
    failure::{Failure, Step},
    node::{Answer, LISTENING, Question, Stats},
    proxy::Proxy,
    redis::Way,
    wire::Caller,
};

const START_WAIT_MAX: Duration = Duration::from_secs(20);
/// Longest wait for an answer: far beyond what a node may take.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// What node processes are started with.
#[derive(Clone)]
pub(super) struct Programme {
    /// This program.
    pub(super) path: PathBuf,
    pub(super) database_port: u16,
    pub(super) sabotage: Option<String>,
}

/// One node.
pub(super) struct Member {
    programme: Programme,
    /// Where it reaches Redis, unless it was started at another place.
    redis: Way,
    process: Mutex<Option<Process>>,
    caller: RwLock<Option<Caller<Question, Answer>>>,
}

/// A process and what keeps it: it ends when its input is closed, and is killed when this is dropped.
struct Process(Child);

impl Member {
    /// Starts a node that reaches Redis in this way.
    pub(super) async fn start(programme: Programme, redis: Way) -> Step<Self> {
        let this = Self { programme, redis, process: Mutex::default(), caller: RwLock::default() };
        this.start_process(&this.redis.url).await?;
        Ok(this)
    }

    /// Between it and each server that it reaches through a proxy, in the servers' order.
    pub(super) fn proxies(&self) -> &[Proxy] {
        &self.redis.proxies
    }

    /// Between it and a server that stands alone.
    pub(super) fn proxy(&self) -> &Proxy {
        &self.redis.proxies[0]
    }

    /// Ends the process at once, as `kill -9` does, and starts another.
    pub(super) async fn kill_and_start_again(&self) -> Step {
        self.end_process().await?;
        self.start_process(&self.redis.url).await
    }

    /// Starts the process anew, with Redis at `url` and no proxy between.
    pub(super) async fn start_again_at(&self, url: String) -> Step {
        self.end_process().await?;
        self.start_process(&url).await
    }

    async fn end_process(&self) -> Step {
        *self.caller.write() = None;
        if let Some(Process(mut child)) = self.process.lock().await.take() {
            child.kill().await.map_err(Failure::of("killing a node"))?;
        }
        Ok(())
    }

    async fn start_process(&self, redis_url: &str) -> Step {
        let Programme { path, database_port, sabotage } = &self.programme;
        let mut command = Command::new(path);
        command.args(["node", redis_url, &database_port.to_string()]);
        command.args(sabotage).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(Failure::of("starting a node"))?;
        let mut lines = BufReader::new(child.stdout.take().expect("piped above")).lines();
        let line = timeout(START_WAIT_MAX, lines.next_line()).await;
        let line = line.map_err(Failure::of("starting a node"))?.map_err(Failure::of("starting a node"))?;
        let port = line.as_deref().and_then(|line| line.strip_prefix(LISTENING)?.parse().ok());
        let port = port.ok_or_else(|| Failure::Failed(format!("a node said {line:?} when it started")))?;
        let caller = Caller::connect(port).await.map_err(Failure::of("reaching a node"))?;
        *self.process.lock().await = Some(Process(child));
        *self.caller.write() = Some(caller);
        Ok(())
    }

    /// None if the node is not running, or ended before it answered.
    pub(super) async fn ask(&self, question: Question) -> Option<Answer> {
        let caller = self.caller.read().clone()?;
        match timeout(ANSWER_WAIT_MAX, caller.call(question)).await {
            Ok(answer) => answer.ok(),
            Err(_elapsed) => Some(Answer::ReadFailed(format!("a node did not answer within {ANSWER_WAIT_MAX:?}"))),
        }
    }

    pub(super) async fn stats(&self) -> Stats {
        match self.ask(Question::Stats).await {
            Some(Answer::Stats(stats)) => stats,
            _ => Stats::default(),
        }
    }
}
