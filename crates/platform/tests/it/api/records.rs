//! What platform administrators see and change of the cache itself.

use std::time::Duration;

use axum::http::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use unstale::testing::Folder;

use super::{
    nodes::Nodes,
    world::{ADMIN, ANALYST, Answer, CACHE_ADMINISTRATION, OPERATOR, Person, World, all_operations},
};

const CONFIGURATION: &str = "/admin/cache/configuration";
const UNDO: &str = "/admin/cache/configuration/undo";

async fn put(operator: &Person, configuration: Value) -> Answer {
    operator.put(CONFIGURATION, json!({ "configuration": configuration, "reason": "to see" })).await
}

async fn undo(operator: &Person) -> Answer {
    operator.post(UNDO, json!({ "reason": "seen" })).await
}

#[tokio::test]
async fn it_is_for_administrators_of_the_platform_alone() {
    let world = World::new().await;
    let mut checked = 0;
    for email in [ADMIN, ANALYST] {
        let person = world.sign_in(email).await;
        for (method, path) in all_operations().into_iter().filter(|(_, path)| path.starts_with(CACHE_ADMINISTRATION)) {
            let body = match method {
                Method::PUT if path.contains("/flags/") => Some(json!({ "percentage": 0 })),
                Method::PUT => Some(json!({ "configuration": {}, "reason": "x" })),
                Method::POST => Some(json!({ "reason": "x" })),
                _ => None,
            };
            let answer = person.ask(method, path.strip_prefix("/api/v1").unwrap(), body, &[]).await.expect(403);
            assert!(!answer.is_hit());
            checked += 1;
        }
    }
    assert_eq!(checked, 2 * 13);
}

#[tokio::test]
async fn a_change_is_in_force_at_once_and_is_undone() {
    let world = World::new().await;
    let (operator, admin) = (world.sign_in(OPERATOR).await, world.sign_in(ADMIN).await);
    admin.get("/context/me").await.expect(200);
    assert!(admin.get("/context/me").await.is_hit());
    let off = json!({
        "endpoints": { "/api/v1/context/me": { "cache": false }, "/api/v1/engagements": { "headers": false } },
    });
    let version = put(&operator, off).await.expect(200).body;
    assert_eq!((&version["version"], &version["changed_by"]), (&json!(1), &json!(operator.id)));
    let bypassed = admin.get("/context/me").await.expect(200);
    assert_eq!(
        (bypassed.header("x-cache"), bypassed.header("cache-status")),
        ("BYPASS", "Unstale; fwd=bypass; detail=off")
    );
    let silent = admin.get("/engagements").await.expect(200);
    assert_eq!((silent.header("x-cache"), silent.header("cache-status")), ("", ""));
    assert_ne!(silent.header("etag"), "");

    let shown = operator.get(CONFIGURATION).await.expect(200).body;
    assert_eq!(
        (&shown["version"], &shown["configuration"]["endpoints"]["/api/v1/context/me"]["cache"]),
        (&json!(1), &json!(false))
    );
    assert!(shown["entries"].as_array().unwrap().iter().any(|entry| entry["name"] == "user:context"));
    undo(&operator).await.expect(200);
    assert!(admin.get("/context/me").await.expect(200).is_hit(), "what was kept before is there again");
    undo(&operator).await.expect(409);
    let history = operator.get("/admin/cache/configuration/history").await.expect(200).body;
    let told: Vec<_> = history["items"].as_array().unwrap().iter().map(|item| item["restores"].clone()).collect();
    assert_eq!(told, [json!(0), json!(null)], "the newest first");
}

