//! Cleansing from the upload to the inventory.

use serde_json::{Value, json};

use super::world::{ADMIN, ANALYST, OTHER_ANALYST, Person, World};

const FILE: &str = "Server name;IP address;Memory (GB);Environment\r\n\
    web-1;10.0.0.1;16 GB;Prod\r\nweb-2;10.0.0.300;32;prod\r\nweb-2;n/a;8;Prod\r\n";

/// The import of [`FILE`], all its columns approved.
async fn imported(person: &Person) -> String {
    let engagement = person.ids().await.engagement;
    let accepted = person.upload(&engagement, "servers.csv", FILE.as_bytes()).await.expect(202);
    let id = accepted.body["import_id"].as_str().unwrap().to_owned();
    person.finished(&id).await;
    let mappings = person.get(&format!("/field-mappings/{id}")).await.expect(200).body;
    let ids: Vec<&Value> = mappings["items"].as_array().unwrap().iter().map(|mapping| &mapping["id"]).collect();
    person.post(&format!("/field-mappings/{id}/bulk-approve"), json!({ "mapping_ids": ids })).await.expect(200);
    id
}

/// Attribute, kind, value and suggestion of each issue.
fn issues(quality: &Value) -> Vec<(&str, &str, &str, &Value)> {
    let mut found = Vec::new();
    for attribute in quality["attributes"].as_array().unwrap() {
        for issue in attribute["issues"].as_array().unwrap() {
            let text = |name: &str| issue[name].as_str().unwrap();
            found.push((
                attribute["target_attribute"].as_str().unwrap(),
                text("kind"),
                text("value"),
                &issue["suggestion"],
            ));
        }
    }
    found
}

#[tokio::test]
async fn what_is_doubtful_is_named_corrected_and_gone_for_everybody() {
    let world = World::new().await;
    let (analyst, admin) = (world.sign_in(ANALYST).await, world.sign_in(ADMIN).await);
    let id = imported(&analyst).await;
    let path = format!("/data-cleansing/{id}");
    let quality = analyst.get(&path).await.expect(200).body;
    let expected = [
        ("name", "duplicate", "web-2", &Value::Null),
        ("ip_address", "wrong_type", "10.0.0.300", &Value::Null),
        ("ip_address", "placeholder", "n/a", &json!("")),
        ("memory_gb", "wrong_type", "16 GB", &json!("16")),
        ("environment", "spelling", "prod", &json!("Prod")),
    ];
    assert_eq!(issues(&quality), expected);
    assert_eq!((&quality["rows"], &quality["values"], &quality["doubtful"]), (&json!(3), &json!(12), &json!(6)));
    assert!(admin.get(&path).await.expect(200).is_hit(), "everybody of the client is answered alike");

    let corrections = json!([
        { "position": 1, "value": "n/a", "replacement": "" },
        { "position": 2, "value": "16 GB", "replacement": "16" },
        { "position": 3, "value": "prod", "replacement": "Prod" },
    ]);
    let done = analyst.post(&format!("{path}/corrections"), json!({ "corrections": corrections })).await.expect(200);
    assert_ne!(done.header("unstale-position"), "");
    assert_eq!((done.body["corrections"].as_array().unwrap().len(), &done.body["rows"]), (3, &json!(3)));
    let quality = admin.get(&path).await.expect(200).body;
    assert_eq!(issues(&quality), expected[..2]);
    let assets = admin.get(&format!("/assets?import_id={id}")).await.expect(200).body;
    assert_eq!(assets["items"][0]["attributes"]["memory_gb"], "16");
    assert_eq!(assets["items"][1]["attributes"]["environment"], "Prod");
    assert_eq!(assets["items"][2]["attributes"]["ip_address"], Value::Null);

    let undone = json!({ "correction_ids": done.body["corrections"] });
    admin.post(&format!("{path}/corrections/undo"), undone).await.expect(200);
    assert_eq!(issues(&analyst.get(&path).await.expect(200).body), expected);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_every_fault() {
    let world = World::new().await;
    let analyst = world.sign_in(ANALYST).await;
    let path = format!("/data-cleansing/{}/corrections", imported(&analyst).await);
    let correction =
        |value: &str, replacement: &str| json!({ "position": 3, "value": value, "replacement": replacement });
    let faulty = json!({ "corrections": [
        correction("prod", "prod"), correction("Prod", "a\nb"), correction(&"x".repeat(501), ""), correction("Prod", "x"),
    ] });
    let refused = analyst.post(&path, faulty).await.expect(422).body;
    let fields: Vec<&str> =
        refused["errors"].as_array().unwrap().iter().map(|fault| fault["field"].as_str().unwrap()).collect();
    let expected =
        ["corrections[0].replacement", "corrections[1].replacement", "corrections[2].value", "corrections[3].value"];
    assert_eq!(fields, expected, "{refused}");
    analyst.post(&path, json!({ "corrections": [] })).await.expect(422);
    let many: Vec<Value> = (0..201).map(|number| correction(&number.to_string(), "x")).collect();
    analyst.post(&path, json!({ "corrections": many })).await.expect(422);
    let gone = analyst.post(&path, json!({ "corrections": [correction("PROD", "x")] })).await.expect(409).body;
    assert!(gone["detail"].as_str().unwrap().contains("PROD"), "{gone}");
    analyst
        .post(&path, json!({ "corrections": [{ "position": 9, "value": "x", "replacement": "y" }] }))
        .await
        .expect(404);
    let undo = format!("{path}/undo");
    analyst.post(&undo, json!({ "correction_ids": [] })).await.expect(422);
    analyst.post(&undo, json!({ "correction_ids": [analyst.id] })).await.expect(404);
    let other = world.sign_in(OTHER_ANALYST).await;
    other.post(&path, json!({ "corrections": [correction("prod", "Prod")] })).await.expect(404);
}
