//! The audit trail through the API: what is in it, and who sees what of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{ADMIN, ANALYST, OPERATOR, OTHER_ADMIN, Person, UNKNOWN, World};

/// What the trail holds, when everything is in the database.
async fn trail(world: &World, person: &Person, query: &str) -> Vec<Value> {
    assert!(world.audit().flush(Duration::from_secs(60)).await, "it was not shipped in time");
    let page = person.get(&format!("/admin/audit?limit=1000&{query}")).await.expect(200).body;
    page["items"].as_array().unwrap().clone()
}

fn of<'a>(items: &'a [Value], name: &str) -> Vec<&'a str> {
    items.iter().map(|item| item[name].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn what_changed_is_recorded_with_who_did_it_and_from_when_it_is_seen() {
    let world = World::new().await;
    let (admin, analyst) = (world.sign_in(ADMIN).await, world.sign_in(ANALYST).await);
    let ids = analyst.ids().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [("traceparent", traced.as_str()), ("x-agent", "mapping_agent")];
    let path = format!("/discovery/flows/{}", ids.flow);
    let answer =
        analyst.ask(axum::http::Method::PATCH, &path, Some(json!({ "name": "renamed" })), &headers).await.expect(200);
    let found = trail(&world, &admin, &format!("trace_id={trace}")).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let record = &found[0];
    assert_eq!(of(&found, "principal"), [analyst.id.as_str()]);
    assert_eq!(record["key"], format!("flow:{}", ids.flow));
    assert_eq!(
        (&record["operation"], &record["outcome"], &record["entity"], &record["detail"], &record["agent"]),
        (&json!("invalidate"), &json!("done"), &json!("flow"), &json!("updated"), &json!("mapping_agent"))
    );
    assert_eq!(record["tenant"], ids.client);
    assert_eq!(record["position"], answer.header("unstale-position"));
    // What was refused changed nothing, and is not recorded at this level.
    let before = trail(&world, &admin, "").await.len();
    analyst.put(&format!("/admin/engagements/{}", ids.engagement), json!({ "name": "x", "status": "active" })).await;
    assert_eq!(trail(&world, &admin, "").await.len(), before);
}

#[tokio::test]
async fn whose_data_it_is_about_is_found_by_name_and_stands_nowhere() {
    let world = World::new().await;
    let (admin, analyst) = (world.sign_in(ADMIN).await, world.sign_in(ANALYST).await);
    let client = admin.ids().await.client;
    let roles = json!({ "role": "client_admin", "client_account_id": client });
    admin.put(&format!("/users/{}/roles", analyst.id), roles).await.expect(200);
    let found = trail(&world, &admin, &format!("subject={}&actor={}", analyst.id, admin.id)).await;
    assert_eq!(of(&found, "entity"), ["user_access"], "{found:?}");
    assert_eq!(of(&found, "principal"), [admin.id.as_str()]);
    assert!(!json!(found).to_string().contains(&analyst.id), "{found:?}");
}

#[tokio::test]
async fn everybody_sees_their_own_tenants_trail_and_nobody_anothers() {
    let world = World::with(&[("AUDIT_LEVEL", "all")]).await;
    let (here, there) = (world.sign_in(ADMIN).await, world.sign_in(OTHER_ADMIN).await);
    let (acme, globex) = (here.ids().await, there.ids().await);
    for (person, ids) in [(&here, &acme), (&there, &globex)] {
        person.patch(&format!("/discovery/flows/{}", ids.flow), json!({ "name": "x" })).await.expect(200);
    }
    let operator = world.sign_in(OPERATOR).await;
    for (person, ids) in [(&here, &acme), (&there, &globex), (&operator.acting_for(&acme.client), &acme)] {
        let found = trail(&world, person, "").await;
        assert!(found.len() > 3 && of(&found, "tenant").iter().all(|tenant| *tenant == ids.client), "{found:?}");
    }
    let all = trail(&world, &operator, "").await;
    let tenants = of(&all, "tenant");
    for tenant in [acme.client.as_str(), &globex.client, "platform", ""] {
        assert!(tenants.contains(&tenant), "{tenant}");
    }
    // Neither by name, nor by what is in it, nor with a cursor from elsewhere.
    for path in ["/admin/audit", "/admin/audit/export"] {
        here.get(&format!("{path}?tenant={}", globex.client)).await.expect(404);
        here.get(&format!("{path}?tenant=platform")).await.expect(404);
        here.get(&format!("{path}?tenant=")).await.expect(404);
        world.sign_in(ANALYST).await.get(path).await.expect(403);
    }
    assert!(trail(&world, &here, &format!("actor={}", there.id)).await.is_empty());
    assert!(trail(&world, &here, &format!("key=flow:{}", globex.flow)).await.is_empty());
    let foreign = there.get("/admin/audit?limit=1").await.expect(200).body["next_cursor"].as_str().unwrap().to_owned();
    let found = trail(&world, &here, &format!("cursor={foreign}")).await;
    assert!(of(&found, "tenant").iter().all(|tenant| *tenant == acme.client));
    let exported = there.get("/admin/audit/export?format=csv").await.expect(200).body.as_str().unwrap().to_owned();
    assert!(exported.contains(&globex.client) && !exported.contains(&acme.client));
    assert!(exported.starts_with("number,tenant,at,") && exported.lines().count() > 3, "{exported}");
}

#[tokio::test]
async fn pages_follow_each_other_and_faults_are_named() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let all = trail(&world, &admin, "").await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/admin/audit?limit=2{cursor}")).await.expect(200).body;
        seen.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(all.len() > 4 && seen == all);
    for bad in ["limit=0", "limit=1001", "cursor=x", "trace_id=7"] {
        admin.get(&format!("/admin/audit?{bad}")).await.expect(422);
    }
    for bad in ["since=yesterday", "colour=red"] {
        admin.get(&format!("/admin/audit?{bad}")).await.expect(400);
    }
    admin.get("/admin/audit/export?format=pdf").await.expect(422);
}

