//! Every documented operation with another tenant's ids: the answer to an id that nobody has, and never a hit.

use axum::http::Method;
use serde_json::{Value, json};

use super::world::{ADMIN, ANALYST, Answer, Ids, OTHER_ADMIN, OTHER_ANALYST, Person, UNKNOWN, World, operations};

/// Operations that name nothing of anybody's.
fn names_nothing(method: &Method, path: &str) -> bool {
    !path.contains('{') && bodies(method, path, &Ids::unknown()).is_none() && queries(path, &Ids::unknown()).is_empty()
}

/// Queries that name something of `ids`.
fn queries(path: &str, ids: &Ids) -> Vec<String> {
    match path {
        "/api/v1/context-establishment/engagements" => vec![format!("?client_id={}", ids.client)],
        "/api/v1/discovery/flows" | "/api/v1/imports" => vec![format!("?engagement_id={}", ids.engagement)],
        "/api/v1/assets" => {
            vec![format!("?engagement_id={}", ids.engagement), format!("?import_id={}", ids.import)]
        }
        _ => Vec::new(),
    }
}

/// A body that would be accepted, naming what it names of `ids`.
fn bodies(method: &Method, path: &str, ids: &Ids) -> Option<Value> {
    Some(match (method.as_str(), path) {
        ("PUT", "/api/v1/users/{user_id}/defaults") => {
            json!({ "client_account_id": ids.client, "engagement_id": null })
        }
        ("PUT", "/api/v1/users/{user_id}/roles") => json!({ "role": "analyst", "client_account_id": ids.client }),
        ("PUT", "/api/v1/users/{user_id}/clients/{client_id}") => json!({ "role": "analyst" }),
        ("POST", "/api/v1/discovery/flows") => json!({ "engagement_id": ids.engagement, "name": "x" }),
        (
            "POST",
            "/api/v1/field-mappings/{import_id}/bulk-approve"
            | "/api/v1/field-mappings/{import_id}/bulk-reject"
            | "/api/v1/field-mappings/{import_id}/bulk-keep",
        ) => {
            json!({ "mapping_ids": [ids.mapping] })
        }
        ("POST", "/api/v1/data-cleansing/{import_id}/corrections") => {
            json!({ "corrections": [{ "position": 0, "value": ids.value, "replacement": "x" }] })
        }
        ("POST", "/api/v1/data-cleansing/{import_id}/corrections/undo") => {
            json!({ "correction_ids": [ids.correction] })
        }
        ("PATCH", "/api/v1/field-mappings/{import_id}/{mapping_id}") => json!({ "target_attribute": "hostname" }),
        ("PATCH", "/api/v1/discovery/flows/{flow_id}") | ("PUT", "/api/v1/admin/clients/{client_id}") => {
            json!({ "name": "x" })
        }
        ("POST", "/api/v1/admin/engagements") => json!({ "name": "x", "client_account_id": ids.client }),
        ("PUT", "/api/v1/admin/engagements/{engagement_id}") => json!({ "name": "x", "status": "active" }),
        ("POST", "/api/v1/admin/pending-approvals/{user_id}/approve") => {
            json!({ "client_account_id": ids.client, "role": "analyst" })
        }
        _ => return None,
    })
}

async fn ask(person: &Person, method: &Method, path: &str, ids: &Ids) -> Vec<(String, Answer)> {
    let filled = ids.fill(path);
    let targets = match queries(path, ids) {
        queries if queries.is_empty() => vec![filled],
        queries => queries.into_iter().map(|query| format!("{filled}{query}")).collect(),
    };
    let mut answers = Vec::new();
    for target in targets {
        let is_upload = *method == Method::POST && path == "/api/v1/imports";
        let answer = if is_upload {
            person.upload_to(&target, "a.csv", b"Name\nx\n").await
        } else if *method == Method::POST && path == "/api/v1/discovery/flows" {
            person.post("/discovery/flows", bodies(method, path, ids).unwrap()).await
        } else {
            person.ask(method.clone(), &target, bodies(method, path, ids), &[]).await
        };
        answers.push((target, answer));
    }
    answers
}

/// Everything of `owner`'s client, kept in the cache for the owner.
async fn warm(owner: &Person, ids: &Ids) {
    for (method, path) in operations() {
        if method == Method::GET {
            for _ in 0..2 {
                ask(owner, &method, &path, ids).await;
            }
        }
    }
}

