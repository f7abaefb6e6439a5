//! The trail in the database: appending to the chains, and reading rows back. *Does*.
//!
//! # Invariants
//! - Rows, the heads of their chains, and how far the spool is shipped change in one transaction: a batch is there
//!   whole and once, whatever happens to the connection.
//! - How far a spool is shipped is sealed. What has not our seal is never believed: then the records say what is there.
//! - A head is read under a lock, or written only as long as it is what this node has written last, so that nodes extend a
//!   chain one after the other.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::Write as _,
};

use blake3::Hash;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult, SqlErr, Value};

use super::{
    chain::{AuditKeys, GENESIS, Head, Link},
    heads::{lock_head, save_head_after, values_of_head},
    marks::{Mark, mark},
    record::{Operation, Outcome, Record, Subject},
    sql::{NO_MAC, begin, read_mac, signed, statement, unsigned},
};

/// The columns of a record, in the order in which they are written and read.
pub(super) const COLUMNS: &str = "tenant, number, at_ms, principal, agent, operation, outcome, entity, key, subject, \
                                  status, trace_id, position, detail, times, spool, spool_number, mac";
pub(super) const COLUMN_COUNT: usize = 18;
/// Rows of one statement: few sizes, so that few statements are prepared.
const ROWS_PER_STATEMENT: [usize; 3] = [256, 16, 1];
/// The installation's own chain: of what is no tenant's, and of which chains there are.
pub(super) const OWN: &str = "";
/// Rows that are looked at for each record that may be in the database: one is ours, others may have been put beside it.
const RECORDED_FACTOR: u64 = 4;
/// Chains whose heads are remembered.
const KNOWN_MAX: usize = 100_000;

/// A record at its place in the database.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) record: Record,
    pub(super) spool: String,
    pub(super) spool_number: u64,
    pub(super) mac: Hash,
}

impl Row {
    pub(super) fn link(&self) -> Link<'_> {
        Link { number: self.number, spool: &self.spool, spool_number: self.spool_number, record: &self.record }
    }
}

/// Why a batch was not shipped.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShipError {
    #[error(transparent)]
    Database(#[from] DbErr),
    /// The database says something else of how far the spool is shipped than was thought.
    #[error("the database says something else of how far this spool is shipped: {0:?}")]
    Elsewhere(Mark),
}

/// What was shipped.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Appended {
    pub(super) rows: usize,
    /// Chains whose heads could not be trusted.
    pub(super) broken: usize,
}

/// The heads of chains as they were written last: they only ever grow.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<String, Written>);

#[derive(Debug)]
struct Written {
    head: Head,
    /// Nobody else had moved it before. Where several nodes extend a chain in turn, it is not worth a try.
    is_alone: bool,
}

impl Known {
    /// The heads of all these chains, if they are likely to be what they were.
    fn of(&self, tenants: &BTreeSet<&str>) -> Option<Heads> {
        let alone = |tenant: &&str| self.0.get(*tenant).filter(|written| written.is_alone);
        tenants.iter().map(|tenant| Some(((*tenant).to_owned(), (alone(tenant)?.head.clone(), true)))).collect()
    }
}

/// The heads of chains, each with whether it is one that was written.
type Heads = HashMap<String, (Head, bool)>;

/// What is believed of the heads of chains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belief {
    /// That they are what this node has written last. Whoever else has moved one is found when it is written again.
    Known,
    /// What they say, read under a lock.
    Read,
    /// That records may lie beyond them.
    Careful,
}

/// Which part of a spool a batch is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) spool: &'a str,
    /// What the database is thought to say of it.
    pub(super) before: Mark,
    /// The last number of this part.
    pub(super) through: u64,
    pub(super) now_ms: u64,
}

/// Appends the records of a part of a spool to their chains.
pub(super) async fn append(
    pool: &DatabaseConnection,
    keys: &AuditKeys,
    part: Part<'_>,
    records: &[(u64, Record)],
    known: &mut Known,
) -> Result<Appended, ShipError> {
    let mut belief = Belief::Known;
    loop {
        belief = match try_append(pool, keys, part, records, known, belief).await {
            Ok(Some(appended)) => return Ok(appended),
            Ok(None) => Belief::Read,
            // Somebody has put records where the next ones belong. They stay, to be found, and the chain goes on after them.
            Err(ShipError::Database(error))
                if belief != Belief::Careful
                    && matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) =>
            {
                Belief::Careful
            }
            Err(error) => return Err(error),
        };
    }
}