#[tokio::test]
async fn signing_in_is_recorded_and_so_is_being_refused() {
    let world = World::with(&[("AUDIT_LEVEL", "sensitive")]).await;
    let admin = world.sign_in(ADMIN).await;
    world.login(ADMIN, "wrong-password").await.expect(401);
    world.login("nobody@acme.test", "wrong-password").await.expect(401);
    admin.get("/admin/users").await.expect(200);
    admin.get("/context/me").await.expect(200);
    let operator = world.sign_in(OPERATOR).await;
    let found = trail(&world, &operator, "operation=sign_in").await;
    let told: Vec<_> =
        found.iter().map(|it| (it["principal"].as_str().unwrap(), it["outcome"].as_str().unwrap())).collect();
    assert_eq!(told[1..], [("", "refused"), ("", "refused"), (admin.id.as_str(), "done")]);
    let of_admin = trail(&world, &operator, &format!("operation=sign_in&subject={}", admin.id)).await;
    assert_eq!(of(&of_admin, "outcome"), ["refused"]);
    let unknown = trail(&world, &operator, "operation=sign_in&subject=nobody@acme.test").await;
    assert_eq!(of(&unknown, "outcome"), ["refused"]);
    assert!(!json!(found).to_string().contains('@'), "{found:?}");
    // Reads that show who may do what are sensitive, and reads of one's own context are not.
    let reads = trail(&world, &operator, &format!("operation=read&actor={}", admin.id)).await;
    assert_eq!(of(&reads, "key"), ["/api/v1/admin/users"]);
}

#[tokio::test]
async fn every_read_is_recorded_once_also_those_of_a_batch() {
    let world = World::with(&[("AUDIT_LEVEL", "all")]).await;
    let analyst = world.sign_in(ANALYST).await;
    let operator = world.sign_in(OPERATOR).await;
    for _ in 0..50 {
        analyst.get("/context/me").await.expect(200);
    }
    let one = |path: &str| json!({ "id": path, "path": format!("/api/v1{path}") });
    let batch = json!({ "requests": [one("/engagements"), one("/context/me")] });
    analyst.post("/batch", batch).await.expect(200);
    analyst.get(&format!("/users/{}/defaults", analyst.id)).await.expect(200);
    let reads = trail(&world, &operator, &format!("operation=read&actor={}", analyst.id)).await;
    let count =
        |key: &str| -> u64 { reads.iter().filter(|it| it["key"] == key).map(|it| it["times"].as_u64().unwrap()).sum() };
    assert_eq!((count("/api/v1/context/me"), count("/api/v1/engagements")), (51, 1), "{reads:?}");
    let outcomes = of(&reads, "outcome");
    assert!(outcomes.contains(&"hit") && outcomes.contains(&"miss"), "{outcomes:?}");
    // Whose defaults they are is a hash.
    assert_eq!(count("/api/v1/users/{user_id}/defaults"), 1, "{reads:?}");
    let about = trail(&world, &operator, &format!("operation=read&subject={}", analyst.id)).await;
    assert_eq!(of(&about, "key"), ["/api/v1/users/{user_id}/defaults"]);
}

#[tokio::test]
async fn erasing_somebody_is_recorded_with_its_proof_and_so_is_who_asks_what_is_cached_about_them() {
    let world = World::new().await;
    let (operator, analyst) = (world.sign_in(OPERATOR).await, world.sign_in(ANALYST).await);
    analyst.get("/context/full").await.expect(200);
    operator.get(&format!("/admin/users/{}/cache-report", analyst.id)).await.expect(200);
    operator.get(&format!("/admin/users/{UNKNOWN}/cache-report")).await.expect(404);
    let erase = format!("/admin/users/{}/erase", analyst.id);
    let proof = operator.post(&erase, Value::Null).await.expect(200);
    operator.post(&format!("/admin/users/{UNKNOWN}/erase"), Value::Null).await.expect(404);

    let about = |operation: &str| format!("operation={operation}&subject={}", analyst.id);
    let reports = trail(&world, &operator, &about("report")).await;
    assert_eq!((of(&reports, "principal"), of(&reports, "tenant")), (vec![operator.id.as_str()], vec!["platform"]));
    let erasures = trail(&world, &operator, &about("erase")).await;
    assert_eq!(of(&erasures, "entity"), ["erasure_proof", "user"], "{erasures:?}");
    assert_eq!(of(&erasures, "outcome"), ["done", "done"]);
    assert_eq!(of(&erasures, "position"), [proof.header("unstale-position"); 2]);
    let removed = proof.body["copies_removed"].as_u64().unwrap();
    assert!(removed >= 1 && of(&erasures, "detail")[0].contains(&format!("{removed} copies")), "{erasures:?}");
    let text = json!([reports, erasures]).to_string();
    assert!(!text.contains(&analyst.id) && !text.contains('@'), "{text}");
    // What came to nothing is there, too.
    let all = trail(&world, &operator, "operation=erase").await;
    assert_eq!(of(&all, "outcome"), ["failed", "done", "done"], "{all:?}");
    assert!(trail(&world, &world.sign_in(ADMIN).await, "operation=erase").await.is_empty(), "clients do not see it");
}
