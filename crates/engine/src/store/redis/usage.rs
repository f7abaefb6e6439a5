//! What each tenant has in Redis.
//!
//! Asked for, not kept: Redis drops entries on its own (they expire, they are evicted), so that counters beside them would
//! be wrong within minutes, and would cost every fill a write. The names of entries hold their tenant, so a
//! [walk](super::walk) over names finds them.

use std::collections::HashMap;

use super::{RedisStore, walk::Walk};
use crate::{store::StoreError, tenant::Tenant};

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
        let shared = &*self.shared;
        let mut walk = Walk::begin(shared, names_max).await?;
        let mut found: HashMap<Tenant, (u64, u64)> = HashMap::new();
        while let Some(page) = walk.next().await? {
            let tenant_of = |name| Some((name, shared.names.tenant_of(name)?));
            let (names, tenants): (Vec<&[u8]>, Vec<Tenant>) = page.names().filter_map(tenant_of).unzip();
            let lengths = page.ask_each(shared, &names, |name| redis::cmd("STRLEN").arg(name).take()).await?;
            for ((tenant, name), length) in tenants.into_iter().zip(names).zip(lengths) {
                let bytes: u64 = redis::from_redis_value(length).unwrap_or(0);
                // What has gone meanwhile has no length; an entry has.
                if bytes > 0 {
                    let (entries, total) = found.entry(tenant).or_default();
                    *entries += 1;
                    *total += bytes + name.len() as u64 + KEY_BYTES;
                }
            }
        }
        let tenants = found.into_iter().map(|(tenant, (entries, bytes))| TenantUsage { tenant, entries, bytes });
        let Walk { names_seen, names_total, complete, .. } = walk;
        let mut usage = Usage { tenants: tenants.collect(), names_seen, names_total, complete };
        usage.tenants.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.tenant.cmp(&other.tenant)));
        Ok(usage)
    }
}
