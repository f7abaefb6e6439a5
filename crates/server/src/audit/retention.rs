//! Retention: taking the oldest records out of every chain, from its beginning on. *Does*.
//!
//! # Invariants
//! - A chain is cut at one place: what stays begins right after the checkpoint, which is sealed with the head.
//! - What does not verify is not taken out: it is evidence.
//! - What the installation's own chain says for good (which chains there are, whose marks were altered) is said again at its
//!   end, in the transaction that takes it out: a chain that is removed as a whole is still found.
//! - That records were taken out is itself on record.

use std::{collections::HashSet, sync::Weak, time::Duration};

use sea_orm::{ConnectionTrait as _, DbErr};

use super::{
    Audit, AuditRefused, AuditTrail, Class, Shared,
    actor::Actor,
    chain::{Fault, Head, Link, Walk},
    heads::{lock_head, save_head},
    now_ms,
    record::{Entry, Operation, Outcome, Record},
    sql::{begin, signed, statement},
    table::{COLUMNS, OWN, Row, insert, read_row, values_of},
};

/// Records that one transaction takes out.
const RECORDS_MAX: u64 = 5000;

/// How the detail of a record begins that was taken out and said again.
const SAID_AGAIN: &str = "said again by retention; first recorded";

/// How often it is looked for what is too old.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Takes out what is older than `kept`, until everybody has let go of the trail.
pub(super) async fn enforce(shared: Weak<Shared>, kept: Duration) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let Some(audit) = shared.upgrade().map(Audit) else { return };
        let kept_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        match audit.prune(now_ms().saturating_sub(kept_ms), &Actor::default()).await {
            Ok(0) => {}
            Ok(pruned) => tracing::info!(pruned, "records of the audit trail were kept for as long as they are to be"),
            Err(error) => tracing::warn!(%error, "records of the audit trail stay longer than they are to be kept"),
        }
    }
}

