//! Who owns a partition: asked of sentinels or of a cluster's nodes, and kept up to date.
//!
//! A server is asked again *who owns what* when something speaks for it (a redirection, a lost connection, a replica's
//! refusal, silence: [`Topology::doubt`]), and now and then without a reason: a primary that was replaced may not
//! know it, and go on answering.
//!
//! # What it does not do
//!
//! Decide who is the primary: of several opinions the one with the highest epoch of configuration counts. Nor does it go
//! back to an older configuration than it has followed, because one sentinel that missed the newer one is all that can be
//! reached; only if most of them say so, because they were set up anew.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use redis::{ErrorKind, RedisError, RedisResult, Value};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    access::Access,
    address::{Address, Arrangement, Target},
    names::Names,
    scripts::FENCE,
    server::{Server, Use},
    slots::View,
    trouble,
};
use crate::position::Partition;

/// How old an opinion on who owns what may become. A node that is cut off from its peers but not from a primary that
/// was replaced can be misled for so long.
const OPINION_AGE_MAX: Duration = Duration::from_secs(1);
/// The least time between two discoveries.
const DISCOVERY_GAP: Duration = Duration::from_millis(100);
/// Servers that are remembered.
const KNOWN_MAX: usize = 64;
/// Nodes of a cluster that are asked for their view of it.
const ASKED_MAX: usize = 16;

/// Who owns which partition.
pub(super) struct Topology {
    target: Target,
    access: Arc<Access>,
    /// By partition.
    slots: Box<[u16]>,
    /// Sentinels, or the nodes of a cluster that the settings name.
    advisers: Vec<Arc<Server>>,
    patience: Duration,
    opinion: RwLock<Opinion>,
    /// All servers of data that were heard of, so that each has one connection.
    known: Mutex<Vec<Arc<Server>>>,
    discovery: tokio::sync::Mutex<Option<(Instant, RedisResult<()>)>>,
    doubts: Notify,
    changed: watch::Sender<()>,
}

/// Servers by partition; none where nobody is known.
pub(super) type Owners = [Option<Arc<Server>>];

/// Who owns what, and by which configuration: later ones have higher numbers.
#[derive(Clone)]
struct Opinion {
    owners: Arc<Owners>,
    configuration: u64,
}

/// An opinion, and how many have formed it.
struct Told {
    opinion: Opinion,
    asked: usize,
    answered: usize,
}

impl Told {
    /// Whether it may take the place of an opinion by the configuration `held`. A configuration's epoch only rises, with
    /// each failover; whoever names an older one has missed something, or all have forgotten it.
    fn supersedes(&self, held: u64) -> bool {
        self.opinion.configuration >= held || 2 * self.answered > self.asked
    }
}

impl Topology {
    pub(super) fn new(target: Target, access: Access, to_sentinels: Access, patience: Duration, names: &Names) -> Self {
        let access = Arc::new(access);
        let servers = |addresses: &[Address], access: Access| {
            let access = Arc::new(access);
            addresses.iter().map(|address| Arc::new(Server::new(address.clone(), access.clone()))).collect()
        };
        let slots: Box<[u16]> = names.all().map(|(_, names)| names.slot).collect();
        let mut owners = vec![None; slots.len()];
        let advisers = match &target.arrangement {
            Arrangement::One(address) => {
                owners.fill(Some(Arc::new(Server::new(address.clone(), access.clone()))));
                Vec::new()
            }
            Arrangement::Sentinel { sentinels, .. } => servers(sentinels, to_sentinels),
            Arrangement::Cluster { seeds } => servers(seeds, Access::clone(&access)),
        };
        Self {
            target,
            access,
            slots,
            advisers,
            patience,
            opinion: RwLock::new(Opinion { owners: owners.into(), configuration: 0 }),
            known: Mutex::default(),
            discovery: tokio::sync::Mutex::default(),
            doubts: Notify::new(),
            changed: watch::channel(()).0,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.target.arrangement, Arrangement::Cluster { .. })
    }

    /// Whether another server can take over.
    pub(super) fn has_failover(&self) -> bool {
        !matches!(self.target.arrangement, Arrangement::One(_))
    }