#[tokio::test]
async fn anothers_ids_are_ids_that_nobody_has() {
    let world = World::new().await;
    let owners = [world.sign_in(OTHER_ADMIN).await, world.sign_in(OTHER_ANALYST).await];
    let foreign = owners[0].ids().await;
    for owner in &owners {
        warm(owner, &foreign).await;
    }
    let before = owners[0].get("/context/full").await.expect(200).body;
    let mut checked = 0;
    for (email, expected) in [(ADMIN, &[404][..]), (ANALYST, &[403, 404][..])] {
        let person = world.sign_in(email).await;
        let unknown = Ids::unknown();
        for (method, path) in operations() {
            if names_nothing(&method, &path) {
                continue;
            }
            let asked = ask(&person, &method, &path, &foreign).await;
            let compared = ask(&person, &method, &path, &unknown).await;
            for ((target, answer), (_, unknown)) in asked.into_iter().zip(compared) {
                assert!(expected.contains(&answer.status.as_u16()), "{email}: {method} {target}: {answer:?}");
                assert_eq!(
                    (answer.status, &answer.body),
                    (unknown.status, &unknown.body),
                    "{email}: {method} {target} tells that it exists"
                );
                assert!(!answer.is_hit(), "{email}: {method} {target} was answered from the cache");
                assert!(!answer.headers.contains_key("cache-groups"), "{email}: {method} {target} names groups");
                checked += 1;
            }
        }
    }
    assert!(checked > 60, "only {checked} requests were tried");
    let after = owners[0].get("/context/full").await.expect(200);
    assert!(after.is_hit() && after.body == before, "what was refused has changed something");
}

#[tokio::test]
async fn nobody_acts_for_a_client_they_have_no_part_in() {
    let world = World::new().await;
    let foreign = world.sign_in(OTHER_ADMIN).await.ids().await;
    let person = world.sign_in(ADMIN).await;
    for (method, path) in operations() {
        if ["/api/v1/auth/login", "/api/v1/auth/register", "/api/v1/auth/refresh", "/api/v1/auth/logout"]
            .contains(&path.as_str())
        {
            continue;
        }
        let theirs = person.acting_for(&foreign.client).ask(method.clone(), &foreign.fill(&path), None, &[]).await;
        let nobodys = person.acting_for(UNKNOWN).ask(method.clone(), &foreign.fill(&path), None, &[]).await;
        assert_eq!(theirs.status.as_u16(), 404, "{method} {path}");
        assert_eq!(theirs.body, nobodys.body, "{method} {path}");
    }
    person.acting_for("x").get("/context/me").await.expect(404);
}

#[tokio::test]
async fn the_same_address_is_answered_to_each_client_with_its_own() {
    let world = World::new().await;
    let (here, there) = (world.sign_in(ADMIN).await, world.sign_in(OTHER_ADMIN).await);
    for (method, path) in operations() {
        if method != Method::GET
            || path.contains('{')
            || path.ends_with("context-establishment/engagements")
            || path.contains("/admin/audit")
        {
            continue;
        }
        let path = path.strip_prefix("/api/v1").unwrap();
        let (ours, theirs) = (here.get(path).await.expect(200), there.get(path).await.expect(200));
        assert!(!theirs.is_hit(), "{path} was answered from another client's entry");
        // Neither has chosen where they start.
        if !["/target-attributes", "/admin/pending-approvals", "/context/start"].contains(&path) {
            assert_ne!(ours.body, theirs.body, "{path}");
        }
        assert_ne!(ours.header("cache-groups"), theirs.header("cache-groups"), "{path}: groups are told apart");
    }
}

#[tokio::test]
async fn who_has_part_in_two_clients_sees_each_by_itself() {
    let world = World::new().await;
    let operator = world.sign_in(super::world::OPERATOR).await;
    let (here, there) = (world.sign_in(ADMIN).await, world.sign_in(OTHER_ADMIN).await);
    let (acme, globex) = (here.ids().await, there.ids().await);
    operator
        .put(&format!("/users/{}/clients/{}", here.id, globex.client), json!({ "role": "analyst" }))
        .await
        .expect(200);
    let in_globex = here.acting_for(&globex.client);
    in_globex.get(&format!("/imports/{}", globex.import)).await.expect(200);
    in_globex.get(&format!("/imports/{}", acme.import)).await.expect(404);
    here.get(&format!("/imports/{}", globex.import)).await.expect(404);
    in_globex.get("/admin/users").await.expect(403);
    here.get("/admin/users").await.expect(200);
    // A client's administrator does not learn what else its users have part in.
    let shown = there.get("/admin/users").await.expect(200).body.to_string();
    assert!(shown.contains(&here.id) && !shown.contains(&acme.client), "{shown}");
    let clients = there.get(&format!("/users/{}/clients", here.id)).await.expect(200).body.to_string();
    assert!(clients.contains(&globex.client) && !clients.contains(&acme.client), "{clients}");
    here.put(
        &format!("/users/{}/defaults", here.id),
        json!({ "client_account_id": acme.client, "engagement_id": acme.engagement }),
    )
    .await
    .expect(200);
    let defaults = there.get(&format!("/users/{}/defaults", here.id)).await.expect(200).body.to_string();
    assert!(!defaults.contains(&acme.client) && !defaults.contains(&acme.engagement), "{defaults}");
}
