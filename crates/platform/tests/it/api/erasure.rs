//! People who are erased, and what is cached about them, on two nodes over one Redis.

use serde_json::{Value, json};
use unstale_server::{
    database::{PoolLimits, connect},
    metadata,
};

use super::{
    nodes::Nodes,
    world::{ADMIN, ANALYST, Answer, OPERATOR, Person, UNKNOWN, World},
};
use crate::support::{database::Database, on_both_databases};

on_both_databases!(what_is_noted_of_an_erased_users_keys_is_forgotten);

const ERASED: &str = "Erased user";

/// Waits until every node says that it holds nothing valid about somebody.
async fn forgotten(operator: &Person, nodes: [&World; 2], user: &str) {
    let asked = async {
        for node in nodes {
            loop {
                let report = operator.at(node).get(&format!("/admin/users/{user}/cache-report")).await.expect(200);
                let is_valid = |copy: &Value| copy["is_valid"] == true;
                if !report.body["copies"].as_array().unwrap().iter().any(is_valid) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), asked).await.expect("every node hears of it");
}

/// Waits until every server answers: they come to know each other shortly after they started.
async fn complete_report(operator: &Person, user: &str) -> Answer {
    let asked = async {
        loop {
            let report = operator.get(&format!("/admin/users/{user}/cache-report")).await.expect(200);
            if report.body["is_complete"] == true && report.body["other_servers"]["answered"] != 0 {
                return report;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), asked).await.expect("the other server answers")
}

#[tokio::test]
async fn an_erased_user_is_nobody_on_every_node() {
    let nodes = Nodes::start().await;
    let (operator, analyst) = (nodes.one.sign_in(OPERATOR).await, nodes.two.sign_in(ANALYST).await);
    let admin = nodes.two.sign_in(ADMIN).await;
    analyst.get("/context/me").await.expect(200);
    analyst.get("/context/full").await.expect(200);
    let users = admin.get("/admin/users").await.expect(200);
    assert!(users.body.to_string().contains(ANALYST));
    // By the node that has none of it in its memory.
    let report = complete_report(&operator, &analyst.id).await;
    let copies = report.body["copies"].as_array().unwrap();
    assert!(copies.len() >= 3, "{report:?}");
    assert_eq!(report.header("cache-control"), "no-store");
    let others = json!({ "answered": 1, "missing": [], "uncounted": 0 });
    assert_eq!(report.body["other_servers"], others);
    assert!(copies.iter().any(|copy| copy["in_memory"] == false && copy["in_other_memories"] == 1), "{report:?}");
    assert!(copies.iter().any(|copy| copy["key"].as_str().unwrap().contains("user:context") && copy["bytes"] != 0));

    let erase = format!("/admin/users/{}/erase", analyst.id);
    let proof = operator.post(&erase, Value::Null).await.expect(200);
    assert!(proof.body["keys_destroyed"].as_u64().unwrap() >= 1, "{proof:?}");
    let text = proof.body.to_string();
    assert!(!text.contains(ANALYST) && !text.contains(&analyst.id), "{text}");

    // At once at the node that did it, and with its position at the other.
    let position = proof.header("unstale-position").to_owned();
    for reader in [&admin.at(&nodes.one), &admin] {
        let shown = reader.get_with("/admin/users", &[("unstale-position", &position)]).await.expect(200);
        assert!(!shown.body.to_string().contains(ANALYST), "{shown:?}");
    }
    analyst.get_with("/context/me", &[("unstale-position", &position)]).await.expect(401);
    assert_eq!(nodes.one.login(ANALYST, super::world::PASSWORD).await.status, 401);
    forgotten(&operator, [&nodes.one, &nodes.two], &analyst.id).await;
    // What they made is still there, by nobody.
    let flows = admin.get_with("/discovery/flows", &[("unstale-position", &position)]).await.expect(200);
    let owners: Vec<&Value> = flows.body["items"].as_array().unwrap().iter().map(|flow| &flow["owner_name"]).collect();
    assert!(!owners.is_empty());
    let all = operator.get("/admin/users").await.expect(200).body.to_string();
    assert!(all.contains(ERASED) && all.contains("erased.invalid"), "{all}");

    let again = operator.post(&erase, Value::Null).await.expect(200);
    assert_eq!(again.body["subject"], proof.body["subject"]);
}

#[tokio::test]
async fn only_administrators_of_the_platform_erase_and_nobody_themselves() {
    let world = World::new().await;
    let (operator, admin) = (world.sign_in(OPERATOR).await, world.sign_in(ADMIN).await);
    let paths = |user: &str| (format!("/admin/users/{user}/erase"), format!("/admin/users/{user}/cache-report"));
    let (erase, report) = paths(&admin.id);
    // As if there were no such thing.
    admin.post(&erase, Value::Null).await.expect(404);
    admin.get(&report).await.expect(404);
    operator.post(&paths(&operator.id).0, Value::Null).await.expect(409);
    operator.post(&paths(UNKNOWN).0, Value::Null).await.expect(404);
    operator.get(&paths(UNKNOWN).1).await.expect(404);
    operator.get(&report).await.expect(200);
    // In one process nothing leaves it, so there are no keys to destroy; it is erased all the same.
    let proof = operator.post(&erase, json!(null)).await.expect(200);
    assert_eq!(proof.body["keys_destroyed"], 0);
    assert!(!operator.get("/admin/users").await.expect(200).body.to_string().contains(ADMIN));
}

/// Keys that were noted, as the table has them.
async fn noted(database: &Database) -> Vec<String> {
    let pool = connect(&database.url(), "a test", &PoolLimits::default()).await.unwrap();
    let page = metadata::list(&pool, &metadata::Filter::default(), 1, 500).await.unwrap();
    page.items.into_iter().map(|row| row.cache_key).collect()
}

async fn what_is_noted_of_an_erased_users_keys_is_forgotten(database: Database) {
    let world = World::with(&[("DATABASE_URL", &database.url())]).await;
    let (operator, analyst, admin) =
        (world.sign_in(OPERATOR).await, world.sign_in(ANALYST).await, world.sign_in(ADMIN).await);
    for person in [&analyst, &admin] {
        person.get("/context/me").await.expect(200);
        person.get("/assets?search=Wilhelmina").await.expect(200);
    }
    let proof = operator.post(&format!("/admin/users/{}/erase", analyst.id), Value::Null).await.expect(200);
    assert!(proof.body["rows_removed"].as_u64().unwrap() >= 2, "{proof:?}");
    let keys = noted(&database).await;
    let short = analyst.id.replace('-', "");
    assert!(keys.iter().all(|key| !key.contains(&analyst.id) && !key.contains(&short)), "{keys:?}");
    assert!(keys.iter().any(|key| key.contains(&admin.id)), "the others' are there: {keys:?}");
    // What somebody searched for is nobody's to read.
    assert!(keys.iter().any(|key| key.contains("%2Fassets?#")) && keys.iter().any(|key| key.contains("assets:page")));
    assert!(keys.iter().all(|key| !key.to_lowercase().contains("wilhelmina")), "{keys:?}");
}