    /// The server that owns a partition, as far as is known.
    pub(super) async fn owner(&self, partition: Partition) -> RedisResult<Arc<Server>> {
        if let Some(owner) = self.known_owner(partition) {
            return Ok(owner);
        }
        // Boxed: whatever is asked has room for this, and hardly ever needs it.
        Box::pin(self.discover()).await?;
        self.known_owner(partition).ok_or_else(|| {
            let slot = self.slots[partition.index()];
            RedisError::from((ErrorKind::Io, "the cluster has no owner for a slot", slot.to_string()))
        })
    }

    fn known_owner(&self, partition: Partition) -> Option<Arc<Server>> {
        self.opinion.read().owners[partition.index()].clone()
    }

    /// The servers that own partitions, each once.
    pub(super) fn servers(&self) -> Vec<Arc<Server>> {
        let mut servers: Vec<Arc<Server>> = Vec::new();
        for server in self.owners().iter().flatten() {
            if !servers.iter().any(|other| other.address == server.address) {
                servers.push(server.clone());
            }
        }
        servers
    }

    /// All owners, by partition.
    pub(super) fn owners(&self) -> Arc<Owners> {
        self.opinion.read().owners.clone()
    }

    /// Tells whenever an owner has changed.
    pub(super) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A server that another one has named.
    pub(super) fn server(&self, address: Address) -> Arc<Server> {
        let mut known = self.known.lock();
        if let Some(server) = known.iter().find(|server| server.address == address) {
            return server.clone();
        }
        // Sentinels are connected to in another way.
        let adviser = self.advisers.iter().find(|server| self.is_cluster() && server.address == address);
        let server = adviser.cloned().unwrap_or_else(|| Arc::new(Server::new(address, self.access.clone())));
        if known.len() == KNOWN_MAX {
            known.remove(0);
        }
        known.push(server.clone());
        server
    }

    /// Believes a redirection.
    pub(super) fn moved(&self, partition: Partition, to: Address) {
        let server = self.server(to);
        let Opinion { owners, configuration } = self.opinion.read().clone();
        let mut owners = owners.to_vec();
        owners[partition.index()] = Some(server);
        self.replace(Opinion { owners: owners.into(), configuration });
        self.doubt();
    }

    /// The configuration by which `owner` is the owner of a partition; none if it is not.
    pub(super) fn configuration(&self, partition: Partition, owner: &Arc<Server>) -> Option<u64> {
        let opinion = self.opinion.read();
        let known = opinion.owners[partition.index()].as_ref();
        known.is_some_and(|known| Arc::ptr_eq(known, owner)).then_some(opinion.configuration)
    }

    /// Makes sure that no server but `owner` goes on with the partition whose state is called `state`: a primary that
    /// sentinels replace goes on for seconds, until they tell it so, and nodes do not all hear of it at once.
    ///
    /// A server that does not answer is not waited for: it may be gone. In a cluster servers hold their slots by votes,
    /// and an old owner is the first to hear of a new one.
    pub(super) async fn fence_others(&self, owner: &Arc<Server>, state: &str, configuration: u64) {
        let Arrangement::Sentinel { service, .. } = &self.target.arrangement else { return };
        // Twice within an operation's time.
        let patience = self.patience / 2;
        if let Ok(named) = self.ask_all(&self.advisers, patience, |sentinel| replicas_of(sentinel, service)).await {
            named.into_iter().flatten().for_each(|address| _ = self.server(address));
        }
        let mut others = self.known.lock().clone();
        others.retain(|server| !Arc::ptr_eq(server, owner));
        let _ = self.ask_all(&others, patience, |server| fence(server, state, configuration)).await;
    }

    /// Has the owners looked up again soon.
    pub(super) fn doubt(&self) {
        self.doubts.notify_one();
    }

    /// Keeps the owners up to date for as long as it is polled.
    pub(super) async fn keep_up(&self) {
        if let Arrangement::One(_) = self.target.arrangement {
            return;
        }
        loop {
            if let Err(error) = self.discover().await {
                tracing::debug!(%error, "nobody says which Redis server is the primary");
            }
            sleep(DISCOVERY_GAP).await;
            let _ = timeout(OPINION_AGE_MAX.saturating_sub(DISCOVERY_GAP), self.doubts.notified()).await;
        }
    }

