//! What each tenant has in Redis.
//!
//! Asked for, not kept: Redis drops entries on its own (they expire, they are evicted), so that counters beside them would
//! be wrong within minutes, and would cost every fill a write. The names of entries hold their tenant, so a walk over
//! names (`SCAN`) finds them; what it costs falls on whoever asks, is bounded, and holds the server up for no longer
//! than one page.

use std::{collections::HashMap, pin::pin};

use redis::FromRedisValue;

use super::{
    RedisStore,
    server::{Link, Use},
};
use crate::{store::StoreError, tenant::Tenant};

/// Names looked at with one command: some 0.3 ms of the server's time.
const PAGE_NAMES: usize = 500;
/// What Redis keeps for a key besides its name and its value, roughly: the entries of its tables and their heads.
const KEY_BYTES: u64 = 120;

/// What tenants have in Redis.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// The largest first.
    pub tenants: Vec<TenantUsage>,
    /// Names looked at, those of other programs and namespaces included.
    pub names_seen: u64,
    /// Names that there are.
    pub names_total: u64,
    /// Whether all were looked at. If not, the figures are those of the names seen, which are in no order: what there
    /// is in all is about `names_total / names_seen` times as much ([`Usage::scale`]).
    pub complete: bool,
}

/// What a tenant has in Redis, in all cache versions of the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantUsage {
    /// The tenant.
    pub tenant: Tenant,
    /// Its entries.
    pub entries: u64,
    /// Their bytes: names and values as stored, and about what Redis needs for each.
    pub bytes: u64,
}

impl Usage {
    /// By how much the figures have to be multiplied if not all names were looked at.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn scale(&self) -> f64 {
        if self.complete || self.names_seen == 0 { 1.0 } else { self.names_total as f64 / self.names_seen as f64 }
    }
}

impl RedisStore {
    /// What each tenant has in Redis, from at most about `names_max` names (500 more, at most). Entries that come or go
    /// meanwhile may or may not be counted.
    ///
    /// Each page of names is an operation with its own time; others take their turn between them.
    pub async fn tenant_usage(&self, names_max: u64) -> Result<Usage, StoreError> {
        let connection = &self.shared.connection;
        connection.in_time(connection.topology().discover()).await?;
        let mut usage = Usage { complete: true, ..Usage::default() };
        let mut found: HashMap<Tenant, (u64, u64)> = HashMap::new();
        for server in connection.topology().servers() {
            let link = connection.in_time(server.link(Use::Shared)).await?;
            usage.names_total += self.names_total(&link).await?;
            let mut cursor = "0".to_owned();
            loop {
                if usage.names_seen >= names_max {
                    usage.complete = false;
                    break;
                }
                let (next, names) = self.page_of_names(&link, &cursor).await?;
                usage.names_seen += names.len() as u64;
                self.add_up(&link, &names, &mut found).await?;
                if next == "0" {
                    break;
                }
                cursor = next;
            }
        }
        let tenants = found.into_iter().map(|(tenant, (entries, bytes))| TenantUsage { tenant, entries, bytes });
        usage.tenants = tenants.collect();
        usage.tenants.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.tenant.cmp(&other.tenant)));
        Ok(usage)
    }

    async fn add_up(
        &self,
        link: &Link,
        names: &[Vec<u8>],
        found: &mut HashMap<Tenant, (u64, u64)>,
    ) -> Result<(), StoreError> {
        let ours: Vec<(Tenant, &[u8])> =
            names.iter().filter_map(|name| Some((self.shared.names.tenant_of(name)?, &name[..]))).collect();
        for ((tenant, name), bytes) in ours.iter().zip(self.lengths(link, &ours).await?) {
            // What has gone meanwhile has no length; an entry has.
            if bytes > 0 {
                let (entries, total) = found.entry(tenant.clone()).or_default();
                *entries += 1;
                *total += bytes + name.len() as u64 + KEY_BYTES;
            }
        }
        Ok(())
    }

    async fn names_total(&self, link: &Link) -> Result<u64, StoreError> {
        self.asked(link, &redis::cmd("DBSIZE")).await
    }

    /// Where to go on (`0` at the end), and the names of a page.
    async fn page_of_names(&self, link: &Link, cursor: &str) -> Result<(String, Vec<Vec<u8>>), StoreError> {
        let mut command = redis::cmd("SCAN");
        // No pattern: it would not be cheaper, and what was seen could not be told from what there is.
        command.arg(cursor).arg("COUNT").arg(PAGE_NAMES);
        self.asked(link, &command).await
    }

    async fn lengths(&self, link: &Link, names: &[(Tenant, &[u8])]) -> Result<Vec<u64>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        names.iter().for_each(|(_, name)| {
            pipeline.cmd("STRLEN").arg(*name);
        });
        let shared = &self.shared;
        let answers = shared.until(shared.deadline(), pin!(link.send_all(&pipeline))).await?;
        Ok(answers.into_iter().map(|answer| redis::from_redis_value(answer).unwrap_or(0)).collect())
    }

    async fn asked<T: FromRedisValue>(&self, link: &Link, command: &redis::Cmd) -> Result<T, StoreError> {
        let shared = &self.shared;
        let answer = shared.until(shared.deadline(), pin!(link.send(command))).await?;
        redis::from_redis_value(answer).map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}
