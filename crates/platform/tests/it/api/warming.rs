//! Warming: after a sign-in, an import, a start and a broad invalidation, the first read asks the database nothing.

use std::{collections::BTreeMap, time::Duration};

use axum::{body::Body, http::Request};
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;
use unstale::testing::{Folder, redis_server::RedisServer};

use super::world::{ADMIN, ANALYST, OPERATOR, World};

/// For what happens soon unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

async fn metrics(world: &World) -> String {
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let body = world.router.clone().oneshot(request).await.unwrap().into_body();
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The sum of a counter's samples that have all of these labels.
async fn count(world: &World, name: &str, labels: &[&str]) -> u64 {
    let text = metrics(world).await;
    let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let samples = samples.filter(|line| labels.iter().all(|label| line.contains(label)));
    samples.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

/// Reads of an occasion that were made.
async fn warmed(world: &World, occasion: &str) -> u64 {
    let occasion = format!("occasion=\"{occasion}\"");
    let mut sum = 0;
    for outcome in ["loaded", "present"] {
        sum += count(world, "cache_warm_reads_total", &[&occasion, &format!("outcome=\"{outcome}\"")]).await;
    }
    sum
}

async fn until_warmed(world: &World, occasion: &str, reads: u64) {
    let waiting = async {
        while warmed(world, occasion).await < reads {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{occasion} was not warmed"));
}

/// Loads of everything but responses, by entity: what asks the database.
async fn loads(world: &World) -> BTreeMap<String, u64> {
    of_views(world, "cache_loads_total", "").await
}

/// Reads that found nothing. Not among them is what a busy machine makes of a Redis that does not answer in time.
async fn misses(world: &World) -> BTreeMap<String, u64> {
    of_views(world, "cache_reads_total", "verdict=\"MISS\"").await
}

async fn of_views(world: &World, name: &str, label: &str) -> BTreeMap<String, u64> {
    let text = metrics(world).await;
    let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
    let mut counts = BTreeMap::new();
    for (labels, count) in samples.map(|line| line.rsplit_once(' ').unwrap()) {
        let entity = labels.split('"').nth(1).unwrap();
        if entity != "http:response" {
            *counts.entry(entity.to_owned()).or_default() += count.parse::<u64>().unwrap();
        }
    }
    counts
}

/// What pages begin with, by whom and where they start, and how many views that is.
fn pages_begin_with(client: &str, engagement: Option<&str>) -> Vec<String> {
    let mut paths = vec![
        "/context/standing".to_owned(),
        "/context/start".to_owned(),
        "/context-establishment/clients".to_owned(),
        format!("/context-establishment/engagements?client_id={client}"),
    ];
    if let Some(engagement) = engagement {
        paths.push(format!("/discovery/flows?engagement_id={engagement}"));
        paths.push(format!("/imports?engagement_id={engagement}"));
    }
    paths
}

/// Of one who has chosen nothing yet, as the demonstration's administrators; and of one who has, as its analysts.
const VIEWS_OF_ADMIN: u64 = 5;
const VIEWS_OF_ANALYST: u64 = 7;

#[tokio::test]
async fn the_first_reads_after_a_sign_in_ask_the_database_nothing() {
    let world = World::new().await;
    let analyst = world.sign_in(ANALYST).await;
    until_warmed(&world, "sign_in", VIEWS_OF_ANALYST).await;
    let starts = analyst.get(&format!("/users/{}/defaults", analyst.id)).await.expect(200).body;
    let (client, engagement) = (starts["client_account_id"].as_str().unwrap(), starts["engagement_id"].as_str());
    assert!(engagement.is_some());
    let before = loads(&world).await;
    for path in pages_begin_with(client, engagement) {
        let first = analyst.get(&path).await.expect(200);
        assert!(!first.is_hit(), "{path}: nobody knows host and headers before");
        assert_eq!(loads(&world).await, before, "{path}");
        assert!(analyst.get(&path).await.expect(200).is_hit(), "{path}");
    }
    assert_eq!(count(&world, "cache_warm_reads_total", &["outcome=\"failed\""]).await, 0);
}

#[tokio::test]
async fn the_first_reads_after_an_import_ask_the_database_nothing() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    until_warmed(&world, "sign_in", VIEWS_OF_ADMIN).await;
    let ids = admin.ids().await;
    // The demonstration's own imports were occasions too.
    let earlier = warmed(&world, "import").await;
    let accepted = admin.upload(&ids.engagement, "a.csv", b"Name,OS\nhost,linux\n").await.expect(202);
    until_warmed(&world, "import", earlier + 5).await;
    let import = accepted.body["import_id"].as_str().unwrap();
    let before = loads(&world).await;
    for path in [
        format!("/imports/{import}"),
        format!("/field-mappings/{import}"),
        format!("/field-mappings/{import}/statistics"),
        format!("/imports?engagement_id={}", ids.engagement),
        format!("/discovery/flows?engagement_id={}", ids.engagement),
    ] {
        admin.get(&path).await.expect(200);
        assert_eq!(loads(&world).await, before, "{path}");
    }
}

/// Two logs over one database, which no deployment has: nothing is said again because another log has not said it.
fn shared(redis: &RedisServer, folder: &Folder) -> [(&'static str, String); 3] {
    let database = format!("sqlite://{}?mode=rwc", folder.path().join("shared.db").display());
    [("DATABASE_URL", database), ("REDIS_URL", redis.url()), ("OUTBOX_WINDOW", "0s".to_owned())]
}

#[tokio::test]
async fn nothing_is_warmed_into_redis_while_that_is_switched_off_for_everybody() {
    let (redis, folder) = (RedisServer::start(), Folder::new());
    let settings = shared(&redis, &folder);
    let world = World::with(&settings.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    let admin = world.sign_in(ADMIN).await;
    let ids = admin.ids().await;
    let operator = world.sign_in(OPERATOR).await;
    let is_in_redis = |import: &str| !redis.keys(&format!("*{import}*")).is_empty();
    let mut imports = Vec::new();
    for percentage in [0, 100] {
        operator.put("/admin/cache/flags/USE_REDIS_CACHE", json!({ "percentage": percentage })).await.expect(200);
        let earlier = warmed(&world, "import").await;
        let csv = format!("Name,OS\nhost-{percentage},linux\n");
        let accepted = admin.upload(&ids.engagement, "a.csv", csv.as_bytes()).await.expect(202);
        until_warmed(&world, "import", earlier + 5).await;
        imports.push(accepted.body["import_id"].as_str().unwrap().to_owned());
    }
    let switched_on = async {
        while !is_in_redis(&imports[1]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, switched_on).await.expect("the second is put into Redis");
    assert!(!is_in_redis(&imports[0]));
}

/// On a Redis of its own, which forgets everything.
#[tokio::test]
async fn after_a_start_and_after_redis_was_emptied_the_newest_users_find_their_views() {
    let (redis, folder) = (RedisServer::start(), Folder::new());
    let settings = shared(&redis, &folder);
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let first = World::with(&settings).await;
    let (admin, analyst) = (first.sign_in(ADMIN).await, first.sign_in(ANALYST).await);
    let views = VIEWS_OF_ADMIN + VIEWS_OF_ANALYST;
    until_warmed(&first, "sign_in", views).await;
    let mut readers = Vec::new();
    for person in [&admin, &analyst] {
        let standing = person.get("/context/standing").await.expect(200).body;
        let client = standing["client"]["id"].as_str().unwrap();
        let start = person.get("/context/start").await.expect(200).body;
        readers.push((person, pages_begin_with(client, start["engagement_id"].as_str())));
    }

    let other = RedisServer::start();
    let elsewhere = [settings[0], ("REDIS_URL", &*other.url().leak()), settings[2]];
    let second = World::beside(&first, &elsewhere).await;
    until_warmed(&second, "start", views).await;
    let before = misses(&second).await;
    for (person, _) in &readers {
        person.at(&second).get("/context/standing").await.expect(200);
    }
    assert_eq!(misses(&second).await, before);

    other.run::<()>(&["FLUSHALL"]);
    until_warmed(&second, "flush", views).await;
    let before = misses(&second).await;
    for (person, paths) in &readers {
        for path in paths {
            person.at(&second).get(path).await.expect(200);
        }
    }
    assert_eq!(misses(&second).await, before);
}
