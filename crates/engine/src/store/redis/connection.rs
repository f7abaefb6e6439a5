//! Operations: each is asked of the server that owns its partition, and followed where that server sends it.
//!
//! An operation that may have happened is not repeated. One that surely has not (redirected, unknown script, a
//! replica's refusal) is, within its time.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::{Instant, sleep};

use super::{
    access::Access,
    address::Target,
    names::Names,
    records::new_epoch,
    scripts::{Loaded, Script},
    server::{Link, Server, Use},
    settings::RedisLimits,
    topology::Topology,
    trouble::{self, Next},
};
use crate::{position::Partition, store::StoreError};

/// How often one operation may be sent.
const SENDS_MAX: usize = 64;
/// From this one on, there is a wait between them: something is about to change.
const SENDS_AT_ONCE: usize = 4;
/// How often one operation may find that there is no state: others begin epochs and lose them too.
const BEGINS_MAX: usize = 4;
const SEND_WAIT: Duration = Duration::from_millis(20);

/// The servers, as operations see them.
pub(super) struct Connection {
    topology: Arc<Topology>,
    names: Arc<Names>,
    partitions: usize,
    operation_timeout: Duration,
    replicas_min: u32,
    replica_timeout: Duration,
}

/// What is asked of a server.
enum Question<'a> {
    Command(&'a Cmd),
    Script(Script, &'a [&'a str], &'a (dyn Fn(&mut Cmd) + Sync)),
    /// Commands after a script, in one transaction.
    Transaction(Script, &'a [&'a str], &'a (dyn Fn(&mut Cmd) + Sync), &'a dyn Then),
}

/// The commands of a transaction after its script.
pub(super) trait Then: Sync {
    /// The commands.
    fn commands(&self) -> Vec<Cmd>;

    /// What takes back what they did, given their answers: for when the script did not run and they did.
    fn undo(&self, answers: &[Value]) -> Option<Cmd>;
}

impl Question<'_> {
    /// Whether it is worth a wait until a slot that is about to move has moved. Entries are not.
    fn may_wait(&self) -> bool {
        matches!(self, Self::Script(..))
    }
}

/// Where to, and what was learnt on the way.
struct Journey {
    /// Asked once although it does not own the slot yet.
    detour: Option<Arc<Server>>,
    /// The script's names that were used last.
    used: Option<Arc<Loaded>>,
    /// The names that turned out to be of no use.
    unknown: Option<Arc<Loaded>>,
    /// Takes back what the last attempt did without its script.
    undo: Option<Cmd>,
}

impl Journey {
    fn to(detour: Option<Arc<Server>>) -> Self {
        Self { detour, used: None, unknown: None, undo: None }
    }
}

impl Connection {
    pub(super) fn new(
        target: Target,
        access: Access,
        to_sentinels: Access,
        limits: &RedisLimits,
        names: &Arc<Names>,
    ) -> Self {
        let topology = Topology::new(target, access, to_sentinels, limits.connect_timeout, names);
        Self {
            topology: Arc::new(topology),
            names: names.clone(),
            partitions: names.len(),
            operation_timeout: limits.operation_timeout,
            replicas_min: limits.replicas_acknowledged_min,
            replica_timeout: limits.replica_timeout,
        }
    }

    pub(super) fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// A command on keys of a partition.
    pub(super) async fn send(&self, partition: Partition, command: &Cmd) -> RedisResult<Value> {
        self.ask(partition, &Question::Command(command)).await
    }

    /// A script on keys of a partition.
    pub(super) async fn run(
        &self,
        partition: Partition,
        script: Script,
        keys: &[&str],
        arguments: &(dyn Fn(&mut Cmd) + Sync),
    ) -> RedisResult<Value> {
        self.ask(partition, &Question::Script(script, keys, arguments)).await
    }

    /// A script on keys of a partition, and commands after it in one transaction. The answers of all, the script's
    /// first; each of the commands' may be an error.
    pub(super) async fn transact(
        &self,
        partition: Partition,
        script: Script,
        keys: &[&str],
        arguments: &(dyn Fn(&mut Cmd) + Sync),
        then: &dyn Then,
    ) -> RedisResult<Vec<Value>> {
        let answer = self.ask(partition, &Question::Transaction(script, keys, arguments, then)).await?;
        let Value::Array(answers) = answer else { unreachable!("a transaction's answer is made of its commands'") };
        Ok(answers)
    }

