//! The database is away, and comes back: nothing is lost.

use std::time::Duration;

use unstale::testing::Folder;
use unstale_server::{
    audit::{
        Audit, AuditKeys, AuditMetrics, AuditRefused, AuditSettings, AuditTrail, Class, Entry, Filter, Level,
        Operation, Outcome,
    },
    database::{PoolLimits, connect, migrate_up},
    testing::postgres,
};

use super::world::{LIMIT, done};

async fn trail_on(server: &postgres::Server) -> AuditTrail {
    let limits = PoolLimits { acquire_timeout: Duration::from_millis(500), ..PoolLimits::default() };
    let pool = connect(&server.url("postgres"), "test", &limits).await.unwrap();
    migrate_up(&pool).await.unwrap();
    AuditTrail::new(pool, AuditKeys::derive(b"secret"))
}

/// How long the database is away: 2 s, or as many as `AUDIT_AWAY_SECONDS` says.
fn away() -> Duration {
    let told = std::env::var("AUDIT_AWAY_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(told.unwrap_or(2))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_recorded_while_the_database_is_away_is_there_when_it_is_back() {
    let server = tokio::task::spawn_blocking(postgres::Server::own).await.unwrap();
    let trail = trail_on(&server).await;
    let folder = Folder::new();
    let settings = AuditSettings { level: Level::All, ..AuditSettings::new(folder.path()) };
    let metrics = AuditMetrics::default();
    let audit = Audit::start(&settings, trail.clone(), metrics.clone()).unwrap();
    let mut recorded = 0;
    let mut record = async |count: u64| {
        for _ in 0..count {
            audit.record(Class::Mutation, &done("acme", &recorded.to_string())).await.unwrap();
            recorded += 1;
        }
    };
    record(100).await;
    assert!(audit.flush(LIMIT).await);
    for _ in 0..2 {
        tokio::task::block_in_place(|| server.stop());
        record(500).await;
        assert!(!audit.flush(away()).await, "there is nobody to take it");
        record(500).await;
        // While batches are on their way, too.
        tokio::task::block_in_place(|| server.start());
        record(500).await;
    }
    assert!(audit.flush(LIMIT).await);
    let filter = Filter { tenant: Some("acme".into()), ..Filter::default() };
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = trail.search(&filter, after.as_ref(), 1000).await.unwrap();
        keys.extend(page.found.into_iter().map(|one| one.record.key.parse::<u64>().unwrap()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    keys.sort_unstable();
    assert_eq!(keys, (0..3100).collect::<Vec<_>>(), "each once");
    assert!(trail.verify(&[]).await.unwrap().faults.is_empty());
    assert_eq!((metrics.spooled_count(Class::Mutation), metrics.refused_count(Class::Mutation)), (3100, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_refuses_what_must_be_recorded_and_names_the_reads_that_it_left_out() {
    let server = tokio::task::spawn_blocking(postgres::Server::own).await.unwrap();
    let trail = trail_on(&server).await;
    let folder = Folder::new();
    let settings = AuditSettings { level: Level::All, spool_bytes_max: 64 << 10, ..AuditSettings::new(folder.path()) };
    let audit = Audit::start(&settings, trail.clone(), AuditMetrics::default()).unwrap();
    tokio::task::block_in_place(|| server.stop());
    let read = Entry { principal: "ada", key: "/flows", ..Entry::new("acme", Operation::READ, Outcome::Hit) };
    let mut left_out = 0;
    for _ in 0..1000 {
        match audit.read(Class::Read, &read) {
            Some(ticket) => audit.written(ticket),
            None => left_out += 1,
        }
    }
    assert!(left_out > 100, "{left_out}");
    // There is room left for what must be recorded, and then there is not.
    let mut written = 0;
    let refused = loop {
        match audit.begin(Class::Mutation, &[done("acme", "w")]).await {
            Ok(intent) => intent.end(Outcome::Done, 200, ""),
            Err(refused) => break refused,
        }
        written += 1;
    };
    assert!(written > 20 && matches!(refused, AuditRefused::Full { .. }), "{written}: {refused}");
    tokio::task::block_in_place(|| server.start());
    assert!(audit.flush(LIMIT).await);
    assert!(audit.flush(LIMIT).await, "and the gap");
    audit.begin(Class::Mutation, &[done("acme", "again")]).await.unwrap().end(Outcome::Done, 200, "");
    assert!(audit.flush(LIMIT).await);
    let found = trail.search(&Filter::default(), None, 1000).await.unwrap().found;
    let reads: u32 = found.iter().filter(|it| it.record.operation == "read").map(|it| it.record.times).sum();
    assert_eq!(reads, 1000 - left_out);
    let gaps: Vec<_> = found.iter().filter(|it| it.record.operation == "gap").collect();
    assert!(gaps.len() == 1 && gaps[0].record.detail.starts_with(&format!("{left_out} reads")), "{gaps:?}");
    assert_eq!(found.iter().filter(|it| it.record.operation == "invalidate").count(), written + 1);
}
