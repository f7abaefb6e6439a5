//! Looking at the servers: the IO of [`checks`](super::checks).

use std::collections::HashMap;

use redis::RedisResult;

use super::{
    RedisStore,
    checks::{Answers, RedisFinding, SETTINGS, Severity, findings},
    server::{Server, Use},
};

impl RedisStore {
    /// What is risky about the servers' settings, for the log at the start; the gravest first. Nothing that is found
    /// makes the cache incoherent.
    pub async fn check(&self) -> Vec<RedisFinding> {
        let topology = self.shared.connection.topology();
        if let Err(error) = self.shared.connection.in_time(topology.discover()).await {
            return vec![unreachable(topology.target().to_string(), error.to_string())];
        }
        let mut found = Vec::new();
        for server in topology.servers() {
            let name = server.address.to_string();
            match self.shared.connection.in_time(look_at(&server)).await {
                Ok((info, settings)) => found.extend(findings(&Answers {
                    server: &name,
                    info: &info,
                    settings: settings.as_ref(),
                    has_failover: topology.has_failover(),
                })),
                Err(error) => found.push(unreachable(name, error.to_string())),
            }
        }
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        found
    }
}

/// `INFO`, and the settings unless they are forbidden.
async fn look_at(server: &Server) -> RedisResult<(String, Option<HashMap<String, String>>)> {
    let link = server.link(Use::Shared).await?;
    let info: String = redis::from_redis_value(link.send(&redis::cmd("INFO")).await?)?;
    let mut question = redis::cmd("CONFIG");
    question.arg("GET").arg(&SETTINGS);
    let settings = match link.send(&question).await {
        Ok(answer) => redis::from_redis_value(answer).ok(),
        // Forbidden, or unknown: managed services do either.
        Err(error) if !error.is_io_error() => None,
        Err(error) => return Err(error),
    };
    Ok((info, settings))
}

fn unreachable(server: String, what: String) -> RedisFinding {
    RedisFinding { severity: Severity::Wrong, server, what, advice: "" }
}
