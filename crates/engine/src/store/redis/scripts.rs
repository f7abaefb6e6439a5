//! The scripts, and the run of the server that they were loaded for.
//!
//! Each script's text holds the number of partitions and the *run* that it is for: the id that a server gives itself
//! when it starts, and the id of its reign as a primary, which changes whenever a replica is promoted. A server that
//! was restarted (perhaps from a snapshot that has forgotten the newest records) or took another's place does not
//! know the script, so nothing can be asked of it before its run was looked up, and state begun in another run is
//! taken for lost.
//!
//! What is known of a run belongs to one connection, that is, to one process (see [`Link`]).

use std::sync::Arc;

use parking_lot::RwLock;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind};

use super::server::Link;

/// Tells a server that it was replaced; of no run.
pub(super) const FENCE: &str = include_str!("fence.lua");
const SHARED: &str = include_str!("scripts.lua");
const BODIES: [(Script, &str); 4] = [
    (Script::Append, include_str!("append.lua")),
    (Script::Read, include_str!("read.lua")),
    (Script::Fill, include_str!("fill.lua")),
    (Script::Begin, include_str!("begin.lua")),
];

/// Which script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Append,
    Read,
    Fill,
    /// Begins an epoch where there is no state of this run.
    Begin,
}

impl Script {
    /// The first line. It makes the server look *before* the script whether it may write: a replica, or a primary
    /// that has lost its replicas, refuses even to read the log, because what it knows may be old. The log and the
    /// clocks are bounded by their own limits, so records go in (and are read) when the memory is full; an entry not.
    fn first_line(self) -> &'static str {
        match self {
            Self::Append | Self::Read | Self::Begin => "#!lua flags=allow-oom\n",
            Self::Fill => "#!lua\n",
        }
    }
}

/// The scripts' names on a server, once they are known.
#[derive(Default)]
pub(super) struct Scripts {
    loaded: RwLock<Option<Arc<Loaded>>>,
    loading: tokio::sync::Mutex<()>,
}

/// The names of the scripts of one run.
pub(super) struct Loaded {
    run: String,
    /// By [`Script`].
    names: [String; BODIES.len()],
}

impl Loaded {
    pub(super) fn call(&self, script: Script, keys: &[&str], arguments: impl Fn(&mut Cmd)) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.names[script as usize]).arg(keys.len()).arg(keys);
        arguments(&mut command);
        command
    }

    pub(super) fn is_of_the_run_of(&self, other: &Self) -> bool {
        self.run == other.run
    }
}

impl Scripts {
    /// The names, looked up if nobody has, or if `unknown` are those that turned out to be wrong.
    pub(super) async fn of(
        &self,
        link: &Link,
        partitions: usize,
        unknown: Option<&Arc<Loaded>>,
    ) -> RedisResult<Arc<Loaded>> {
        let known = || {
            let loaded = self.loaded.read().clone()?;
            unknown.is_none_or(|unknown| !Arc::ptr_eq(unknown, &loaded)).then_some(loaded)
        };
        if let Some(loaded) = known() {
            return Ok(loaded);
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(loaded) = known() {
            return Ok(loaded);
        }
        // Boxed: every call has room for this, and hardly one needs it.
        let loaded = Arc::new(Box::pin(load(link, partitions)).await?);
        *self.loaded.write() = Some(loaded.clone());
        Ok(loaded)
    }

    /// Has the run looked up again before the next script.
    pub(super) fn forget(&self) {
        *self.loaded.write() = None;
    }
}

async fn load(link: &Link, partitions: usize) -> RedisResult<Loaded> {
    let mut questions = redis::pipe();
    questions.cmd("INFO").arg("server").cmd("INFO").arg("replication");
    let mut info = String::new();
    for answer in link.send_all(&questions).await? {
        info += &redis::from_redis_value::<String>(answer.extract_error()?)?;
    }
    let run = run_of(&info)?;
    let shared = SHARED.replace("@RUN@", &run).replace("@PARTITIONS@", &partitions.to_string());
    let mut names = [const { String::new() }; BODIES.len()];
    let mut loading = redis::pipe();
    for (script, body) in BODIES {
        loading.cmd("SCRIPT").arg("LOAD").arg([script.first_line(), &shared, body].concat());
    }
    for ((script, _), answer) in BODIES.into_iter().zip(link.send_all(&loading).await?) {
        names[script as usize] = redis::from_redis_value(answer.extract_error()?)?;
    }
    Ok(Loaded { run, names })
}

/// The run that `INFO` tells of; an error if it is a replica's.
fn run_of(info: &str) -> RedisResult<String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    if field("role").is_some_and(|role| role != "master") {
        return Err(RedisError::from((ErrorKind::Server(ServerErrorKind::ReadOnly), "it is a replica")));
    }
    // Half of each id is random enough, and the run stands in every state.
    let part = |id: &str| id.chars().take(20).collect::<String>();
    // Stands in the scripts' text.
    let usable = |id: &&str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match field("run_id").filter(usable) {
        Some(run) => Ok(part(run) + &field("master_replid").filter(usable).map(part).unwrap_or_default()),
        None => Err(RedisError::from((ErrorKind::Client, "INFO names no run_id; Redis 7 or Valkey is needed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_run_is_a_process_and_its_reign() {
        let told = |info: &str| run_of(info).map_err(|error| error.kind());
        let reign = |id: &str| format!("run_id:{ID}\r\nrole:master\r\nmaster_replid:{id}\r\n");
        assert_eq!(told(&reign("xyz")).unwrap(), "0123456789abcdef0123xyz");
        assert_ne!(told(&reign("one")), told(&reign("two")));
        assert_eq!(told(&format!("run_id:{ID}")).unwrap(), &ID[..20]);
        assert_eq!(told("run_id:'\r\n"), Err(ErrorKind::Client));
        assert_eq!(told("redis_version:2"), Err(ErrorKind::Client));
    }

    #[test]
    fn a_replica_is_no_primary() {
        let error = run_of(&format!("run_id:{ID}\r\nrole:slave\r\n")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly));
    }
}