#[tokio::test]
async fn the_cache_can_be_switched_off_altogether_and_the_platform_works() {
    let world = World::new().await;
    let (operator, admin) = (world.sign_in(OPERATOR).await, world.sign_in(ADMIN).await);
    let before = admin.get("/context/full").await.expect(200).body;
    put(&operator, json!({ "switches": { "cache": false } })).await.expect(200);
    for _ in 0..2 {
        let answer = admin.get("/context/full").await.expect(200);
        assert_eq!((answer.header("x-cache"), &answer.body), ("BYPASS", &before));
    }
    admin.post("/auth/logout", json!(null)).await.expect(204);
    admin.get("/context/full").await.expect(401);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_would() {
    let world = World::new().await;
    let operator = world.sign_in(OPERATOR).await;
    let wrong = json!({
        "entries": { "user:contexts": {}, "session:principal": { "mode": { "kind": "bounded", "milliseconds": 9 } } },
        "endpoints": { "/api/v1/auth/active-users": { "ttl_seconds": 3600 } },
    });
    let faults = put(&operator, wrong).await.expect(422).body["errors"].as_array().unwrap().clone();
    let told = |field: &str| {
        let fault = faults.iter().find(|fault| fault["field"] == field);
        fault.unwrap_or_else(|| panic!("{faults:?}"))["message"].as_str().unwrap().to_owned()
    };
    assert!(told("configuration.entries.user:contexts").contains("user:context, "));
    assert!(told("configuration.entries.session:principal.mode").contains("must stay strict"));
    assert!(told("configuration.endpoints./api/v1/auth/active-users.ttl_seconds").contains("from 1 to 60"));
    put(&operator, json!({ "entrys": {} })).await.expect(422);
    operator.put(CONFIGURATION, json!({ "configuration": {}, "reason": " " })).await.expect(422);
    let outdated = json!({ "configuration": {}, "reason": "x", "version": 7 });
    operator.put(CONFIGURATION, outdated).await.expect(409);
    assert_eq!(operator.get(CONFIGURATION).await.body["version"], 0);
}

#[tokio::test]
async fn another_node_hears_of_it_even_without_a_common_log() {
    let database = Folder::new();
    let url = format!("sqlite://{}?mode=rwc", database.path().join("shared.db").display());
    let settings = [("DATABASE_URL", url.as_str())];
    let one = World::with(&settings).await;
    let two = World::beside(&one, &settings).await;
    let operator = one.sign_in(OPERATOR).await;
    put(&operator, json!({ "switches": { "headers": false } })).await.expect(200);
    let there = operator.at(&two);
    let heard = async {
        while !there.get("/context/me").await.expect(200).header("x-cache").is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), heard).await.expect("it looks every second");
}

#[tokio::test]
async fn what_was_read_is_found_in_metadata_statistics_and_performance() {
    let world = World::new().await;
    let (operator, admin) = (world.sign_in(OPERATOR).await, world.sign_in(ADMIN).await);
    for _ in 0..4 {
        admin.get("/context/me").await.expect(200);
    }
    world.app.on_stopped().await;
    let client = admin.ids().await.client;
    let keys = format!("/admin/cache/metadata?client_id={client}&entity_type=http:response");
    let keys = operator.get(&keys).await.expect(200).body;
    let context = keys["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["cache_key"].as_str().unwrap().contains("context%2Fme") && row["access_count"] == 3);
    assert!(context.is_some(), "{keys}");
    let of = |by| format!("/admin/cache/statistics?by={by}&client_id={client}&entity=http:response");
    let hours = operator.get(&of("hour")).await.expect(200).body;
    let hits: i64 = hours["items"].as_array().unwrap().iter().map(|row| row["hits"].as_i64().unwrap()).sum();
    assert!(hits >= 3, "{hours}");
    operator.get(&of("day")).await.expect(200);
    operator.get(&of("week")).await.expect(400);
    operator.get("/admin/cache/statistics?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z").await.expect(422);
    let intervals = operator.get("/admin/cache/performance").await.expect(200).body;
    let measured = intervals["items"].as_array().unwrap();
    assert!(measured.iter().any(|row| row["hits"].as_i64() > Some(0) && !row["request_micros_p50"].is_null()));
}

/// Every read is watched, and nothing is left out.
async fn watched() -> (World, Person, Person) {
    let world = World::new().await;
    let (operator, admin) = (world.sign_in(OPERATOR).await, world.sign_in(ADMIN).await);
    watch_all(&operator).await;
    (world, operator, admin)
}

async fn watch_all(operator: &Person) {
    let all = json!({ "consistency": { "sample_per_million": 1_000_000, "checks_per_second_max": 1000 } });
    put(operator, all).await.expect(200);
}

async fn findings(operator: &Person) -> Vec<Value> {
    operator.get("/admin/cache/consistency").await.expect(200).body["findings"].as_array().unwrap().clone()
}

/// Renames all flows by hand, past the application and past the triggers of the table.
async fn rename_by_hand(database: &std::path::Path) {
    let hidden = sea_orm::Database::connect(format!("sqlite://{}", database.display())).await.unwrap();
    // The table's triggers would tell of it: they are lost first, as by a restore that makes the table anew.
    let triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'discovery_flows'";
    let triggers = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, triggers);
    for trigger in hidden.query_all_raw(triggers).await.unwrap() {
        let name: String = trigger.try_get("", "name").unwrap();
        hidden.execute_unprepared(&format!("DROP TRIGGER \"{name}\"")).await.unwrap();
    }
    hidden.execute_unprepared("UPDATE discovery_flows SET name = 'hidden'").await.unwrap();
}

