//! Verifying: every chain from its checkpoint to its head. *Does*.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use blake3::Hash;
use sea_orm::{
    AccessMode, ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, TransactionTrait as _,
};

use super::{
    AuditTrail,
    chain::{Fault, Head, Walk},
    heads::read_head,
    marks::{Mark, read_mark},
    record::Operation,
    ship::SPOOL,
    sql::{read_name, signed, statement},
    table::{COLUMNS, OWN, read_row},
};

/// Rows that are read at once.
const ROWS_MAX: u64 = 1000;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Records that were looked at.
    pub records: u64,
    /// Chains, whole or not.
    pub chains: u64,
    /// The first fault of each chain that has one, with its tenant; and, with none, each spool whose mark is not what was
    /// written, or was not when it was shipped.
    pub faults: Vec<(String, Fault)>,
}

/// What the installation's own chain and the table of spools name.
#[derive(Debug, Default)]
struct Named {
    /// Chains that were begun.
    begun: BTreeSet<String>,
    /// Spools whose marks were altered.
    altered: BTreeSet<String>,
}

/// A head that was noted outside of the database: a record and its MAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The tenant.
    pub tenant: String,
    /// The record's number.
    pub number: u64,
    /// Its MAC.
    pub mac: Hash,
}

impl Expected {
    /// Reads a line as it is printed: number, MAC, tenant.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let (number, mac) = (words.next()?.parse().ok()?, Hash::from_hex(words.next()?).ok()?);
        let tenant = words.next().filter(|tenant| *tenant != "-").unwrap_or_default();
        Some(Self { tenant: tenant.to_owned(), number, mac })
    }
}

/// A line to be noted outside of the database.
impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenant = if self.tenant.is_empty() { "-" } else { &self.tenant };
        write!(f, "{} {} {tenant}", self.number, self.mac.to_hex())
    }
}

impl AuditTrail {
    /// The heads of all chains, to be noted outside of the database.
    pub async fn heads(&self) -> Result<Vec<Head>, DbErr> {
        let sql = "SELECT * FROM cache_audit_heads ORDER BY tenant";
        let rows = self.pool.query_all_raw(statement(&self.pool, sql, [])).await?;
        Ok(rows.iter().map(|row| read_head(row, &self.keys).0).collect())
    }

    /// Verifies every chain, as the database is at one moment, and that what was noted of heads is in them.
    pub async fn verify(&self, expected: &[Expected]) -> Result<Report, DbErr> {
        // On SQLite every transaction sees one moment.
        let is_postgres = self.pool.get_database_backend() == DbBackend::Postgres;
        let isolation = is_postgres.then_some(IsolationLevel::RepeatableRead);
        let access = is_postgres.then_some(AccessMode::ReadOnly);
        let transaction = self.pool.begin_with_config(isolation, access).await?;
        let report = self.verify_within(&transaction, expected).await;
        transaction.rollback().await?;
        report
    }

