//! The scripts, and the run of the server that they were loaded for.
//!
//! Each script's text holds the number of partitions and the id of the server's run. A server that was restarted (perhaps from a snapshot that has
//! forgotten the newest records) or took another's place does not know the script, so nothing can be asked of it
//! before its run was looked up, and state begun in another run is taken for lost.

use std::sync::Arc;

use parking_lot::RwLock;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, aio::ConnectionManager};

const SHARED: &str = include_str!("scripts.lua");
const BODIES: [&str; 3] = [include_str!("append.lua"), include_str!("read.lua"), include_str!("fill.lua")];
/// Restarts that may meet one loading of the scripts.
const LOADS_MAX: usize = 3;

/// Which script.
#[derive(Clone, Copy, Debug)]
pub(super) enum Script {
    Append,
    Read,
    Fill,
}

/// The scripts' names on the server, once they are known.
pub(super) struct Scripts {
    partitions: usize,
    loaded: RwLock<Option<Arc<Loaded>>>,
    loading: tokio::sync::Mutex<()>,
}

struct Loaded {
    /// By [`Script`].
    names: [String; 3],
}

impl Scripts {
    pub(super) fn new(partitions: usize) -> Self {
        Self { partitions, loaded: RwLock::default(), loading: tokio::sync::Mutex::default() }
    }

    /// Runs a script with its keys and arguments. Runs it a second time only if the server did not know it, that is,
    /// did nothing.
    pub(super) async fn run(
        &self,
        connection: &ConnectionManager,
        script: Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd),
    ) -> RedisResult<Value> {
        let held = self.loaded.read().clone();
        let first = match held {
            Some(loaded) => loaded,
            None => self.load(connection, None).await?,
        };
        match call(connection, &first, script, keys, &arguments).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let second = self.load(connection, Some(&first)).await?;
                call(connection, &second, script, keys, &arguments).await
            }
            answer => answer,
        }
    }

    /// Runs a script and then commands, in one transaction; gives the answers of all. If the server did not know the
    /// script, then what the commands did is undone by `undo` (given their answers), in the transaction that repeats it.
    pub(super) async fn run_and(
        &self,
        connection: &ConnectionManager,
        script: Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd),
        commands: impl Fn() -> Vec<Cmd>,
        undo: impl Fn(&[Value]) -> Option<Cmd>,
    ) -> RedisResult<Vec<Value>> {
        let held = self.loaded.read().clone();
        let first = match held {
            Some(loaded) => loaded,
            None => self.load(connection, None).await?,
        };
        let answers = transact(connection, None, command(&first, script, keys, &arguments), commands()).await?;
        if !is_unknown_script(&answers[0]) {
            return Ok(answers);
        }
        let second = self.load(connection, Some(&first)).await?;
        let undoing = undo(&answers[1..]);
        transact(connection, undoing, command(&second, script, keys, &arguments), commands()).await
    }

    /// Loads the scripts for the server's present run, unless that was done since `unknown` was.
    async fn load(&self, connection: &ConnectionManager, unknown: Option<&Arc<Loaded>>) -> RedisResult<Arc<Loaded>> {
        let _one_at_a_time = self.loading.lock().await;
        if let Some(loaded) = self.loaded.read().clone()
            && unknown.is_none_or(|unknown| !Arc::ptr_eq(unknown, &loaded))
        {
            return Ok(loaded);
        }
        let mut run = run_id(connection).await?;
        for _ in 0..LOADS_MAX {
            let shared = SHARED.replace("@RUN@", &run).replace("@PARTITIONS@", &self.partitions.to_string());
            let mut names = [const { String::new() }; 3];
            for (name, body) in names.iter_mut().zip(BODIES) {
                let text = format!("{shared}{body}");
                *name = redis::cmd("SCRIPT").arg("LOAD").arg(text).query_async(&mut connection.clone()).await?;
            }
            // The scripts of one run must not be loaded into another: so the run is looked at before and after.
            let still = run_id(connection).await?;
            if still == run {
                let loaded = Arc::new(Loaded { names });
                *self.loaded.write() = Some(loaded.clone());
                return Ok(loaded);
            }
            run = still;
        }
        Err(RedisError::from((ErrorKind::Client, "the server was restarted again and again")))
    }
}

async fn call(
    connection: &ConnectionManager,
    loaded: &Loaded,
    script: Script,
    keys: &[&str],
    arguments: &impl Fn(&mut Cmd),
) -> RedisResult<Value> {
    let command = command(loaded, script, keys, arguments);
    connection.clone().send_packed_command(&command).await?.extract_error()
}

/// The answers of a script and of the commands after it, of which each may be an error.
async fn transact(
    connection: &ConnectionManager,
    before: Option<Cmd>,
    script: Cmd,
    commands: Vec<Cmd>,
) -> RedisResult<Vec<Value>> {
    let (wanted, skipped) = (1 + commands.len(), usize::from(before.is_some()));
    let mut transaction = redis::Pipeline::with_capacity(skipped + wanted);
    transaction.atomic();
    for command in before.into_iter().chain([script]).chain(commands) {
        transaction.add_command(command);
    }
    // First those that say "begun" and "queued", and then one that holds all answers.
    let mut answers = connection.clone().send_packed_commands(&transaction, 1 + skipped + wanted, 1).await?;
    match answers.pop() {
        Some(Value::Array(mut answers)) if answers.len() == skipped + wanted => Ok(answers.split_off(skipped)),
        _ => Err(RedisError::from((ErrorKind::UnexpectedReturnType, "a transaction answered otherwise"))),
    }
}

fn is_unknown_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}

fn command(loaded: &Loaded, script: Script, keys: &[&str], arguments: &impl Fn(&mut Cmd)) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(&loaded.names[script as usize]).arg(keys.len()).arg(keys);
    arguments(&mut command);
    command
}

/// The random id that a server gives itself when it starts.
async fn run_id(connection: &ConnectionManager) -> RedisResult<String> {
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection.clone()).await?;
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).map(str::trim);
    match run {
        // Stands in the scripts' text.
        Some(run) if !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Ok(run.to_owned()),
        _ => Err(RedisError::from((ErrorKind::Client, "INFO names no run_id; a Redis 7 server is needed"))),
    }
}