    /// Waits for an operation as long as the limits allow.
    pub(super) async fn in_time<T>(&self, operation: impl Future<Output = RedisResult<T>>) -> Result<T, StoreError> {
        self.until(Instant::now() + self.operation_timeout, operation).await
    }

    /// Waits for an operation until `deadline`.
    pub(super) async fn until<T>(
        &self,
        deadline: Instant,
        operation: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout_at(deadline, operation).await {
            Ok(answer) => answer.map_err(|error| trouble::told(&error)),
            Err(_elapsed) => {
                // Silence may be a server that is about to be replaced.
                self.topology.doubt();
                Err(StoreError::Unavailable(format!("no answer within {:?}", self.operation_timeout)))
            }
        }
    }

    async fn ask(&self, partition: Partition, question: &Question<'_>) -> RedisResult<Value> {
        let purpose = match question {
            Question::Script(Script::Append, ..) if self.replicas_min > 0 => Use::Waiting,
            _ => Use::Shared,
        };
        let mut journey = Journey::to(None);
        let (mut sent, mut begins) = (0, 0);
        loop {
            let server = match &journey.detour {
                Some(server) => server.clone(),
                None => self.topology.owner(partition).await?,
            };
            // Whether or not it is reachable is news for who keeps the owners.
            let link = server.link(purpose).await.inspect_err(|_| self.topology.doubt())?;
            let error = match self.ask_once(&link, question, purpose, &mut journey).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            sent += 1;
            if sent == SENDS_MAX {
                return Err(error);
            }
            if sent >= SENDS_AT_ONCE {
                sleep(SEND_WAIT).await;
            }
            let is_detour = journey.detour.is_some();
            match trouble::next(&error, &server.address) {
                Next::Moved(to) if self.topology.is_cluster() => {
                    // What it was, it may have ceased to be for all slots.
                    link.scripts.forget();
                    journey = Journey::to(None);
                    self.topology.moved(partition, to);
                }
                Next::Moved(_) => {
                    let told = "this Redis is part of a cluster; use redis+cluster:// in its URL";
                    return Err(RedisError::from((ErrorKind::InvalidClientConfig, told)));
                }
                // Its commands would each have to be announced; entries are not worth it.
                Next::Ask(_) if matches!(question, Question::Transaction(..)) => return Err(error),
                Next::Ask(to) => {
                    journey = Journey::to(Some(self.topology.server(to)));
                }
                Next::Wait if question.may_wait() => {
                    journey.detour = None;
                    sleep(SEND_WAIT).await;
                }
                Next::LoadScripts => journey.unknown = journey.used.take(),
                Next::Begin if begins < BEGINS_MAX && journey.used.is_some() && question.may_wait() => {
                    begins += 1;
                    // Boxed, as whatever is rare: all have room for it.
                    Box::pin(self.begin(partition, &server, &link, question, &mut journey)).await?;
                }
                Next::Wait | Next::Begin | Next::Fail => return Err(error),
                Next::Rediscover => {
                    server.retire(&link);
                    self.topology.doubt();
                    if error.kind() != ErrorKind::Server(ServerErrorKind::ReadOnly) || is_detour {
                        return Err(error);
                    }
                    // A replica has done nothing: the primary may be asked, if there is another one already.
                    Box::pin(self.topology.discover()).await?;
                    if Arc::ptr_eq(&self.topology.owner(partition).await?, &server) {
                        return Err(error);
                    }
                    journey = Journey::to(None);
                }
            }
        }
    }

    async fn ask_once(
        &self,
        link: &Link,
        question: &Question<'_>,
        purpose: Use,
        journey: &mut Journey,
    ) -> RedisResult<Value> {
        let asking = journey.detour.is_some();
        match question {
            Question::Command(command) if !asking => link.send(command).await,
            Question::Command(command) => self.send_with(link, (*command).clone(), asking, purpose).await,
            Question::Script(script, keys, arguments) => {
                let command = self.call(link, *script, keys, arguments, journey).await?;
                if !asking && purpose == Use::Shared {
                    return link.send(&command).await;
                }
                self.send_with(link, command, asking, purpose).await
            }
            Question::Transaction(script, keys, arguments, then) => {
                let command = self.call(link, *script, keys, arguments, journey).await?;
                let answers = transact(link, journey.undo.take(), command, then.commands()).await?;
                match answers.first() {
                    Some(Value::ServerError(error)) => {
                        journey.undo = then.undo(&answers[1..]);
                        Err(error.clone().into())
                    }
                    _ => Ok(Value::Array(answers)),
                }
            }
        }
    }