/// Why records were not taken out.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The database refused.
    #[error(transparent)]
    Database(#[from] DbErr),
    /// It cannot be recorded.
    #[error(transparent)]
    Refused(#[from] AuditRefused),
}

impl Audit {
    /// Takes out what is older than `before_ms`, and records it. Returns how many records it were.
    pub async fn prune(&self, before_ms: u64, by: &Actor) -> Result<u64, RetentionError> {
        let mut pruned = 0;
        for head in self.trail().heads().await? {
            let detail = format!("records before {before_ms} ms since 1970");
            let entry = Entry {
                entity: "audit",
                key: &head.tenant,
                detail: &detail,
                ..by.entry(&head.tenant, Operation::RETENTION, Outcome::Unknown)
            };
            if !self.trail().has_older(&head, before_ms).await? {
                continue;
            }
            let intent = self.begin(Class::Mutation, &[entry]).await?;
            match self.trail().prune(&head.tenant, before_ms).await {
                Ok(count) => {
                    pruned += count;
                    intent.end_synced(Outcome::Done, 0, "").await;
                }
                Err(error) => {
                    intent.end_synced(Outcome::Failed, 0, "").await;
                    return Err(error.into());
                }
            }
        }
        Ok(pruned)
    }
}

impl AuditTrail {
    async fn has_older(&self, head: &Head, before_ms: u64) -> Result<bool, DbErr> {
        if head.tenant == OWN {
            // Only for what is said for good it is not worth it, and behind something younger it stays.
            let sql = "SELECT 1 FROM cache_audit AS it WHERE tenant = $1 AND at_ms < $2 AND operation NOT IN ($3, $4) \
                       AND NOT EXISTS (SELECT 1 FROM cache_audit AS younger WHERE younger.tenant = $1 \
                       AND younger.at_ms >= $2 AND younger.number < it.number) LIMIT 1";
            let [chain, altered] = FOR_GOOD.map(|operation| operation.as_str().into());
            let values = [OWN.into(), signed(before_ms).into(), chain, altered];
            return Ok(self.pool.query_one_raw(statement(&self.pool, sql, values)).await?.is_some());
        }
        let sql = "SELECT at_ms FROM cache_audit WHERE tenant = $1 ORDER BY number LIMIT 1";
        let first = self.pool.query_one_raw(statement(&self.pool, sql, [head.tenant.as_str().into()])).await?;
        // Of another type it was altered, and stays.
        Ok(first.is_some_and(|row| row.try_get::<i64>("", "at_ms").is_ok_and(|at_ms| at_ms < signed(before_ms))))
    }

    /// Takes a tenant's records out up to the first that is not older than `before_ms`. Returns how many, without those
    /// that are said again.
    pub async fn prune(&self, tenant: &str, before_ms: u64) -> Result<u64, DbErr> {
        let (mut pruned, mut until) = (0, None);
        loop {
            let transaction = begin(&self.pool).await?;
            let Some((mut head, true)) = lock_head(&transaction, &self.keys, tenant).await? else {
                tracing::error!(tenant, "the audit trail's chain was altered; nothing of it is taken out");
                return Ok(pruned);
            };
            let sql = "SELECT number FROM cache_audit WHERE tenant = $1 AND at_ms >= $2 ORDER BY number LIMIT 1";
            let values = [tenant.into(), signed(before_ms).into()];
            let first_kept = transaction.query_one_raw(statement(&transaction, sql, values)).await?;
            let first_kept = first_kept.map(|row| row.try_get::<i64>("", "number")).transpose()?;
            let last =
                first_kept.map_or(head.number, |number| u64::try_from(number).unwrap_or_default().saturating_sub(1));
            // What is said again by this is not old, whatever `before_ms` says.
            let through = last.min(*until.get_or_insert(head.number)).min(head.pruned + RECORDS_MAX);
            if through <= head.pruned {
                return Ok(pruned);
            }
            let mut walk = Walk::from(&head);
            let sql = format!(
                "SELECT {COLUMNS} FROM cache_audit WHERE tenant = $1 AND number <= $2 ORDER BY number LIMIT {}",
                RECORDS_MAX + 1
            );
            let values = [tenant.into(), signed(through).into()];
            let (mut found, mut for_good) = (Ok(()), ForGood::default());
            for row in transaction.query_all_raw(statement(&transaction, sql, values)).await? {
                let altered = || Fault::Altered { number: walk.place().0 + 1 };
                let row = read_row(&row).map_err(|_| altered());
                found = found.and(row).and_then(|row| {
                    walk.step(&self.keys, &row.link(), &row.mac)?;
                    for_good.note(row);
                    Ok(())
                });
            }
            let (reached, mac) = walk.place();
            if let Err(fault) = found.and(if reached == through {
                Ok(())
            } else {
                Err(Fault::Cut { expected: through, found: reached })
            }) {
                tracing::error!(tenant, %fault, "the audit trail's chain was altered; nothing of it is taken out");
                return Ok(pruned);
            }
            let sql = "DELETE FROM cache_audit WHERE tenant = $1 AND number <= $2";
            let deleted = statement(&transaction, sql, [tenant.into(), signed(through).into()]);
            pruned += transaction.execute_raw(deleted).await?.rows_affected();
            let again = for_good.records(now_ms());
            let rows = again.iter().map(|record| {
                head.number += 1;
                // By no spool, as a chain's beginning: nobody looks for it there.
                let link = Link { number: head.number, spool: "", spool_number: 0, record };
                head.mac = self.keys.link(&head.mac, &link);
                values_of(&link, &head.mac)
            });
            let rows: Vec<_> = rows.collect();
            pruned -= rows.len() as u64;
            insert(&transaction, rows).await?;
            (head.pruned, head.pruned_mac) = (through, mac);
            save_head(&transaction, &self.keys, &head).await?;
            transaction.commit().await?;
        }
    }
}

/// What the installation's own chain says for good.
const FOR_GOOD: [Operation; 2] = [Operation::CHAIN, Operation::ALTERED];

/// Of what is taken out of the installation's own chain, what has to be said again.
#[derive(Debug, Default)]
struct ForGood(Vec<Record>);

impl ForGood {
    fn note(&mut self, row: Row) {
        let is_for_good = FOR_GOOD.iter().any(|operation| operation.as_str() == row.record.operation);
        if row.record.tenant == OWN && is_for_good {
            self.0.push(row.record);
        }
    }

    /// Each once.
    fn records(self, now_ms: u64) -> Vec<Record> {
        let mut known = HashSet::new();
        let mut again = self.0;
        again.retain(|record| known.insert((record.operation.clone(), record.entity.clone(), record.key.clone())));
        for record in &mut again {
            if !record.detail.starts_with(SAID_AGAIN) {
                record.detail = format!("{SAID_AGAIN} {} ms since 1970: {}", record.at_ms, record.detail);
            }
            record.at_ms = now_ms;
        }
        again
    }
}