    async fn verify_within(&self, transaction: &DatabaseTransaction, expected: &[Expected]) -> Result<Report, DbErr> {
        let mut heads: BTreeMap<String, Option<(Head, bool)>> = BTreeMap::new();
        let rows = transaction.query_all_raw(statement(transaction, "SELECT * FROM cache_audit_heads", [])).await?;
        for row in &rows {
            let (head, is_sealed) = read_head(row, &self.keys);
            heads.insert(head.tenant.clone(), Some((head, is_sealed)));
        }
        let rows = transaction.query_all_raw(statement(transaction, "SELECT DISTINCT tenant FROM cache_audit", []));
        for row in rows.await? {
            heads.entry(read_name(&row, "tenant")).or_insert(None);
        }
        let noted: BTreeSet<&str> = expected.iter().map(|one| one.tenant.as_str()).collect();
        for tenant in noted {
            heads.entry(tenant.to_owned()).or_insert(None);
        }
        let mut report = Report::default();
        let mut named = Named::default();
        let sql = "SELECT spool, shipped, seal FROM cache_audit_spools";
        for row in transaction.query_all_raw(statement(transaction, sql, [])).await? {
            let (spool, mark) = read_mark(&row, &self.keys);
            if !matches!(mark, Mark::At(_)) {
                named.altered.insert(spool);
            }
        }
        for (tenant, head) in &heads {
            report.chains += 1;
            let expected: HashMap<u64, Hash> =
                expected.iter().filter(|one| one.tenant == *tenant).map(|one| (one.number, one.mac)).collect();
            let walked = self.walk(transaction, tenant, head.as_ref(), &expected, &mut report, &mut named).await?;
            if let Err(fault) = walked {
                report.faults.push((tenant.clone(), fault));
            }
        }
        for tenant in named.begun.into_iter().filter(|tenant| !heads.contains_key(tenant)) {
            report.chains += 1;
            report.faults.push((tenant, Fault::ChainMissing));
        }
        let altered = named.altered.into_iter().map(|spool| (OWN.to_owned(), Fault::SpoolAltered { spool }));
        report.faults.extend(altered);
        Ok(report)
    }

    async fn walk(
        &self,
        transaction: &DatabaseTransaction,
        tenant: &str,
        head: Option<&(Head, bool)>,
        expected: &HashMap<u64, Hash>,
        report: &mut Report,
        named: &mut Named,
    ) -> Result<Result<(), Fault>, DbErr> {
        let empty = Head::empty(tenant);
        let mut fault = match head {
            None => Some(Fault::HeadMissing),
            Some((_, false)) => Some(Fault::HeadAltered),
            Some(_) => None,
        };
        let head = head.map_or(&empty, |(head, _)| head);
        let mut walk = Walk::from(head);
        let mut noted: HashMap<u64, Hash> =
            expected.iter().filter(|(number, _)| **number > head.pruned).map(|(number, mac)| (*number, *mac)).collect();
        // All there are: whoever invents a record may give it any number.
        let mut next = Some(i64::MIN);
        while let Some(from) = next {
            let sql = format!(
                "SELECT {COLUMNS} FROM cache_audit WHERE tenant = $1 AND number >= $2 ORDER BY number LIMIT $3"
            );
            let values = [tenant.into(), from.into(), signed(ROWS_MAX).into()];
            let rows = transaction.query_all_raw(statement(transaction, sql, values)).await?;
            // What has no number comes behind all that have one, and is looked at with the last of them.
            let numbers = rows.iter().rev().find_map(|row| row.try_get::<i64>("", "number").ok());
            next = numbers.and_then(|last| last.checked_add(1));
            for row in &rows {
                report.records += 1;
                let Ok(row) = read_row(row) else {
                    let number = row.try_get::<i64>("", "number").ok().and_then(|number| u64::try_from(number).ok());
                    let number = number.unwrap_or_else(|| walk.place().0 + 1);
                    fault = fault.or(Some(Fault::Altered { number }));
                    continue;
                };
                if fault.is_none() {
                    fault = walk.step(&self.keys, &row.link(), &row.mac).err();
                }
                // Beyond the first fault, too: whose chains there should be is worth knowing.
                if tenant == OWN && row.record.operation == Operation::CHAIN.as_str() {
                    named.begun.insert(row.record.key.clone());
                }
                // It has been made good since; that it was altered stays.
                if tenant == OWN && row.record.operation == Operation::ALTERED.as_str() && row.record.entity == SPOOL {
                    named.altered.insert(row.record.key.clone());
                }
                if noted.remove(&row.number).is_some_and(|mac| mac != row.mac) {
                    fault = fault.or(Some(Fault::NotAsNoted { number: row.number }));
                }
            }
            if (rows.len() as u64) < ROWS_MAX {
                break;
            }
        }
        let end = || {
            walk.end(head)?;
            noted.keys().min().map_or(Ok(()), |number| Err(Fault::NotAsNoted { number: *number }))
        };
        Ok(fault.map_or_else(end, Err))
    }
}