    /// Looks the owners up, unless that was done a moment ago.
    pub(super) async fn discover(&self) -> RedisResult<()> {
        let mut last = self.discovery.lock().await;
        if let Some((when, told)) = &*last
            && when.elapsed() < DISCOVERY_GAP
        {
            return told.clone();
        }
        let found = match &self.target.arrangement {
            Arrangement::One(_) => return Ok(()),
            Arrangement::Sentinel { service, .. } => self.ask_sentinels(service).await,
            Arrangement::Cluster { .. } => self.ask_cluster().await,
        };
        let told = found.map(|told| self.believe(told));
        *last = Some((Instant::now(), told.clone()));
        told
    }

    /// Takes up what was told, unless something newer is known.
    fn believe(&self, told: Told) {
        let held = self.opinion.read().configuration;
        if told.supersedes(held) {
            return self.replace(told.opinion);
        }
        let Told { opinion: Opinion { configuration, .. }, asked, answered } = told;
        tracing::debug!(configuration, held, asked, answered, "too few speak for an older configuration of Redis");
    }

    fn replace(&self, opinion: Opinion) {
        let mut held = self.opinion.write();
        let is_same = |(one, other): (&Option<Arc<Server>>, &Option<Arc<Server>>)| {
            one.as_ref().map(Arc::as_ptr) == other.as_ref().map(Arc::as_ptr)
        };
        let changed = !held.owners.iter().zip(opinion.owners.iter()).all(is_same);
        *held = opinion;
        drop(held);
        if changed {
            self.changed.send_replace(());
        }
    }

    async fn ask_sentinels(&self, service: &str) -> RedisResult<Told> {
        let ask = |sentinel| async move { primary_of(sentinel, service).await.map_err(trouble::of_sentinel) };
        let opinions = self.ask_all(&self.advisers, self.patience, ask).await?;
        let (asked, answered) = (self.advisers.len(), opinions.len());
        let newest = opinions.into_iter().max_by_key(|(epoch, _)| *epoch);
        let (configuration, address) = newest.expect("one has answered");
        let owners = vec![Some(self.server(address)); self.slots.len()].into();
        Ok(Told { opinion: Opinion { owners, configuration }, asked, answered })
    }

    async fn ask_cluster(&self) -> RedisResult<Told> {
        let mut asked: Vec<Arc<Server>> = Vec::new();
        for server in self.owners().iter().flatten().chain(&self.advisers) {
            if asked.len() < ASKED_MAX && !asked.iter().any(|other| other.address == server.address) {
                asked.push(server.clone());
            }
        }
        let views = self.ask_all(&asked, self.patience, view_of).await?;
        let view = views.iter().max_by_key(|view| (view.is_ok, view.epoch)).expect("one has answered");
        let owner = |slot: &u16| view.owner(*slot).map(|owner| self.server(owner.clone()));
        let opinion = Opinion { owners: self.slots.iter().map(owner).collect(), configuration: view.epoch };
        Ok(Told { opinion, asked: asked.len(), answered: views.len() })
    }

    /// The answers of those who answer in time; if nobody does, what one of them said: a refusal, if there is one,
    /// since somebody has to know of it, while those who are away come back by themselves.
    async fn ask_all<'a, T, F>(
        &self,
        servers: &'a [Arc<Server>],
        patience: Duration,
        ask: impl Fn(&'a Server) -> F,
    ) -> RedisResult<Vec<T>>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let asking = servers
            .iter()
            .map(|server| async { timeout(patience, ask(server)).await.unwrap_or_else(|_elapsed| Err(late())) });
        let (answers, errors): (Vec<_>, Vec<_>) = join_all(asking).await.into_iter().partition(Result::is_ok);
        let answers: Vec<T> = answers.into_iter().flatten().collect();
        if !answers.is_empty() {
            return Ok(answers);
        }
        let mut errors: Vec<_> = errors.into_iter().filter_map(Result::err).collect();
        let at = errors.iter().position(trouble::is_refusal).unwrap_or(0);
        Err(if errors.is_empty() { late() } else { errors.swap_remove(at) })
    }
}

