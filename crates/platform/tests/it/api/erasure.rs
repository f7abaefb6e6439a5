//! People who are erased, and what is cached about them, on two nodes over one Redis.

use serde_json::{Value, json};

use super::{
    nodes::Nodes,
    world::{ADMIN, ANALYST, OPERATOR, Person, UNKNOWN, World},
};

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

#[tokio::test]
async fn an_erased_user_is_nobody_on_every_node() {
    let nodes = Nodes::start().await;
    let (operator, analyst) = (nodes.one.sign_in(OPERATOR).await, nodes.two.sign_in(ANALYST).await);
    let admin = nodes.two.sign_in(ADMIN).await;
    analyst.get("/context/me").await.expect(200);
    analyst.get("/context/full").await.expect(200);
    let users = admin.get("/admin/users").await.expect(200);
    assert!(users.body.to_string().contains(ANALYST));
    let report = operator.at(&nodes.two).get(&format!("/admin/users/{}/cache-report", analyst.id)).await.expect(200);
    let copies = report.body["copies"].as_array().unwrap();
    assert!(copies.len() >= 3 && report.body["is_complete"] == true, "{report:?}");
    assert_eq!(report.header("cache-control"), "no-store");
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
