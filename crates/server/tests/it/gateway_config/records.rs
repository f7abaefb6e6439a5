//! Records about the gateway's cache, and its configuration while it runs, over both databases.

use std::time::Duration;

use serde_json::{Value, json};
use unstale::testing::Folder;
use unstale_server::testing::{database::TestDatabase, postgres::Server};

use super::world::{Answer, Backend, JWT, ROUTES, SECRET, World, bearer, soon};

unstale_server::on_both_databases!(
    how_the_cache_is_used_changes_while_it_runs,
    a_change_that_makes_no_sense_or_comes_late_is_refused,
    every_node_hears_of_a_change_and_a_new_one_begins_with_it,
    a_change_counts_for_the_routes_that_a_new_file_has,
    what_was_read_is_told_by_route_and_tenant,
);

const PUBLIC: &str = "/public/{name}";
const GLOBEX: &str = "another token of thirty-two bytes";

/// The part of a file that says where records are; the folder holds the file with the URL.
fn records(url: &str) -> (String, Folder) {
    let place = Folder::new();
    std::fs::write(place.path().join("url"), url).unwrap();
    let file = place.path().join("url").display().to_string();
    (format!("[records]\ndatabase_url_file = \"{file}\"\nwrite_every = \"100ms\"\n"), place)
}

async fn world(database: &TestDatabase) -> (World, Folder) {
    let (records, place) = records(&database.url());
    (World::start(&format!("{records}{JWT}{ROUTES}")).await, place)
}

impl World {
    async fn configure(&self, configuration: Value) -> Answer {
        self.operate("PUT", "/v1/configuration", &json!({"configuration": configuration, "reason": "to see"})).await
    }

    async fn undo(&self) -> Answer {
        self.operate("POST", "/v1/configuration/undo", &json!({"reason": "it was worse"})).await
    }

