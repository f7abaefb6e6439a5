//! Signing in and out, roles, and requests from other sites.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use platform::api::BASE;
use serde_json::json;

use super::world::{ADMIN, ANALYST, Answer, OPERATOR, PASSWORD, UNKNOWN, World, all_operations, post};

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_are_not_told_apart() {
    let world = World::new().await;
    let unknown = world.login("nobody@acme.test", PASSWORD).await;
    let wrong = world.login(ADMIN, "something else").await;
    let pending = world.login("newcomer@acme.test", PASSWORD).await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    assert_eq!((wrong.status, &wrong.body), (unknown.status, &unknown.body));
    assert_eq!((pending.status, &pending.body), (unknown.status, &unknown.body));
}

#[tokio::test]
async fn too_many_attempts_have_to_wait_also_with_the_right_password() {
    let world = World::new().await;
    for _ in 0..10 {
        world.login(ADMIN, "guess").await.expect(401);
    }
    let refused = world.login(ADMIN, PASSWORD).await.expect(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    world.login(ANALYST, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn nothing_but_signing_in_is_answered_to_nobody() {
    let world = World::new().await;
    let public = ["/api/v1/auth/login", "/api/v1/auth/register"];
    for (method, path) in all_operations() {
        if public.contains(&path.as_str()) {
            continue;
        }
        for authorization in [None, Some("Bearer x.y.z"), Some("Basic eA==")] {
            let mut request = Request::builder().method(method.clone()).uri(&path);
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let answer = world.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
}

#[tokio::test]
async fn signing_out_is_effective_at_once_and_for_that_session_only() {
    let world = World::new().await;
    let (here, there) = (world.sign_in(ADMIN).await, world.sign_in(ADMIN).await);
    here.get("/context/me").await.expect(200);
    assert!(there.get("/context/me").await.expect(200).is_hit());
    let out = here.post("/auth/logout", json!(null)).await.expect(204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    here.get("/context/me").await.expect(401);
    here.post("/auth/refresh", json!(null)).await.expect(401);
    there.get("/context/me").await.expect(200);
}

#[tokio::test]
async fn a_session_can_be_refreshed() {
    let world = World::new().await;
    let person = world.sign_in(ADMIN).await;
    let before = chrono::Utc::now().timestamp();
    let refreshed = person.post("/auth/refresh", json!(null)).await.expect(200);
    assert_eq!(refreshed.body["user"]["id"], person.id.as_str());
    assert_eq!(refreshed.body["expires_in"], 900);
    assert_eq!(refreshed.header("cache-control"), "no-store");
    assert_ne!(refreshed.header("unstale-position"), "");
    // Pages see when it is due again.
    let after = chrono::Utc::now().timestamp();
    let mut cookies = refreshed.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let due = cookies.find_map(|line| line.strip_prefix("platform_signed_in=")?.split(';').next()?.parse().ok());
    let due: i64 = due.expect("it is set");
    assert!((before + 600..=after + 600).contains(&due), "{due} is not ten minutes after {before}");
}

#[tokio::test]
async fn the_cookie_works_for_our_own_page_only() {
    let world = World::new().await;
    let signed_in = world.login(ADMIN, PASSWORD).await.expect(200);
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(signed_in.header("set-cookie").contains("HttpOnly; SameSite=Strict"));
    let ask = async |method: Method, path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(format!("{BASE}{path}")).header("cookie", &cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        world.send(request.body(Body::empty()).unwrap()).await.status.as_u16()
    };
    assert_eq!(ask(Method::GET, "/context/me", &[]).await, 200);
    let delete = "/discovery/flows/01a1fa72-0000-7000-8000-000000000000";
    assert_eq!(ask(Method::DELETE, delete, &[]).await, 403);
    assert_eq!(ask(Method::DELETE, delete, &[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(ask(Method::DELETE, delete, &[("origin", "https://evil"), ("host", "here")]).await, 403);
    assert_eq!(ask(Method::DELETE, delete, &[("sec-fetch-site", "same-origin")]).await, 404);
    assert_eq!(ask(Method::DELETE, delete, &[("origin", "http://here"), ("host", "here")]).await, 404);
    assert_eq!(ask(Method::POST, "/auth/logout", &[("sec-fetch-site", "same-site")]).await, 403);
    assert_eq!(ask(Method::POST, "/auth/logout", &[("sec-fetch-site", "same-origin")]).await, 204);
    assert_eq!(ask(Method::GET, "/context/me", &[]).await, 401);
}

#[tokio::test]
async fn nobody_is_signed_in_by_another_site() {
    let world = World::new().await;
    let mut request = post("/auth/login", &json!({ "email": ADMIN, "password": PASSWORD }));
    request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
    world.send(request).await.expect(403);
}

#[tokio::test]
async fn roles_decide() {
    let world = World::new().await;
    let (admin, analyst) = (world.sign_in(ADMIN).await, world.sign_in(ANALYST).await);
    let ids = admin.ids().await;
    for path in ["/admin/clients", "/admin/engagements", "/admin/users", "/admin/pending-approvals"] {
        admin.get(path).await.expect(200);
        analyst.get(path).await.expect(403);
    }
    analyst.get(&format!("/admin/clients/{}", ids.client)).await.expect(403);
    let client = json!({ "name": "Initech" });
    analyst.post("/admin/clients", client.clone()).await.expect(403);
    admin.post("/admin/clients", client.clone()).await.expect(403);
    admin.delete(&format!("/admin/clients/{}?cascade=true", ids.client)).await.expect(403);
    let mine = format!("/users/{}/roles", admin.id);
    admin.put(&mine, json!({ "is_platform_admin": true })).await.expect(403);
    analyst.put(&format!("/users/{}/roles", analyst.id), json!({ "role": "client_admin" })).await.expect(403);
    let operator = world.sign_in(OPERATOR).await;
    operator.post("/admin/clients", client).await.expect(201);
    operator.get("/engagements").await.expect(400);
    operator.acting_for(&ids.client).get("/engagements").await.expect(200);
    operator.acting_for(UNKNOWN).get("/engagements").await.expect(404);
}

#[tokio::test]
async fn whoever_may_do_everything_can_do_it_to_nothing_that_is_not_there() {
    let world = World::new().await;
    let operator = world.sign_in(OPERATOR).await;
    let waiting = operator.get("/admin/pending-approvals").await.expect(200).body["items"][0]["user_id"].clone();
    let access = json!({ "client_account_id": UNKNOWN, "role": "analyst" });
    let approve = format!("/admin/pending-approvals/{}/approve", waiting.as_str().unwrap());
    operator.post(&approve, access).await.expect(404);
    operator.post("/admin/engagements", json!({ "name": "x", "client_account_id": UNKNOWN })).await.expect(404);
    let mine = &operator.id;
    operator.put(&format!("/users/{mine}/clients/{UNKNOWN}"), json!({ "role": "analyst" })).await.expect(404);
    operator
        .put(&format!("/users/{mine}/roles"), json!({ "role": "analyst", "client_account_id": UNKNOWN }))
        .await
        .expect(404);
    let nowhere = json!({ "client_account_id": UNKNOWN, "engagement_id": null });
    operator.put(&format!("/users/{mine}/defaults"), nowhere).await.expect(404);
    operator.get(&format!("/context-establishment/engagements?client_id={UNKNOWN}")).await.expect(404);
    for path in ["/admin/clients/", "/admin/engagements/"] {
        operator.get(&format!("{path}{UNKNOWN}")).await.expect(404);
        operator.get(&format!("{path}{UNKNOWN}/users")).await.expect(404);
        operator.delete(&format!("{path}{UNKNOWN}?cascade=true")).await.expect(404);
    }
    for path in ["defaults", "clients"] {
        operator.get(&format!("/users/{UNKNOWN}/{path}")).await.expect(404);
    }
}

#[tokio::test]
async fn what_has_children_goes_only_with_them() {
    let world = World::new().await;
    let operator = world.sign_in(OPERATOR).await;
    let ids = world.sign_in(ADMIN).await.ids().await;
    for path in [format!("/admin/engagements/{}", ids.engagement), format!("/admin/clients/{}", ids.client)] {
        let refused = operator.delete(&path).await.expect(409);
        assert!(refused.body["detail"].as_str().unwrap().contains("?cascade=true"), "{refused:?}");
        operator.delete(&format!("{path}?cascade=true")).await.expect(204);
        operator.get(&path).await.expect(404);
    }
}

#[tokio::test]
async fn a_changed_role_is_effective_with_the_next_request() {
    let world = World::new().await;
    let (admin, analyst) = (world.sign_in(ADMIN).await, world.sign_in(ANALYST).await);
    analyst.get("/admin/users").await.expect(403);
    let roles = format!("/users/{}/roles", analyst.id);
    admin.put(&roles, json!({ "role": "client_admin" })).await.expect(200);
    assert_eq!(analyst.get("/context/me").await.expect(200).body["role"], "client_admin");
    // Engagements do not change with a role: only what the caller is made of puts these answers out of date.
    let lists = ["/admin/users", "/admin/engagements", "/admin/clients", "/admin/pending-approvals"];
    for path in lists {
        analyst.get(path).await.expect(200);
        assert!(analyst.get(path).await.expect(200).is_hit(), "{path}");
    }
    admin.put(&roles, json!({ "role": "analyst" })).await.expect(200);
    for path in lists {
        analyst.get(path).await.expect(403);
    }
    let access = format!("/users/{}/clients/{}", analyst.id, admin.ids().await.client);
    admin.delete(&access).await.expect(200);
    analyst.get("/engagements").await.expect(400);
    assert_eq!(analyst.get("/context-establishment/clients").await.expect(200).body["items"], json!([]));
}

#[tokio::test]
async fn somebody_new_asks_and_is_let_in() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let wish = |email: &str, client: &str| {
        json!({
            "email": email, "name": "Sam", "password": "long enough", "requested_client": client, "reason": "work",
        })
    };
    let asked = world.send(post("/auth/register", &wish("Sam@Example.com", " acme "))).await.expect(202);
    assert_eq!(asked.body, json!({ "status": "pending" }));
    let again = world.send(post("/auth/register", &wish("sam@example.com", "acme"))).await.expect(202);
    assert_eq!((&again.body, names_of(&again)), (&asked.body, names_of(&asked)), "the answers tell who has an account");
    world.send(post("/auth/register", &wish("other@example.com", "Globex"))).await.expect(202);

    let waiting = admin.get("/admin/pending-approvals").await.expect(200).body;
    let names: Vec<&str> =
        waiting["items"].as_array().unwrap().iter().map(|one| one["email"].as_str().unwrap()).collect();
    assert_eq!(names, ["newcomer@acme.test", "sam@example.com"], "others' requests are nobody's business");
    let sam = waiting["items"][1]["user_id"].as_str().unwrap();
    let ids = admin.ids().await;
    let access = json!({ "client_account_id": ids.client, "role": "analyst" });
    let approved = admin.post(&format!("/admin/pending-approvals/{sam}/approve"), access.clone()).await.expect(200);
    assert_eq!(
        (&approved.body["status"], &approved.body["memberships"][0]["role"]),
        (&json!("active"), &json!("analyst"))
    );
    admin.post(&format!("/admin/pending-approvals/{sam}/approve"), access).await.expect(404);
    world.login("sam@example.com", "long enough").await.expect(200);
}

#[tokio::test]
async fn faults_of_a_registration_are_told_at_once() {
    let world = World::new().await;
    let body = json!({ "email": "nobody", "name": " ", "password": "short" });
    let refused = world.send(post("/auth/register", &body)).await.expect(422);
    let fields: Vec<&str> =
        refused.body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["email", "name", "password"]);
}

/// The names of an answer's headers and the position, if it tells one.
fn names_of(answer: &Answer) -> (Vec<&str>, &str) {
    (answer.headers.keys().map(axum::http::HeaderName::as_str).collect(), answer.header("unstale-position"))
}
