//! What pages begin with: who is asking, where they start, and how far the newest import has come.

use serde_json::{Value, json};

use super::world::{ADMIN, ANALYST, OPERATOR, OTHER_ADMIN, Person, World};

#[tokio::test]
async fn another_beginning_is_told_at_once_and_changes_nothing_of_who_one_is() {
    let world = World::new().await;
    let analyst = world.sign_in(ANALYST).await;
    let client = analyst.ids().await.client;
    // Without a client's name, which one it is does follow from where they start; it is nobody else's answer.
    analyst.get("/context/standing").await.expect(200);
    let analyst = analyst.acting_for(&client);
    let engagements = analyst.get("/engagements").await.expect(200).body["items"].clone();
    let (first, second) = (&engagements[0]["id"], &engagements[1]["id"]);
    let defaults = format!("/users/{}/defaults", analyst.id);
    for engagement in [first, second, &Value::Null] {
        analyst.get("/context/standing").await.expect(200);
        let chosen = json!({ "client_account_id": client, "engagement_id": engagement });
        analyst.put(&defaults, chosen).await.expect(200);
        assert_eq!(analyst.get("/context/start").await.expect(200).body, json!({ "engagement_id": engagement }));
        assert!(analyst.get("/context/start").await.is_hit());
        assert!(analyst.get("/context/standing").await.expect(200).is_hit(), "they are who they were");
    }
    let nowhere = json!({ "client_account_id": null, "engagement_id": null });
    analyst.put(&defaults, nowhere).await.expect(200);
    assert!(analyst.get("/context/standing").await.expect(200).is_hit(), "they say for whom they act");
}

#[tokio::test]
async fn nobody_starts_in_an_engagement_of_a_client_they_do_not_act_for() {
    let world = World::new().await;
    let (here, there) = (world.sign_in(ADMIN).await.ids().await, world.sign_in(OTHER_ADMIN).await.ids().await);
    let operator = world.sign_in(OPERATOR).await;
    let chosen = json!({ "client_account_id": here.client, "engagement_id": here.engagement });
    operator.put(&format!("/users/{}/defaults", operator.id), chosen).await.expect(200);
    let starts = async |client: &str| operator.acting_for(client).get("/context/start").await.expect(200).body;
    assert_eq!(starts(&here.client).await, json!({ "engagement_id": here.engagement }));
    assert_eq!(starts(&there.client).await, json!({ "engagement_id": null }));
}

#[tokio::test]
async fn of_the_newest_import_it_is_told_how_far_its_review_has_come() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let ids = admin.ids().await;
    let latest = format!("/engagements/{}/mapping-statistics", ids.engagement);
    let before = admin.get(&latest).await.expect(200).body["statistics"].clone();
    assert!(before["import_id"].is_string(), "{before}");

    let newest = imported(&admin, &ids.engagement, "newest.csv", b"Name,OS\nhost,linux\n").await;
    let statistics = read(&admin, &latest, &newest).await;
    assert_eq!((statistics["total"].as_u64(), statistics["approved"].as_u64()), (Some(2), Some(0)));
    assert!(admin.get(&latest).await.is_hit());

    let mappings = admin.get(&format!("/field-mappings/{newest}")).await.expect(200).body;
    let suggested = mappings["items"].as_array().unwrap().iter().find(|item| item["status"] == "suggested").unwrap();
    let wanted = json!({ "mapping_ids": [suggested["id"]] });
    admin.post(&format!("/field-mappings/{newest}/bulk-approve"), wanted).await.expect(200);
    assert_eq!(read(&admin, &latest, &newest).await["approved"], 1);
    admin.get("/engagements/01a1fa72-0000-7000-8000-000000000000/mapping-statistics").await.expect(404);
}

#[tokio::test]
async fn of_an_engagement_without_an_import_there_is_nothing_to_review() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let made = admin.post("/admin/engagements", json!({ "name": "Empty", "status": "planned" })).await.expect(201).id();
    let latest = format!("/engagements/{made}/mapping-statistics");
    assert_eq!(admin.get(&latest).await.expect(200).body, json!({ "statistics": null }));
    let import = imported(&admin, &made, "first.csv", b"Name\nhost\n").await;
    read(&admin, &latest, &import).await;
}

async fn imported(person: &Person, engagement: &str, name: &str, bytes: &[u8]) -> String {
    let accepted = person.upload(engagement, name, bytes).await.expect(202);
    let import = accepted.body["import_id"].as_str().unwrap().to_owned();
    assert_eq!(person.finished(&import).await["status"], "completed");
    import
}

async fn read(person: &Person, latest: &str, import: &str) -> Value {
    let statistics = person.get(latest).await.expect(200).body["statistics"].clone();
    assert_eq!(statistics["import_id"], import, "{statistics}");
    statistics
}
