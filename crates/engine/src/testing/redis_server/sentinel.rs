//! A primary with replicas, watched by sentinels.

use std::{collections::HashMap, fs};

use super::{Certificates, RedisServer, certificates::lines_of, wait_until};
use crate::{RedisLogin, RedisSettings};

const SERVICE: &str = "main";
const REPLICAS: usize = 2;
const SENTINELS: usize = 3;
/// Of the sentinels' default user, where they have logins.
const PASSWORD: &str = "among-sentinels";
/// Who may ask them then.
const LOGIN: [&str; 2] = ["node", "of-sentinels"];

/// Three servers, of which one is the primary, and three sentinels.
pub struct RedisSentinels {
    /// The servers, in no order that lasts.
    pub servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl RedisSentinels {
    /// Starts them, empty.
    pub fn start() -> Self {
        Self::launch(&[], None)
    }

    /// Starts them with more arguments for the servers.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::launch(arguments, None)
    }

    /// Starts some that all speak TLS, ask clients for certificates, and have logins of their own: servers as the
    /// arguments say, sentinels as [`login`](Self::login) says.
    pub fn start_with_tls(certificates: &Certificates, arguments: &[&str]) -> Self {
        Self::launch(arguments, Some(certificates))
    }

    fn launch(arguments: &[&str], certificates: Option<&Certificates>) -> Self {
        let usual = || {
            let usual = [arguments, &["--repl-diskless-sync-delay", "0"]].concat();
            let tls = certificates.map(|certificates| certificates.arguments("server", true)).unwrap_or_default();
            usual.into_iter().map(str::to_owned).chain(tls).collect::<Vec<_>>()
        };
        let primary = RedisServer::launch(|_, _| usual());
        let port = primary.tls_port().to_string();
        let of_primary = ["--replicaof", "127.0.0.1", &port].map(str::to_owned);
        let replicas = (0..REPLICAS).map(|_| RedisServer::launch(|_, _| [usual(), of_primary.to_vec()].concat()));
        let servers: Vec<_> = std::iter::once(primary).chain(replicas.collect::<Vec<_>>()).collect();
        wait_until("the replicas follow", || is_followed(&servers[0]));
        let sentinels: Vec<_> = (0..SENTINELS).map(|_| start_sentinel(&port, certificates)).collect();
        let group = Self { servers, sentinels };
        wait_until("the sentinels know each other", || {
            let knows = |sentinel: &RedisServer| {
                let fields = master(sentinel);
                fields["num-slaves"] == REPLICAS.to_string()
                    && fields["num-other-sentinels"] == (SENTINELS - 1).to_string()
            };
            group.sentinels.iter().all(knows)
        });
        group
    }

    /// Where the sentinels are.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port())).collect();
        format!("redis+sentinel://{}/{SERVICE}", hosts.join(","))
    }

    /// Where the sentinels are, by TLS, with this login for the servers.
    pub fn tls_url(&self, login: &str) -> String {
        let hosts: Vec<_> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.tls_port())).collect();
        format!("rediss+sentinel://{login}@{}/{SERVICE}", hosts.join(","))
    }

    /// How to log in to the sentinels, where they have logins.
    pub fn login(&self) -> RedisLogin {
        RedisLogin { user: Some(LOGIN[0].to_owned()), password: Some(LOGIN[1].to_owned()) }
    }

    /// The sentinels.
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// Settings for a store on them.
    pub fn settings(&self, namespace: &str) -> RedisSettings {
        RedisSettings::new(self.url(), namespace)
    }

    /// Which server the first sentinel calls the primary.
    pub fn primary(&self) -> usize {
        let port = &master(&self.sentinels[0])["port"];
        self.servers.iter().position(|server| server.tls_port().to_string() == *port).expect("one of ours")
    }

    /// Has another server made the primary, in peace: both live on.
    pub fn fail_over(&self) {
        let before = self.primary();
        wait_until("a failover begins", || self.sentinels[0].try_run::<()>(&["SENTINEL", "FAILOVER", SERVICE]).is_ok());
        self.wait_for_another_than(before);
    }

    /// Waits until the sentinels name another primary than this one, and it says so itself.
    pub fn wait_for_another_than(&self, before: usize) {
        wait_until("there is another primary", || {
            let ports: Vec<_> = self.sentinels.iter().map(|sentinel| master(sentinel)["port"].clone()).collect();
            let now = self.primary();
            now != before && ports.iter().all(|port| *port == ports[0]) && self.servers[now].info("role") == "master"
        });
    }

    /// Waits until both others follow the primary.
    pub fn wait_until_followed(&self) {
        wait_until("all follow the primary", || is_followed(&self.servers[self.primary()]));
    }
}

fn start_sentinel(port: &str, certificates: Option<&Certificates>) -> RedisServer {
    let mut server = RedisServer::launch(|own_port, dir| {
        let file = dir.join("sentinel.conf");
        let tls = certificates.map(|certificates| {
            let [user, password] = LOGIN;
            let logins = format!(
                "user {user} on >{password} ~* &* +@all\nrequirepass {PASSWORD}\nsentinel sentinel-pass {PASSWORD}\n"
            );
            lines_of(&certificates.arguments("server", true)) + &logins
        });
        let text = format!(
            "port {own_port}\nbind 127.0.0.1\ndir {dir}\n\
             sentinel monitor {SERVICE} 127.0.0.1 {port} {quorum}\n\
             sentinel down-after-milliseconds {SERVICE} 1000\n\
             sentinel failover-timeout {SERVICE} 4000\n\
             sentinel parallel-syncs {SERVICE} 2\n\
             {tls}",
            tls = tls.unwrap_or_default(),
            dir = dir.display(),
            quorum = SENTINELS / 2 + 1,
        );
        fs::write(&file, text).expect("the folder is ours");
        vec![file.to_string_lossy().into_owned(), "--sentinel".into()]
    });
    server.password = certificates.map(|_| PASSWORD);
    server
}

fn is_followed(primary: &RedisServer) -> bool {
    let info: String = primary.run(&["INFO", "replication"]);
    info.lines().filter(|line| line.starts_with("slave") && line.contains("state=online")).count() == REPLICAS
}

fn master(sentinel: &RedisServer) -> HashMap<String, String> {
    sentinel.run(&["SENTINEL", "MASTER", SERVICE])
}
