//! What the outbox's triggers cost: an import of 20,000 rows, and a small write, with them and without.
//!
//! The two take turns on one database; machines are noisy, so only the ratio within a pair counts, and the median over
//! the pairs is printed. `make bench-writes` runs it.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "a benchmark")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use platform::{
    coherence::{ClientId, watched},
    store::{
        PoolLimits, Store,
        repositories::{
            clients::{self, ClientData},
            engagements::{self, EngagementData},
            flows::{self, FlowUpdate, NewFlow},
            imports::{self, NewImport, NewRow},
            users::{self, NewUser},
        },
    },
    views::EngagementStatus,
};
use sea_orm::DatabaseConnection;
use unstale::{Cache, MemoryStore};
use unstale_server::{database, outbox::triggers, testing::database::TestDatabase};
use uuid::Uuid;

const PAIRS: usize = 7;
const ROWS: u64 = 20_000;
const SMALL_WRITES: u32 = 200;

struct World {
    store: Store,
    cache: Cache,
    pool: DatabaseConnection,
    client: ClientId,
    engagement: Uuid,
    user: Uuid,
    flow: Uuid,
}

#[tokio::main]
async fn main() {
    println!("| database | what | with triggers | without | ratio |\n|---|---|---|---|---|");
    compare("SQLite", TestDatabase::sqlite()).await;
    compare("PostgreSQL", TestDatabase::postgres().await).await;
}

async fn compare(name: &str, database: TestDatabase) {
    let world = build(&database).await;
    let (mut imported, mut written) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let (mut import, mut small) = ([Duration::ZERO; 2], [Duration::ZERO; 2]);
        // Whoever begins has the smaller tables: they take turns.
        for turn in [pair % 2, 1 - pair % 2] {
            if turn == 0 {
                triggers::install(&world.pool, &watched::tables()).await.unwrap();
            } else {
                triggers::remove(&world.pool, &watched::tables()).await.unwrap();
            }
            import[turn] = world.import().await;
            small[turn] = world.write_small().await;
        }
        imported.push(import);
        written.push(small);
    }
    report(name, "an import of 20,000 rows", imported, 1);
    report(name, "an update of a flow", written, SMALL_WRITES);
}

fn report(name: &str, what: &str, mut pairs: Vec<[Duration; 2]>, each: u32) {
    let ratio = |pair: &[Duration; 2]| pair[0].as_secs_f64() / pair[1].as_secs_f64();
    pairs.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    let median = &pairs[pairs.len() / 2];
    let millis = |took: Duration| took.as_secs_f64() * 1000.0 / f64::from(each);
    let (with, without) = (millis(median[0]), millis(median[1]));
    println!("| {name} | {what} | {with:.2} ms | {without:.2} ms | {:.2} |", ratio(median));
}

async fn build(database: &TestDatabase) -> World {
    let store = Store::connect_within(&database.url(), &PoolLimits::default()).await.unwrap();
    store.migrate_up().await.unwrap();
    let pool = database::connect(&database.url(), "bench", &PoolLimits::default()).await.unwrap();
    let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    let relay = store.outbox().relay(cache.clone());
    tokio::spawn(async move { relay.run().await });
    let mut write = store.begin().await.unwrap();
    let (w, now) = (&mut write, Utc::now());
    let new = NewUser { email: "a@example.com".into(), name: "a".into(), password_hash: String::new() };
    let user = users::create_active(w, &new, true, now).await.unwrap().id;
    let data = ClientData { name: "Acme".into(), industry: None, description: None };
    let client = ClientId(clients::create(w, &data, now).await.unwrap().id);
    let data = EngagementData {
        name: "E".into(),
        description: None,
        status: EngagementStatus::Active,
        starts_on: None,
        ends_on: None,
    };
    let engagement = engagements::create(w, client, &data, now).await.unwrap().id;
    let metadata = serde_json::json!({});
    let new = NewFlow { engagement_id: engagement, owner_id: user, name: "f".into(), metadata };
    let flow = flows::create(w, client, &new, now).await.unwrap().summary.id;
    write.commit(&cache).await.unwrap();
    World { store, cache, pool, client, engagement, user, flow }
}

impl World {
    async fn import(&self) -> Duration {
        let rows: Vec<NewRow> = (0..ROWS).map(row).collect();
        let began = Instant::now();
        let mut write = self.store.begin().await.unwrap();
        let (w, now) = (&mut write, Utc::now());
        let new = NewImport {
            engagement_id: self.engagement,
            flow_id: Some(self.flow),
            file_name: "servers.csv".into(),
            size_bytes: 1,
            created_by: self.user,
        };
        let import = imports::create(w, self.client, &new, now).await.unwrap().id;
        let it = imports::unfinished(w, self.client, import).await.unwrap();
        for some in rows.chunks(500) {
            imports::insert_rows(w, it, some).await.unwrap();
        }
        imports::finish(w, it, ROWS, now).await.unwrap();
        write.commit(&self.cache).await.unwrap();
        began.elapsed()
    }

    async fn write_small(&self) -> Duration {
        let began = Instant::now();
        for number in 0..SMALL_WRITES {
            let metadata = Some(serde_json::json!({"number": number}));
            let update = FlowUpdate { metadata, ..FlowUpdate::default() };
            let mut write = self.store.begin().await.unwrap();
            flows::update(&mut write, self.client, self.flow, &update, Utc::now()).await.unwrap();
            write.commit(&self.cache).await.unwrap();
        }
        began.elapsed()
    }
}

fn row(number: u64) -> NewRow {
    let values = (0..12).map(|column| format!("value {column} of server {number}")).collect();
    NewRow { row_number: number + 2, values }
}
