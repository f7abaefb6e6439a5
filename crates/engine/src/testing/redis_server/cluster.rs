//! A cluster of masters, each with a replica.

use super::{Certificates, RedisServer, free_port, wait_until};
use crate::RedisSettings;

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// Three masters and a replica of each. The first three servers begin as masters, server `n + 3` as replica of `n`.
pub struct RedisCluster {
    /// The servers.
    pub servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts one, empty.
    pub fn start() -> Self {
        Self::launch(&[], None)
    }

    /// Starts one with more arguments for the servers.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::launch(arguments, None)
    }

    /// Starts one whose nodes speak TLS with each other and with clients, whose certificates they ask for.
    pub fn start_with_tls(certificates: &Certificates) -> Self {
        Self::launch(&[], Some(certificates))
    }

    fn launch(more: &[&str], certificates: Option<&Certificates>) -> Self {
        let arguments = |_: u16, _: &std::path::Path| {
            let bus = free_port().to_string();
            let arguments = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-node-timeout", "2000"],
                // The partitions of other masters go on while one is failed over.
                ["--cluster-require-full-coverage", "no"],
                ["--repl-diskless-sync-delay", "0"],
            ];
            let arguments = arguments.as_flattened().iter().chain(more);
            let mut arguments: Vec<_> = arguments.map(ToString::to_string).collect();
            if let Some(certificates) = certificates {
                arguments.extend(certificates.arguments("server", true));
                arguments.extend(["--tls-cluster", "yes"].map(str::to_owned));
            }
            arguments
        };
        let servers: Vec<_> = (0..MASTERS * 2).map(|_| RedisServer::launch(arguments)).collect();
        for (at, server) in servers.iter().enumerate() {
            server.run::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
            if at < MASTERS {
                let (first, next) = (SLOTS * at / MASTERS, SLOTS * (at + 1) / MASTERS);
                server.run::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(next - 1).to_string()]);
            }
            let bus: Vec<String> = server.run(&["CONFIG", "GET", "cluster-port"]);
            servers[0].run::<()>(&["CLUSTER", "MEET", "127.0.0.1", &server.tls_port().to_string(), &bus[1]]);
        }
        let cluster = Self { servers };
        wait_until("the nodes know each other", || {
            cluster
                .servers
                .iter()
                .all(|server| cluster_info(server, "cluster_known_nodes") == (MASTERS * 2).to_string())
        });
        for (at, replica) in cluster.servers.iter().enumerate().skip(MASTERS) {
            let master: String = cluster.servers[at - MASTERS].run(&["CLUSTER", "MYID"]);
            wait_until("it follows its master", || replica.try_run::<()>(&["CLUSTER", "REPLICATE", &master]).is_ok());
        }
        cluster.wait_until_whole();
        cluster
    }

    /// Where its masters were.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Where its masters were, by TLS.
    pub fn tls_url(&self) -> String {
        let hosts: Vec<_> = self.servers.iter().map(|server| format!("127.0.0.1:{}", server.tls_port())).collect();
        format!("rediss+cluster://{}", hosts.join(","))
    }

    /// Settings for a store on it.
    pub fn settings(&self, namespace: &str) -> RedisSettings {
        RedisSettings::new(self.url(), namespace)
    }

    /// Deletes the keys that match `pattern`, wherever they are.
    pub fn delete(&self, pattern: &str) {
        for server in self.servers.iter().filter(|server| server.is_running() && server.info("role") == "master") {
            server.delete(pattern);
        }
    }

    /// The slot of a key.
    pub fn slot(&self, key: &str) -> u16 {
        self.anybody().run(&["CLUSTER", "KEYSLOT", key])
    }

    /// Which server owns a slot, as one of those that run sees it.
    pub fn owner(&self, slot: u16) -> Option<usize> {
        // id address flags master ping pong epoch link slots…
        let nodes: String = self.anybody().run(&["CLUSTER", "NODES"]);
        let is_in = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse().is_ok_and(|first: u16| first <= slot) && last.parse().is_ok_and(|last: u16| slot <= last)
        };
        let line = nodes.lines().find(|line| line.split(' ').skip(8).any(is_in))?;
        let port = line.split(' ').nth(1)?.split('@').next()?.rsplit(':').next()?.parse().ok()?;
        self.servers.iter().position(|server| server.port() == port)
    }

    /// A running replica of a server. Waits until the server knows of one: a replica may be connected before that.
    pub fn replica_of(&self, master: usize) -> usize {
        let mut found = None;
        wait_until("it has a replica", || {
            found = self.find_replica_of(master);
            found.is_some()
        });
        found.expect("waited for")
    }

    fn find_replica_of(&self, master: usize) -> Option<usize> {
        let id: String = self.servers[master].run(&["CLUSTER", "MYID"]);
        let replicas: Vec<String> = self.servers[master].run(&["CLUSTER", "REPLICAS", &id]);
        let port_of =
            |line: &String| line.split(' ').nth(1)?.split('@').next()?.rsplit(':').next()?.parse::<u16>().ok();
        let found = replicas.iter().filter_map(port_of);
        let found = found.filter_map(|port| self.servers.iter().position(|server| server.port() == port));
        found.into_iter().find(|at| self.servers[*at].is_running())
    }

    /// Has a master's replica take its place, in peace: both live on.
    pub fn fail_over(&self, slot: u16) {
        let before = self.owner(slot).expect("the slot is owned");
        let replica = self.replica_of(before);
        self.servers[replica].run::<()>(&["CLUSTER", "FAILOVER"]);
        self.wait_for_another_than(before, slot);
    }

    /// Waits until another server than this one owns a slot, as all see it.
    pub fn wait_for_another_than(&self, before: usize, slot: u16) {
        wait_until("another server owns the slot", || {
            self.owner(slot).is_some_and(|owner| owner != before && self.servers[owner].info("role") == "master")
        });
        self.wait_until_served();
    }

    /// Moves a slot with all its keys to another master, key by key, as resharding does. `between` is called after
    /// each key.
    pub fn migrate(&self, slot: u16, to: usize, mut between: impl FnMut()) {
        let from = self.owner(slot).expect("the slot is owned");
        let id = |server: usize| self.servers[server].run::<String>(&["CLUSTER", "MYID"]);
        let (source, target) = (id(from), id(to));
        let text = slot.to_string();
        self.servers[to].run::<()>(&["CLUSTER", "SETSLOT", &text, "IMPORTING", &source]);
        self.servers[from].run::<()>(&["CLUSTER", "SETSLOT", &text, "MIGRATING", &target]);
        between();
        loop {
            let keys: Vec<String> = self.servers[from].run(&["CLUSTER", "GETKEYSINSLOT", &text, "1"]);
            let Some(key) = keys.first() else { break };
            let port = self.servers[to].tls_port().to_string();
            self.servers[from].run::<()>(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000", "REPLACE"]);
            between();
        }
        for server in [to, from] {
            self.servers[server].run::<()>(&["CLUSTER", "SETSLOT", &text, "NODE", &target]);
        }
    }

    /// Waits until every slot is served and every master has its replica.
    pub fn wait_until_whole(&self) {
        self.wait_until_served();
        wait_until("every master is followed", || {
            let masters = self.servers.iter().filter(|server| server.info("role") == "master").collect::<Vec<_>>();
            masters.len() == MASTERS && masters.iter().all(|master| master.info("connected_slaves") == "1")
        });
    }

    fn wait_until_served(&self) {
        wait_until("the cluster serves all slots", || {
            let served = |server: &RedisServer| {
                cluster_info(server, "cluster_state") == "ok" && cluster_info(server, "cluster_slots_ok") == "16384"
            };
            self.servers.iter().filter(|server| server.is_running()).all(served)
        });
    }

    fn anybody(&self) -> &RedisServer {
        self.servers.iter().find(|server| server.is_running()).expect("somebody runs")
    }
}

fn cluster_info(server: &RedisServer, field: &str) -> String {
    let info: String = server.run(&["CLUSTER", "INFO"]);
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_default().to_owned()
}