    /// A script's command, by the name that it has on the server.
    async fn call(
        &self,
        link: &Link,
        script: Script,
        keys: &[&str],
        arguments: &(dyn Fn(&mut Cmd) + Sync),
        journey: &mut Journey,
    ) -> RedisResult<Cmd> {
        let loaded = link.scripts.of(link, self.partitions, journey.unknown.as_ref()).await?;
        let command = loaded.call(script, keys, arguments);
        journey.used = Some(loaded);
        Ok(command)
    }

    /// A command with what must stand right before and after it on the same connection.
    async fn send_with(&self, link: &Link, command: Cmd, asking: bool, purpose: Use) -> RedisResult<Value> {
        let mut pipeline = redis::pipe();
        if asking {
            pipeline.cmd("ASKING");
        }
        pipeline.add_command(command);
        if purpose == Use::Waiting {
            let timeout_ms = u64::try_from(self.replica_timeout.as_millis()).unwrap_or(u64::MAX).max(1);
            pipeline.cmd("WAIT").arg(self.replicas_min).arg(timeout_ms);
        }
        let mut answers = link.send_all(&pipeline).await?.into_iter().skip(usize::from(asking));
        let answer = answers.next().unwrap_or(Value::Nil).extract_error()?;
        if purpose == Use::Waiting {
            let replicas: u32 = redis::from_redis_value(answers.next().unwrap_or(Value::Nil).extract_error()?)?;
            if replicas < self.replicas_min {
                let told = format!("{replicas} of {} within {:?}", self.replicas_min, self.replica_timeout);
                let what = "too few replicas have acknowledged the record, which a failover may therefore lose";
                return Err(RedisError::from((ErrorKind::Client, what, told)));
            }
        }
        Ok(answer)
    }

    /// There is no state of the run that was asked for. Either this node's scripts are of the past, or an epoch has to
    /// be begun: by who knows the run, and that no other server goes on with the one before.
    async fn begin(
        &self,
        partition: Partition,
        server: &Arc<Server>,
        link: &Link,
        question: &Question<'_>,
        journey: &mut Journey,
    ) -> RedisResult<()> {
        let (Question::Script(..), Some(used)) = (question, journey.used.take()) else { return Ok(()) };
        let now = link.scripts.of(link, self.partitions, Some(&used)).await?;
        if !now.is_of_the_run_of(&used) {
            return Ok(());
        }
        let detour = journey.detour.is_some();
        let configuration = if detour { Some(0) } else { self.topology.configuration(partition, server) };
        let Some(configuration) = configuration else { return Ok(()) };
        let names = self.names.of(partition);
        let begin = |epoch: &str| {
            now.call(Script::Begin, &[&names.state, &names.log], |command| {
                command.arg(epoch).arg(configuration);
            })
        };
        // Who has not heard of a newer primary learns it here, before it ends that one's log.
        self.send_with(link, begin(""), detour, Use::Shared).await?;
        if !detour {
            self.topology.fence_others(server, &names.state, configuration).await;
        }
        self.send_with(link, begin(&new_epoch().0.to_string()), detour, Use::Shared).await?;
        Ok(())
    }
}

/// The answers of a script and of the commands after it; each may be an error. Nothing of it happened if this fails,
/// unless the connection was lost.
async fn transact(link: &Link, before: Option<Cmd>, script: Cmd, commands: Vec<Cmd>) -> RedisResult<Vec<Value>> {
    let (wanted, skipped) = (1 + commands.len(), usize::from(before.is_some()));
    let mut transaction = redis::Pipeline::with_capacity(2 + skipped + wanted);
    transaction.cmd("MULTI");
    before.into_iter().chain([script]).chain(commands).for_each(|command| {
        transaction.add_command(command);
    });
    transaction.cmd("EXEC");
    executed(link.send_all(&transaction).await?, skipped, wanted)
}