    async fn read(&self, path: &str) -> Value {
        let answer = self.operate("GET", path, &Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    async fn public(&self, name: &str) -> Answer {
        self.get(&format!("/public/{name}"), &[]).await
    }

    /// Until a read of a public page is answered so.
    async fn until(&self, x_cache: &str) {
        soon(async {
            while self.public("x").await.cache() != x_cache {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

async fn how_the_cache_is_used_changes_while_it_runs(database: TestDatabase) {
    let (world, _place) = world(&database).await;
    let first = world.read("/v1/configuration").await;
    assert_eq!(first["version"], 0);
    let names: Vec<_> =
        first["routes"].as_array().unwrap().iter().map(|route| route["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["/field-mappings/{import_id}", PUBLIC, "/shared/{name}"], "those whose answers are kept");
    world.public("x").await;
    assert_eq!(world.public("x").await.cache(), "HIT");

    let off = world.configure(json!({"endpoints": {PUBLIC: {"cache": false}}})).await;
    assert_eq!((off.status, &off.json()["version"]), (200, &json!(1)), "{off:?}");
    assert_eq!(world.public("x").await.cache(), "BYPASS", "in force before the answer");
    let ann = bearer("ann", "acme", &json!({}));
    let shared = async || world.get("/shared/a", &[("authorization", &ann)]).await;
    shared().await;
    assert_eq!(shared().await.cache(), "HIT", "another route is as it was");
    world.configure(json!({"switches": {"cache": false}})).await;
    assert_eq!(shared().await.cache(), "BYPASS");
    world.configure(json!({"switches": {"headers": false}})).await;
    assert_eq!((shared().await.cache(), world.public("x").await.cache()), ("", ""));
    world.configure(json!({"endpoints": {PUBLIC: {"ttl_seconds": 7}}})).await;
    world.public("new").await;
    let told = world.public("new").await;
    let left = told.header("cache-status").split("ttl=").nth(1).and_then(|ttl| ttl.parse::<u32>().ok());
    assert!(left.is_some_and(|left| left <= 7), "{told:?}");

    for expected in [("", ""), ("BYPASS", "BYPASS"), ("BYPASS", "HIT"), ("HIT", "HIT")] {
        assert_eq!(world.undo().await.status, 200);
        assert_eq!((world.public("x").await.cache(), shared().await.cache()), expected);
    }
    assert_eq!(world.undo().await.status, 409, "there is nothing left");
    let history = world.read("/v1/configuration/history?limit=3").await;
    let told: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|it| (&it["version"], &it["restores"])).collect();
    assert_eq!(told, [(&json!(8), &json!(0)), (&json!(7), &json!(1)), (&json!(6), &json!(2))]);
    assert_eq!(history["items"][0]["changed_by"], "backend");
    assert!(world.metrics().await.contains("cache_configuration_version 8"));
}

async fn a_change_that_makes_no_sense_or_comes_late_is_refused(database: TestDatabase) {
    let (world, _place) = world(&database).await;
    let refused = world
        .configure(json!({
            "endpoints": {"/nowhere": {"cache": false}, PUBLIC: {"ttl_seconds": 0}},
            "consistency": {"sample_per_million": 1},
            "tenants": {"Acme Inc": {"weight": 2}},
        }))
        .await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let fields: Vec<_> = refused.json()["errors"].as_array().unwrap().iter().map(|it| it["field"].clone()).collect();
    let at = ["endpoints./nowhere", "endpoints./public/{name}.ttl_seconds", "consistency"];
    assert_eq!(
        fields,
        at.map(|field| json!(format!("configuration.{field}"))),
        "tenants are named as backends know them"
    );
    let change = |version: i64, reason: &str| json!({"configuration": {}, "reason": reason, "version": version});
    assert_eq!(world.operate("PUT", "/v1/configuration", &change(0, " ")).await.status, 422, "nobody said why");
    assert_eq!(world.operate("PUT", "/v1/configuration", &change(1, "late")).await.status, 409);
    assert_eq!(world.read("/v1/configuration").await["version"], 0);

    let check = async |token: &str, status: u16| {
        for path in
            ["/v1/configuration", "/v1/configuration/history", "/v1/statistics", "/v1/performance", "/v1/metadata"]
        {
            assert_eq!(world.operate_as(token, "GET", path, &Value::Null).await.status, status, "{path}");
        }
        let put = world.operate_as(token, "PUT", "/v1/configuration", &change(0, "mine")).await;
        assert_eq!(put.status, status, "{put:?}");
    };
    check(GLOBEX, 403).await;
    check("nobody's token", 401).await;
    for (path, status) in [
        ("/v1/statistics?by=week", 400),
        ("/v1/statistics?form=2026-01-01T00:00:00Z", 400),
        ("/v1/statistics?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422),
        ("/v1/performance?limit=1001", 422),
        ("/v1/metadata?page_size=0", 422),
        ("/v1/audit", 404),
    ] {
        assert_eq!(world.operate("GET", path, &Value::Null).await.status, status, "{path}");
    }
}

async fn every_node_hears_of_a_change_and_a_new_one_begins_with_it(database: TestDatabase) {
    let (records, _place) = records(&database.url());
    let (backend, upstream) = Backend::start().await;
    let more = format!("{records}{JWT}{ROUTES}");
    let one = World::before(backend.clone(), upstream, &more).await;
    let other = World::before(backend.clone(), upstream, &more).await;
    other.public("x").await;
    assert_eq!(other.public("x").await.cache(), "HIT");
    one.configure(json!({"endpoints": {PUBLIC: {"cache": false}}})).await;
    other.until("BYPASS").await;
    let late = World::before(backend, upstream, &more).await;
    assert_eq!(late.public("x").await.cache(), "BYPASS", "from its start on");
    late.undo().await;
    other.until("HIT").await;
    one.until("HIT").await;
}

async fn a_change_counts_for_the_routes_that_a_new_file_has(database: TestDatabase) {
    let (records, _place) = records(&database.url());
    let public = ROUTES.split("\n\n").find(|route| route.contains(PUBLIC)).unwrap();
    let other = public.replace("/public/", "/search/");
    let world = World::start(&format!("{records}{public}")).await;
    assert_eq!(world.configure(json!({"endpoints": {PUBLIC: {"cache": false}}})).await.status, 200);
    let reload = async |routes: &str, count: u32| {
        world.rewrite(&format!("{records}{routes}"));
        world.until_metrics(&format!("gateway_config_reloads_total{{outcome=\"applied\"}} {count}")).await;
    };
    reload(&other, 1).await;
    assert_eq!(
        world.read("/v1/configuration").await["configuration"]["endpoints"],
        json!({}),
        "there is no such route"
    );
    assert_eq!(world.configure(json!({"endpoints": {PUBLIC: {"cache": true}}})).await.status, 422);
    reload(&format!("{public}\n{other}"), 2).await;
    let again = world.read("/v1/configuration").await;
    assert_eq!(again["configuration"]["endpoints"][PUBLIC]["cache"], false, "what is stored was not lost: {again}");
    assert_eq!(world.public("x").await.cache(), "BYPASS");
    world.undo().await;
    world.until("HIT").await;
}

async fn what_was_read_is_told_by_route_and_tenant(database: TestDatabase) {
    let (world, _place) = world(&database).await;
    let ann = bearer("ann", "acme", &json!({}));
    for path in ["/field-mappings/7", "/field-mappings/8", "/field-mappings/7", "/shared/a?b=c", "/field-mappings/7"] {
        assert_eq!(world.get(path, &[("authorization", &ann)]).await.status, 200);
    }
    let sums = |rows: &Value| -> Vec<(String, i64, i64, i64)> {
        let number = |row: &Value, name: &str| row[name].as_i64().unwrap();
        let of = |row: &Value| (number(row, "hits"), number(row, "misses"), number(row, "loads"));
        let rows = rows["items"].as_array().unwrap().iter();
        let mut sums: Vec<_> = rows
            .map(|row| {
                let (hits, misses, loads) = of(row);
                (row["entity_type"].as_str().unwrap().to_owned(), hits, misses, loads)
            })
            .collect();
        // An hour may end between two reads.
        sums.sort();
        sums.dedup_by(|next, sum| {
            let is_same = next.0 == sum.0;
            if is_same {
                *sum = (sum.0.clone(), sum.1 + next.1, sum.2 + next.2, sum.3 + next.3);
            }
            is_same
        });
        sums
    };
    let expected = [("/field-mappings/{import_id}".to_owned(), 2, 2, 2), ("/shared/{name}".to_owned(), 0, 1, 1)];
    soon(async {
        while sums(&world.read("/v1/statistics?tenant=acme").await) != expected {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let one = world.read("/v1/statistics?tenant=acme&route=/shared/%7Bname%7D&by=hour").await;
    assert_eq!(sums(&one), expected[1..]);
    assert_eq!(world.read("/v1/statistics?tenant=globex").await["items"], json!([]));
    let keys = world.read("/v1/metadata?tenant=acme&fresh=true&page_size=1").await;
    assert_eq!((&keys["total"], &keys["items"][0]["entity_type"]), (&json!(3), &json!("/field-mappings/{import_id}")));
    assert_eq!(keys["items"][0]["access_count"], 2, "the most read first");
    assert_eq!(world.read("/v1/metadata?route=/shared/%7Bname%7D").await["total"], 1);
    let intervals = world.read("/v1/performance").await;
    let hits: i64 = intervals["items"].as_array().unwrap().iter().map(|it| it["hits"].as_i64().unwrap()).sum();
    assert_eq!(hits, 2, "{intervals}");
    assert!(intervals["items"].as_array().unwrap().iter().any(|it| it["request_micros_p50"].is_number()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_reads_are_answered_and_nothing_that_was_acknowledged_is_lost() {
    let server = tokio::task::spawn_blocking(Server::own).await.unwrap();
    let (records, place) = records(&server.url("postgres"));
    std::fs::write(place.path().join("secret"), SECRET).unwrap();
    let at = place.path().display();
    let audit = format!(
        "[cache]\nsecret_file = \"{at}/secret\"\n[audit]\ndatabase_url_file = \"{at}/url\"\ndirectory = \"{at}/spool\"\n"
    );
    let world = World::start(&format!("{audit}{records}{JWT}{ROUTES}")).await;
    let ann = bearer("ann", "acme", &json!({}));
    let headers = [("authorization", ann.as_str())];
    assert_eq!(world.configure(json!({"endpoints": {PUBLIC: {"cache": false}}})).await.status, 200);
    let mut acknowledged = 0;
    let mut write_and_read = async |count: usize| {
        for _ in 0..count {
            let path = format!("/field-mappings/{}", acknowledged % 7);
            assert_eq!(world.post(&format!("{path}/bulk-approve"), &headers).await.status, 200);
            acknowledged += 1;
            let cache = [world.get(&path, &headers).await, world.get(&path, &headers).await];
            assert_eq!(cache.map(|answer| answer.cache().to_owned()), ["MISS", "HIT"], "as ever");
            assert_eq!(world.public("x").await.cache(), "BYPASS", "what was in force stays so");
        }
    };
    write_and_read(20).await;
    tokio::task::block_in_place(|| server.stop());
    write_and_read(100).await;
    let late = json!({"configuration": {}, "reason": "while nobody can write it down"});
    assert_eq!(world.operate("PUT", "/v1/configuration", &late).await.status, 503);
    assert_eq!(world.operate("GET", "/v1/configuration", &Value::Null).await.status, 200, "what is in force is known");
    tokio::task::block_in_place(|| server.start());
    write_and_read(20).await;
    let count = |rows: &Value, name: &str| -> i64 {
        rows["items"].as_array().unwrap().iter().map(|row| row[name].as_i64().unwrap()).sum()
    };
    soon(async {
        loop {
            // A connection that the database's end broke may still be in the pool.
            let answer = world.operate("GET", "/v1/audit?operation=write&limit=1000", &Value::Null).await;
            if answer.status == 200 && answer.json()["items"].as_array().unwrap().len() == acknowledged {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let path = "/v1/statistics?route=/field-mappings/%7Bimport_id%7D";
    soon(async {
        while {
            let answer = world.operate("GET", path, &Value::Null).await;
            let expected = i64::try_from(acknowledged).unwrap();
            answer.status != 200 || ["hits", "misses"].map(|name| count(&answer.json(), name)) != [expected; 2]
        } {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}