/// What a sentinel calls the primary, and since which epoch of the configuration. The address is asked for by itself:
/// in the middle of a failover, the description of the service has the new epoch beside the old address.
async fn primary_of(sentinel: &Server, service: &str) -> RedisResult<(u64, Address)> {
    let mut questions = redis::pipe();
    questions.cmd("SENTINEL").arg("MASTER").arg(service);
    questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    let mut answers = sentinel.link(Use::Shared).await?.send_all(&questions).await?.into_iter();
    let mut answer = || answers.next().unwrap_or(Value::Nil).extract_error();
    let fields: HashMap<String, String> = match answer() {
        Err(error) if error.detail().is_some_and(|detail| detail.contains("No such master")) => {
            let told = "the sentinels know no service of this name; correct the end of the URL";
            return Err(RedisError::from((ErrorKind::InvalidClientConfig, told, service.to_owned())));
        }
        fields => redis::from_redis_value(fields?)?,
    };
    named(&fields, redis::from_redis_value(answer()?)?)
}

/// The primary that a sentinel describes by `fields` and names by its address.
fn named(fields: &HashMap<String, String>, address: Option<(String, u16)>) -> RedisResult<(u64, Address)> {
    let epoch = fields.get("config-epoch").and_then(|epoch| epoch.parse().ok());
    match (epoch, address) {
        (Some(epoch), Some((host, port))) => Ok((epoch, Address { host, port })),
        _ => Err(RedisError::from((ErrorKind::Client, "the sentinel named no address of the primary"))),
    }
}

/// The servers that a sentinel knows beside the primary; one that was replaced is among them.
async fn replicas_of(sentinel: &Server, service: &str) -> RedisResult<Vec<Address>> {
    let mut question = redis::cmd("SENTINEL");
    question.arg("REPLICAS").arg(service);
    let answer = sentinel.link(Use::Shared).await?.send(&question).await?;
    let replicas: Vec<HashMap<String, String>> = redis::from_redis_value(answer)?;
    let address = |fields: HashMap<String, String>| {
        Some(Address { host: fields.get("ip")?.clone(), port: fields.get("port")?.parse().ok()? })
    };
    Ok(replicas.into_iter().filter_map(address).collect())
}

/// Tells a server that another one has taken a partition over. A replica refuses to be told: it knows.
async fn fence(server: &Server, state: &str, configuration: u64) -> RedisResult<()> {
    let mut question = redis::cmd("EVAL");
    question.arg(FENCE).arg(1).arg(state).arg(configuration);
    server.link(Use::Shared).await?.send(&question).await?;
    Ok(())
}