/// Of the answers to all that makes a transaction, those to its last `wanted` commands, before which `skipped` stand.
fn executed(mut answers: Vec<Value>, skipped: usize, wanted: usize) -> RedisResult<Vec<Value>> {
    let last = answers.pop().unwrap_or(Value::Nil);
    // What was not queued says why; that the transaction was given up says nothing.
    for answer in answers {
        answer.extract_error()?;
    }
    // Not `extract_error`, which would look into the answers: theirs are the caller's.
    match last {
        Value::ServerError(error) => Err(error.into()),
        Value::Array(mut answers) if answers.len() == skipped + wanted => Ok(answers.split_off(skipped)),
        _ => Err(RedisError::from((ErrorKind::UnexpectedReturnType, "a transaction answered otherwise"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a transaction of two commands after one that is skipped, given what the server wrote.
    fn told(said: &[&str]) -> Result<Vec<Value>, String> {
        let answers = said.iter().map(|said| redis::parse_redis_value(said.as_bytes()).unwrap()).collect();
        executed(answers, 1, 2).map_err(|error| trouble::told(&error).to_string())
    }

    /// Nobody keeps this node's view of the servers up to date here, so the old primary is asked first.
    #[cfg(feature = "testing")]
    #[tokio::test]
    async fn what_a_primary_that_became_a_replica_refuses_is_asked_of_the_new_one() {
        use crate::{
            key::CacheVersion,
            position::PartitionCount,
            store::redis::settings::{RedisLogin, RedisTls},
            testing::redis_server::RedisSentinels,
        };

        let servers = tokio::task::spawn_blocking(RedisSentinels::start).await.unwrap();
        let limits = RedisLimits { connect_timeout: Duration::from_secs(15), ..RedisLimits::default() };
        let target = Target::parse(&servers.url()).unwrap();
        let access = Access::new(&target, &RedisTls::default(), &limits).unwrap();
        let to_sentinels = access.to_sentinels(&RedisLogin::default());
        let names = Arc::new(Names::new("test", CacheVersion::default(), PartitionCount::DEFAULT));
        let connection = Connection::new(target, access, to_sentinels, &limits, &names);
        let set = redis::cmd("SET").arg(&names.of(Partition(0)).state).arg("text").take();
        connection.send(Partition(0), &set).await.unwrap();
        let before = connection.topology().owner(Partition(0)).await.unwrap();
        let failing_over = tokio::task::spawn_blocking(move || {
            servers.fail_over();
            servers.wait_until_followed();
            servers
        });
        let _servers = failing_over.await.unwrap();
        assert!(Arc::ptr_eq(&connection.topology().owner(Partition(0)).await.unwrap(), &before));
        connection.send(Partition(0), &set).await.unwrap();
        assert!(!Arc::ptr_eq(&connection.topology().owner(Partition(0)).await.unwrap(), &before));
    }

    const QUEUED: [&str; 4] = ["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "+QUEUED\r\n"];

    fn after_queueing(executed: &str) -> Result<Vec<Value>, String> {
        told(&[&QUEUED[..], &[executed]].concat())
    }

    #[test]
    fn the_answers_of_a_transaction_are_those_of_its_last_commands_also_if_one_is_an_error() {
        let answers = after_queueing("*3\r\n:7\r\n-NOSCRIPT No matching script.\r\n+OK\r\n").unwrap();
        assert!(matches!(&answers[..], [Value::ServerError(error), Value::Okay] if error.code() == "NOSCRIPT"));
    }

    #[test]
    fn a_transaction_that_did_not_happen_says_why() {
        let queued = [QUEUED[0], QUEUED[1], "-OOM used memory > 'maxmemory'.\r\n", QUEUED[3]];
        let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
        assert!(told(&[&queued[..], &[aborted]].concat()).unwrap_err().contains("OOM"));
        assert!(after_queueing("-NOPERM no permissions to run 'exec'\r\n").unwrap_err().contains("NOPERM"));
    }

    #[test]
    fn a_transaction_that_is_not_understood_is_no_success() {
        for executed in ["$-1\r\n", "+QUEUED\r\n", "*2\r\n+OK\r\n+OK\r\n", "*4\r\n:7\r\n:7\r\n+OK\r\n+OK\r\n"] {
            assert!(after_queueing(executed).unwrap_err().contains("answered otherwise"), "{executed}");
        }
        told(&[]).unwrap_err();
    }
}