/// None, and nothing of it done, if a head is not the known one any more.
async fn try_append(
    pool: &DatabaseConnection,
    keys: &AuditKeys,
    part: Part<'_>,
    records: &[(u64, Record)],
    known: &mut Known,
    belief: Belief,
) -> Result<Option<Appended>, ShipError> {
    let transaction = begin(pool).await?;
    if transaction.get_database_backend() == DbBackend::Postgres {
        // The spool's segments are deleted after it: a commit that the server's crash takes back is not enough.
        transaction.execute_unprepared("SET LOCAL synchronous_commit = on").await?;
    }
    advance(&transaction, keys, part).await?;
    let mut appended = Appended::default();
    let mut tenants: BTreeSet<&str> = records.iter().map(|(_, record)| record.tenant.as_str()).collect();
    if tenants.iter().any(|tenant| !known.0.contains_key(*tenant)) {
        tenants.insert(OWN);
    }
    // All or none: who locks one after the other locks in the order of the names.
    let believed = known.of(&tenants).filter(|_| belief == Belief::Known);
    let is_known = believed.is_some();
    let mut heads = match believed {
        Some(heads) => heads,
        None => lock_heads(&transaction, keys, &tenants, known).await?,
    };
    let mut chained: BTreeMap<&str, Vec<(u64, &Record)>> = BTreeMap::new();
    for (number, record) in records {
        chained.entry(record.tenant.as_str()).or_default().push((*number, record));
    }
    let begun: Vec<(u64, Record)> = tenants
        .iter()
        .filter(|tenant| **tenant != OWN && !known.0.contains_key(**tenant) && heads[**tenant].0.number == 0)
        .map(|tenant| (0, chain_begun(tenant, part.now_ms)))
        .collect();
    for (number, record) in &begun {
        chained.entry(OWN).or_default().insert(0, (*number, record));
    }
    let mut rows = Vec::with_capacity(records.len() + begun.len());
    let mut reached = Vec::new();
    for (tenant, records) in chained {
        let (head, is_sealed) = heads.get_mut(tenant).expect("all are there");
        let before = known.0.get(tenant).map(|written| &written.head);
        let is_alone = before.is_none_or(|before| *before == *head);
        let mut is_broken = !*is_sealed || before.is_some_and(|before| before.number > head.number);
        if is_broken || belief == Belief::Careful {
            let last = last_number(&transaction, tenant).await?;
            is_broken |= last > head.number;
            head.number = head.number.max(last);
        }
        if is_broken {
            tracing::error!(
                tenant,
                number = head.number,
                "the audit trail's chain is broken: its head was altered, or \
                records were put in or taken out; verify it"
            );
            appended.broken += 1;
            head.mac = keys.broken(tenant, head.number);
        }
        for (spool_number, record) in records {
            head.number += 1;
            let link = Link { number: head.number, spool: part.spool, spool_number, record };
            head.mac = keys.link(&head.mac, &link);
            rows.push(values_of(&link, &head.mac));
        }
        if !save_head_after(&transaction, keys, head, before.filter(|_| is_known)).await? {
            transaction.rollback().await?;
            return Ok(None);
        }
        reached.push((tenant.to_owned(), Written { head: head.clone(), is_alone }));
    }
    appended.rows = rows.len();
    insert(&transaction, rows).await?;
    transaction.commit().await?;
    if known.0.len() > KNOWN_MAX {
        known.0.clear();
    }
    known.0.extend(reached);
    Ok(Some(appended))
}