/// What a node of a cluster thinks of it.
async fn view_of(server: &Server) -> RedisResult<View> {
    let mut questions = redis::pipe();
    questions.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
    let link = server.link(Use::Shared).await?;
    let mut answers = link.send_all(&questions).await?.into_iter();
    let mut answer = || answers.next().unwrap_or(Value::Nil).extract_error();
    let info: String = redis::from_redis_value(answer()?)?;
    View::parse(&info, answer()?, &server.address)
        .ok_or_else(|| RedisError::from((ErrorKind::Client, "the answer of CLUSTER SLOTS is of another form")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        key::CacheVersion,
        position::PartitionCount,
        store::redis::settings::{RedisLimits, RedisTls},
    };

    fn topology(url: &str) -> Topology {
        patient_topology(url, Duration::from_secs(30))
    }

    fn patient_topology(url: &str, patience: Duration) -> Topology {
        let target = Target::parse(url).unwrap();
        let access = Access::new(&target, &RedisTls::default(), &RedisLimits::default()).unwrap();
        let names = Names::new("test", CacheVersion::default(), PartitionCount::DEFAULT);
        Topology::new(target, access.clone(), access, patience, &names)
    }

    #[test]
    fn a_primary_is_one_that_has_an_address_and_the_epoch_in_which_it_was_chosen() {
        let told = |epoch: &[(&str, &str)], address: Option<(&str, u16)>| {
            let fields = epoch.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            named(&fields, address.map(|(host, port)| (host.to_owned(), port))).map_err(|error| error.to_string())
        };
        let (chosen, there) = (("config-epoch", "7"), Some(("there", 1)));
        assert_eq!(told(&[chosen], there).unwrap(), (7, Address { host: "there".into(), port: 1 }));
        for (fields, address) in [(&[chosen][..], None), (&[], there), (&[("config-epoch", "x")], there)] {
            assert!(told(fields, address).unwrap_err().contains("named no address of the primary"));
        }
    }

    #[test]
    fn an_older_configuration_is_believed_only_if_most_of_those_asked_name_none_newer() {
        let supersedes = |configuration, held, answered, asked| {
            Told { opinion: Opinion { owners: Arc::new([]), configuration }, asked, answered }.supersedes(held)
        };
        assert!(supersedes(0, 0, 1, 3) && supersedes(7, 7, 1, 3) && supersedes(8, 7, 1, 3));
        assert!(!supersedes(6, 7, 1, 3) && !supersedes(6, 7, 1, 2) && !supersedes(6, 7, 2, 4));
        assert!(supersedes(0, 7, 2, 3) && supersedes(0, 7, 3, 3) && supersedes(0, 7, 1, 1), "they were set up anew");
    }

    /// It names the primary of long ago, which may still take itself for one.
    #[cfg(feature = "testing")]
    #[tokio::test(flavor = "multi_thread")]
    async fn a_sentinel_that_missed_a_failover_is_not_followed_when_it_is_the_only_one_in_reach() {
        use crate::testing::redis_server::RedisSentinels;
        let (group, missed) = tokio::task::spawn_blocking(|| {
            let group = RedisSentinels::start();
            group.fail_over();
            (group, RedisSentinels::start())
        })
        .await
        .unwrap();
        let url = group.url().replace("/main", &format!(",127.0.0.1:{}/main", missed.sentinels()[0].port()));
        let topology = patient_topology(&url, Duration::from_millis(500));
        let named = async || {
            *topology.discovery.lock().await = None;
            topology.discover().await.unwrap();
            topology.owner(Partition(0)).await.unwrap().address.port
        };
        let primary = group.servers[group.primary()].port();
        assert_eq!(named().await, primary);
        group.sentinels().iter().for_each(crate::testing::redis_server::RedisServer::pause);
        assert_eq!(named().await, primary, "of four, one speaks for another");
        group.sentinels().iter().for_each(crate::testing::redis_server::RedisServer::resume);
        assert_eq!(named().await, primary);
    }

    /// They may all be restarting at the moment in which somebody begins an epoch.
    #[cfg(feature = "testing")]
    #[tokio::test]
    async fn a_primary_that_was_replaced_is_told_also_if_no_sentinel_names_its_replicas() {
        let replaced = crate::testing::redis_server::RedisServer::start();
        let topology = topology("redis+sentinel://127.0.0.1:1/main");
        topology.server(Address { host: "127.0.0.1".into(), port: replaced.port() });
        let owner = topology.server(Address { host: "127.0.0.1".into(), port: 1 });
        topology.fence_others(&owner, "state", 3).await;
        assert_eq!(replaced.run::<Option<String>>(&["GET", "state"]), Some("replaced:3".into()));
    }

    #[test]
    fn of_servers_that_are_named_without_end_the_oldest_is_forgotten() {
        let topology = topology("redis+cluster://127.0.0.1:1");
        let named = |number: usize| topology.server(Address { host: format!("server-{number}"), port: 6379 });
        let (first, second) = (named(0), named(1));
        assert!(Arc::ptr_eq(&named(0), &first), "each has one connection");
        for number in 2..=KNOWN_MAX {
            named(number);
        }
        assert_eq!(topology.known.lock().len(), KNOWN_MAX);
        assert!(Arc::ptr_eq(&named(1), &second) && !Arc::ptr_eq(&named(0), &first));
        assert_eq!(topology.known.lock().len(), KNOWN_MAX);
    }
}
