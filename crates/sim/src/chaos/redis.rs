//! The arrangements of servers that scenarios play on: one alone, some that sentinels watch, a cluster.

use std::{net::Ipv4Addr, sync::Arc};

use parking_lot::Mutex;
use unstale::testing::redis_server::{RedisCluster, RedisSentinels, RedisServer};

use super::{
    failure::{Failure, Step},
    faults::{Fault, OF_CLUSTER, OF_ONE, OF_SENTINELS},
    proxy::Proxy,
    server::Server,
};

/// Servers that nodes keep their log and entries on.
pub(super) trait Redis: Sized + Send + Sync + 'static {
    /// What may be done to them.
    const FAULTS: &'static [Fault<Self>];

    /// Starts them, empty.
    fn start() -> impl Future<Output = Step<Self>> + Send;

    /// How a node reaches them.
    fn way_of(&self, node: usize) -> impl Future<Output = Step<Way>> + Send;

    /// What they say when somebody asks how they are.
    fn says(&self) -> impl Future<Output = String> + Send;
}

/// How a node reaches Redis.
pub(super) struct Way {
    pub(super) url: String,
    /// Between the node and each server, in the servers' order; none where it goes straight to them.
    pub(super) proxies: Vec<Proxy>,
}

impl Redis for Server {
    const FAULTS: &'static [Fault<Self>] = OF_ONE;

    async fn start() -> Step<Self> {
        Self::start().await
    }

    async fn way_of(&self, _node: usize) -> Step<Way> {
        let proxy = Proxy::start(self.port()).await.map_err(Failure::of("starting a proxy"))?;
        Ok(Way { url: format!("redis://127.0.0.1:{}", proxy.port()), proxies: vec![proxy] })
    }

    async fn says(&self) -> String {
        format!("{:?}", self.run::<String>(&["PING"]).await)
    }
}

/// Several servers and what watches them, as the engine's tests start them. Their tools wait for what they do, so each
/// step runs on a thread of its own, while the load goes on.
pub(super) struct Group<G>(Arc<Mutex<G>>);

/// A primary with two replicas, and three sentinels. Nodes go straight to them: sentinels tell all of them one address.
pub(super) type Sentinels = Group<RedisSentinels>;

/// Three masters, each with a replica. Each node has an address of loopback to itself, on which it finds every server
/// behind a proxy: the servers tell no host, so whoever asks them stays on his own.
pub(super) type Cluster = Group<RedisCluster>;

impl<G: Send + 'static> Group<G> {
    async fn launch(start: fn() -> G) -> Step<Self> {
        let started = tokio::task::spawn_blocking(start).await.map_err(Failure::of("starting servers"))?;
        Ok(Self(Arc::new(Mutex::new(started))))
    }

    /// Does something to them, or asks them.
    pub(super) async fn with<T: Send + 'static>(&self, act: impl FnOnce(&mut G) -> T + Send + 'static) -> Step<T> {
        let group = self.0.clone();
        let acting = tokio::task::spawn_blocking(move || act(&mut group.lock()));
        acting.await.map_err(Failure::of("the servers of the scenario"))
    }
}

impl Redis for Sentinels {
    const FAULTS: &'static [Fault<Self>] = OF_SENTINELS;

    async fn start() -> Step<Self> {
        Self::launch(RedisSentinels::start).await
    }

    async fn way_of(&self, _node: usize) -> Step<Way> {
        Ok(Way { url: self.with(|group| group.url()).await?, proxies: Vec::new() })
    }

    async fn says(&self) -> String {
        let says = self.with(|group| {
            let roles: Vec<_> = group.servers.iter().map(role).collect();
            format!("sentinels name server {} of {roles:?}", group.primary())
        });
        says.await.unwrap_or_else(|failure| failure.to_string())
    }
}

impl Redis for Cluster {
    const FAULTS: &'static [Fault<Self>] = OF_CLUSTER;

    async fn start() -> Step<Self> {
        Self::launch(|| RedisCluster::start_with(&["--cluster-preferred-endpoint-type", "unknown-endpoint"])).await
    }

    async fn way_of(&self, node: usize) -> Step<Way> {
        let ports = self.with(|cluster| cluster.servers.iter().map(RedisServer::port).collect::<Vec<_>>()).await?;
        // The servers have 127.0.0.1.
        let own = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(node).expect("there are few nodes"));
        let mut proxies = Vec::new();
        for port in &ports {
            let how = format!("binding {own}, which Linux has; elsewhere make it: ifconfig lo0 alias {own}");
            proxies.push(Proxy::start_at((own, *port), *port).await.map_err(Failure::of(&how))?);
        }
        let places: Vec<_> = ports.iter().map(|port| format!("{own}:{port}")).collect();
        Ok(Way { url: format!("redis+cluster://{}", places.join(",")), proxies })
    }

    async fn says(&self) -> String {
        let says = self.with(|cluster| format!("{:?}", cluster.servers.iter().map(role).collect::<Vec<_>>()));
        says.await.unwrap_or_else(|failure| failure.to_string())
    }
}

fn role(server: &RedisServer) -> String {
    if server.is_running() { server.info("role") } else { "killed".into() }
}