/// Moves the mark up to which a spool is shipped; refused if it is not what it is thought to be.
async fn advance(transaction: &DatabaseTransaction, keys: &AuditKeys, part: Part<'_>) -> Result<(), ShipError> {
    let seal = |shipped| keys.seal_mark(part.spool, shipped).to_hex().to_string();
    let values: [Value; 4] =
        [part.spool.into(), signed(part.through).into(), signed(part.now_ms).into(), seal(part.through).into()];
    let save = "UPDATE cache_audit_spools SET shipped = $2, at_ms = $3, seal = $4 WHERE spool = $1";
    let advanced = match part.before {
        Mark::Missing => statement(
            transaction,
            "INSERT INTO cache_audit_spools (spool, shipped, at_ms, seal) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (spool) DO NOTHING",
            values,
        ),
        Mark::At(before) => {
            let is_as_left = [signed(before).into(), seal(before).into()];
            statement(
                transaction,
                format!("{save} AND shipped = $5 AND seal = $6"),
                values.into_iter().chain(is_as_left),
            )
        }
        Mark::Unsealed | Mark::Altered => {
            // Whatever stands there; but not over what somebody has sealed meanwhile.
            let actual = mark(transaction, keys, part.spool).await?;
            if !matches!(actual, Mark::Unsealed | Mark::Altered) {
                return Err(ShipError::Elsewhere(actual));
            }
            statement(transaction, save, values)
        }
    };
    if transaction.execute_raw(advanced).await?.rows_affected() == 1 {
        return Ok(());
    }
    Err(ShipError::Elsewhere(mark(transaction, keys, part.spool).await?))
}

/// Which of these records of a spool are in the database, each by its number there and its operation. Only those count
/// that we have written: whose MAC follows the record before it.
pub(super) async fn recorded(
    db: &impl ConnectionTrait,
    keys: &AuditKeys,
    spool: &str,
    records: &[(u64, Record)],
) -> Result<HashSet<(u64, String)>, DbErr> {
    let numbers = || records.iter().map(|(number, _)| signed(*number));
    let times = || records.iter().map(|(_, record)| signed(record.at_ms));
    let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else { return Ok(HashSet::new()) };
    let (since, until) = (times().min(), times().max());
    let columns = COLUMNS.split(", ").map(|name| format!("it.{name} AS {name}")).collect::<Vec<_>>().join(", ");
    // Found by the index on the time.
    let sql = format!(
        "SELECT {columns}, prior.mac AS prior_mac FROM cache_audit AS it LEFT JOIN cache_audit AS prior \
         ON prior.tenant = it.tenant AND prior.number = it.number - 1 WHERE it.at_ms >= $1 AND it.at_ms <= $2 \
         AND it.spool = $3 AND it.spool_number >= $4 AND it.spool_number <= $5 LIMIT $6"
    );
    let limit = signed(RECORDED_FACTOR * records.len() as u64);
    let values = [since.into(), until.into(), spool.into(), first.into(), last.into(), limit.into()];
    let mut found = HashSet::new();
    for row in db.query_all_raw(statement(db, sql, values)).await? {
        let prior = row.try_get::<Option<String>>("", "prior_mac")?.and_then(|hex| Hash::from_hex(&hex).ok());
        let Ok(row) = read_row(&row) else { continue };
        let (tenant, before_number) = (row.record.tenant.as_str(), row.number.saturating_sub(1));
        let of_first = (before_number == 0).then_some(GENESIS);
        let mut possible = prior.into_iter().chain(of_first).chain([keys.broken(tenant, before_number)]);
        if possible.any(|prior| keys.link(&prior, &row.link()) == row.mac) {
            found.insert((row.spool_number, row.record.operation));
        }
    }
    Ok(found)
}

/// The heads of chains, locked until the transaction ends. All lock in the order of the names, so that nobody waits for
/// each other in a circle.
async fn lock_heads(
    transaction: &DatabaseTransaction,
    keys: &AuditKeys,
    tenants: &BTreeSet<&str>,
    known: &Known,
) -> Result<Heads, DbErr> {
    for tenant in tenants.iter().filter(|tenant| !known.0.contains_key(**tenant)) {
        let head = Head::empty(tenant);
        let insert = statement(
            transaction,
            "INSERT INTO cache_audit_heads (tenant, number, mac, pruned, pruned_mac, seal) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant) DO NOTHING",
            values_of_head(keys, &head),
        );
        transaction.execute_raw(insert).await?;
    }
    let mut heads = HashMap::new();
    for tenant in tenants {
        let head = lock_head(transaction, keys, tenant).await?;
        // Somebody has deleted it.
        let head = head.unwrap_or_else(|| (Head::empty(tenant), false));
        heads.insert((*tenant).to_owned(), head);
    }
    Ok(heads)
}