/// What the watch finds of a path within some seconds.
async fn found(operator: &Person, world: &World, path: &str) -> Value {
    let found = async {
        loop {
            let found = findings(operator).await;
            if let Some(found) = found.into_iter().find(|found| found["key"] == format!("/api/v1{path}")) {
                return found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let Ok(found) = timeout(Duration::from_secs(20), found).await else {
        panic!("it is found after some seconds: {:?}, {}", findings(operator).await, world.metrics().await);
    };
    found
}

fn checks(metrics: &str, outcome: &str) -> u64 {
    let lines = metrics.lines().filter(|line| {
        line.starts_with("cache_consistency_checks_total") && line.contains(&format!("outcome=\"{outcome}\""))
    });
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn an_update_that_bypasses_the_application_is_found() {
    let (world, operator, admin) = watched().await;
    let ids = admin.ids().await;
    let flow = format!("/discovery/flows/{}", ids.flow);
    admin.get(&flow).await.expect(200);
    rename_by_hand(&world.data_dir.path().join("unstale.db")).await;
    let stale = admin.get(&flow).await.expect(200);
    assert!(stale.is_hit() && stale.body["name"] != "hidden");
    let found = found(&operator, &world, &flow).await;
    assert_eq!(
        (&found["kind"], &found["entity"], &found["tier"]),
        (&json!("value"), &json!("flows"), &json!("memory"))
    );
    assert_eq!(found["client_account_id"], json!(ids.client));
    assert_eq!(found["differs"], json!(["etag"]));
    assert_eq!(found["base"], found["frontier"], "nothing was declared");
    assert!(!found.to_string().contains("hidden"), "no values: {found}");
}

#[tokio::test]
async fn a_wrong_answer_that_another_node_has_shared_is_found() {
    let nodes = Nodes::start().await;
    let admin = nodes.one.sign_in(ADMIN).await;
    let operator = nodes.one.sign_in(OPERATOR).await.at(&nodes.two);
    watch_all(&operator).await;
    let flow = format!("/discovery/flows/{}", admin.ids().await.flow);
    admin.get(&flow).await.expect(200);
    rename_by_hand(&nodes.database()).await;
    let stale = admin.at(&nodes.two).get(&flow).await.expect(200);
    assert!(stale.is_hit() && stale.body["name"] != "hidden");
    let found = found(&operator, &nodes.two, &flow).await;
    assert_eq!((&found["kind"], &found["tier"]), (&json!("value"), &json!("store")));
}

#[tokio::test]
async fn a_platform_at_work_raises_no_alarm() {
    let (world, operator, admin) = watched().await;
    let ids = admin.ids().await;
    let analyst = world.sign_in(ANALYST).await;
    let paths = [
        "/context/full".to_owned(),
        "/discovery/flows".to_owned(),
        format!("/discovery/flows/{}", ids.flow),
        format!("/discovery/flows/{}/state", ids.flow),
        format!("/field-mappings/{}", ids.import),
        format!("/field-mappings/{}/statistics", ids.import),
        "/assets".to_owned(),
        "/engagements".to_owned(),
    ];
    let reading = |person: Person| {
        let paths = paths.clone();
        async move {
            for round in 0..12 {
                for path in &paths {
                    person.get(path).await.expect(200);
                }
                sleep(Duration::from_millis(20 + round * 7)).await;
            }
        }
    };
    let writing = async {
        for round in 0..25 {
            let chosen = json!({ "mapping_ids": [ids.mapping] });
            let what = if round % 2 == 0 { "approve" } else { "reject" };
            admin.post(&format!("/field-mappings/{}/bulk-{what}", ids.import), chosen).await.expect(200);
            let flow = format!("/discovery/flows/{}", ids.flow);
            admin.patch(&flow, json!({ "name": format!("round {round}") })).await.expect(200);
            sleep(Duration::from_millis(60)).await;
        }
    };
    tokio::join!(reading(admin.clone()), reading(analyst), writing);
    // Read once more, so that something is there to be compared when all is quiet.
    for path in paths.iter().chain(&paths) {
        admin.get(path).await.expect(200);
    }
    let looked = async {
        loop {
            let metrics = world.metrics().await;
            if checks(&metrics, "correct") >= 9 && checks(&metrics, "changed") >= 9 {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), looked).await.expect("reads are looked at again");
    // A difference is looked at for two seconds before it is one.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(findings(&operator).await, Vec::<Value>::new());
    let metrics = world.metrics().await;
    assert_eq!((checks(&metrics, "incorrect"), checks(&metrics, "failed")), (0, 0));
}
