//! Several reads in one request.

use serde_json::{Value, json};

use super::world::{ADMIN, OTHER_ADMIN, World};

fn read(id: &str, path: &str) -> Value {
    json!({ "id": id, "path": path })
}

#[tokio::test]
async fn each_read_is_answered_as_if_asked_alone_in_the_order_asked() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let foreign = world.sign_in(OTHER_ADMIN).await.ids().await;
    let alone = admin.get("/engagements").await.expect(200);
    let etag = alone.header("etag").to_owned();
    let requests = json!({ "requests": [
        read("me", "/api/v1/context/me"),
        read("list", "/api/v1/engagements"),
        { "id": "same", "path": "/api/v1/engagements", "if_none_match": etag },
        read("foreign", &format!("/api/v1/imports/{}", foreign.import)),
        read("nowhere", "/api/v1/nowhere"),
    ]});
    let answers = admin.post("/batch", requests).await.expect(200).body["responses"].clone();
    let told: Vec<(&str, u64)> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["id"].as_str().unwrap(), one["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, [("me", 200), ("list", 200), ("same", 304), ("foreign", 404), ("nowhere", 404)]);
    assert_eq!(answers[0]["body"]["user"]["id"], admin.id.as_str());
    assert_eq!((&answers[1]["body"], &answers[1]["headers"]["etag"]), (&alone.body, &json!(etag)));
    assert_eq!(answers[1]["headers"]["x-cache"], "HIT");
    assert_ne!(answers[1]["headers"]["cache-groups"], Value::Null);
    assert_eq!(answers[2]["body"], Value::Null);
    assert_eq!(answers[3]["headers"]["content-type"], "application/problem+json");
}

#[tokio::test]
async fn what_is_no_read_of_this_api_is_refused_with_its_place() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let requests = json!({ "requests": [read("a", "/api/v1/context/me"), read("b", "/api/v1/batch"), read("c", "x")] });
    let refused = admin.post("/batch", requests).await.expect(422);
    let errors = refused.body["errors"].as_array().unwrap();
    let fields: Vec<&str> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["requests[1].path", "requests[2].path"]);
    let many: Vec<Value> = (0..21).map(|id| read(&id.to_string(), "/api/v1/context/me")).collect();
    admin.post("/batch", json!({ "requests": many })).await.expect(422);
    admin.post("/batch", json!({ "requests": [] })).await.expect(422);
}

#[tokio::test]
async fn each_read_demands_the_position_that_it_names() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let ids = admin.ids().await;
    let saved = admin.patch(&format!("/discovery/flows/{}", ids.flow), json!({ "name": "Seen" })).await.expect(200);
    let written = saved.header("unstale-position").to_owned();
    assert_ne!(written, "");
    let flow = format!("/api/v1/discovery/flows/{}", ids.flow);
    let with = |id: &str, position: &str| json!({ "id": id, "path": flow, "position": position });
    let answer =
        admin.post("/batch", json!({ "requests": [with("seen", &written), read("any", &flow)] })).await.expect(200);
    assert_eq!(
        [&answer.body["responses"][0]["body"]["name"], &answer.body["responses"][1]["body"]["name"]],
        ["Seen"; 2]
    );
    let refused =
        admin.post("/batch", json!({ "requests": [with("odd", "1.2"), read("any", &flow)] })).await.expect(422);
    assert_eq!(refused.body["errors"][0]["field"], "requests[0].position");
}