async fn last_number(db: &impl ConnectionTrait, tenant: &str) -> Result<u64, DbErr> {
    // On SQLite, what is no number may stand beyond them.
    let sql = "SELECT CAST(number AS BIGINT) AS number FROM cache_audit WHERE tenant = $1 \
               AND number <= 9223372036854775807 ORDER BY number DESC LIMIT 1";
    let row = db.query_one_raw(statement(db, sql, [tenant.into()])).await?;
    row.map_or(Ok(0), |row| Ok(unsigned(row.try_get::<i64>("", "number")?)))
}

fn chain_begun(tenant: &str, at_ms: u64) -> Record {
    Record {
        at_ms,
        operation: Operation::CHAIN.as_str().to_owned(),
        outcome: Outcome::Done.as_str().to_owned(),
        key: tenant.to_owned(),
        times: 1,
        ..Record::default()
    }
}

pub(super) fn values_of(link: &Link<'_>, mac: &Hash) -> [Value; COLUMN_COUNT] {
    let record = link.record;
    [
        record.tenant.as_str().into(),
        signed(link.number).into(),
        signed(record.at_ms).into(),
        record.principal.as_str().into(),
        record.agent.as_str().into(),
        record.operation.as_str().into(),
        record.outcome.as_str().into(),
        record.entity.as_str().into(),
        record.key.as_str().into(),
        record.subject.map(Subject::hex).into(),
        i64::from(record.status).into(),
        (record.trace != 0).then(|| format!("{:032x}", record.trace)).into(),
        record.position.as_str().into(),
        record.detail.as_str().into(),
        i64::from(record.times).into(),
        link.spool.into(),
        signed(link.spool_number).into(),
        mac.to_hex().to_string().into(),
    ]
}

pub(super) async fn insert(transaction: &DatabaseTransaction, rows: Vec<[Value; COLUMN_COUNT]>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let fits = ROWS_PER_STATEMENT.into_iter().find(|size| *size <= rows.len());
        let size = fits.expect("one row is one statement, too");
        let mut sql = format!("INSERT INTO cache_audit ({COLUMNS}) VALUES ");
        for row in 0..size {
            sql.push_str(if row == 0 { "(" } else { ", (" });
            for column in 1..=COLUMN_COUNT {
                let comma = if column == 1 { "" } else { "," };
                write!(sql, "{comma}${}", row * COLUMN_COUNT + column).expect("a text takes everything");
            }
            sql.push(')');
        }
        let values = rows.by_ref().take(size).flatten();
        transaction.execute_raw(statement(transaction, sql, values.collect::<Vec<_>>())).await?;
    }
    Ok(())
}

/// A row as it was read. What is no number, MAC or hash of ours any more is read as one that verifies nowhere; of another type
/// than we write it, it is an error.
pub(super) fn read_row(row: &QueryResult) -> Result<Row, DbErr> {
    let text = |name| row.try_get::<String>("", name);
    let number = unsigned(row.try_get::<i64>("", "number")?);
    let (subject, trace): (Option<String>, Option<String>) =
        (row.try_get("", "subject")?, row.try_get("", "trace_id")?);
    let subject_read = subject.as_deref().and_then(Subject::parse);
    let trace_read = trace.as_deref().and_then(|trace| u128::from_str_radix(trace, 16).ok()).unwrap_or_default();
    let [status, times, at_ms, spool_number] =
        ["status", "times", "at_ms", "spool_number"].map(|name| row.try_get::<i64>("", name));
    let (status, times, at_ms, spool_number) = (status?, times?, at_ms?, spool_number?);
    // Written in another way than we write it, it has been altered, although it reads the same.
    let is_ours = subject == subject_read.map(Subject::hex)
        && trace == (trace_read != 0).then(|| format!("{trace_read:032x}"))
        && u16::try_from(status).is_ok()
        && u32::try_from(times).is_ok()
        && at_ms >= 0
        && spool_number >= 0;
    let record = Record {
        at_ms: unsigned(at_ms),
        tenant: text("tenant")?,
        principal: text("principal")?,
        agent: text("agent")?,
        operation: text("operation")?,
        outcome: text("outcome")?,
        entity: text("entity")?,
        key: text("key")?,
        subject: subject_read,
        status: u16::try_from(status).unwrap_or_default(),
        trace: trace_read,
        position: text("position")?,
        detail: text("detail")?,
        times: u32::try_from(times).unwrap_or_default(),
    };
    let mac = if is_ours { read_mac(row, "mac")? } else { NO_MAC };
    Ok(Row { number, record, spool: text("spool")?, spool_number: unsigned(spool_number), mac })
}
