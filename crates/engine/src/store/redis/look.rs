//! Looking at the servers: the IO of [`checks`](super::checks).

use std::collections::HashMap;

use redis::{RedisResult, Value};

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
    let mut questions = redis::pipe();
    questions.cmd("INFO").cmd("CONFIG").arg("GET").arg(&SETTINGS);
    let mut answers = server.link(Use::Shared).await?.send_all(&questions).await?.into_iter();
    let mut answer = || answers.next().unwrap_or(Value::Nil).extract_error();
    let info = redis::from_redis_value(answer()?)?;
    // Forbidden, or unknown: managed services do either.
    let settings = answer().ok().and_then(|settings| redis::from_redis_value(settings).ok());
    Ok((info, settings))
}

fn unreachable(server: String, what: String) -> RedisFinding {
    RedisFinding { severity: Severity::Wrong, server, what, advice: "" }
}
