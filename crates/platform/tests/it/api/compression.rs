//! Answers go out packed to who takes that, alone and in batches; what gives credentials does not.

use std::io::Read as _;

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use platform::api;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::world::{ADMIN, PASSWORD, Person, World};

struct Raw {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Raw {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        let mut text = Vec::new();
        match self.header("content-encoding") {
            "gzip" => flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut text).unwrap(),
            _ => (&self.body[..]).read_to_end(&mut text).unwrap(),
        };
        serde_json::from_slice(&text).unwrap()
    }
}

async fn ask(world: &World, person: &Person, method: Method, path: &str, body: Value, headers: &[(&str, &str)]) -> Raw {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", api::BASE))
        .header(header::ACCEPT_ENCODING, "gzip, deflate, br, zstd")
        .header(header::CONTENT_TYPE, "application/json");
    if !person.token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", person.token));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let response = world.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    Raw { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes().to_vec() }
}

#[tokio::test]
async fn lists_and_batches_are_packed_and_the_same_as_plain() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let plain = admin.get("/target-attributes").await.expect(200);
    for verdict in ["HIT", "HIT"] {
        let packed = ask(&world, &admin, Method::GET, "/target-attributes", Value::Null, &[]).await;
        assert_eq!((packed.header("content-encoding"), packed.header("x-cache")), ("gzip", verdict));
        assert_eq!(packed.json(), plain.body);
        assert!(packed.body.len() * 2 < plain.body.to_string().len(), "{} bytes are left", packed.body.len());
        assert_ne!(packed.header("etag"), plain.header("etag"));
    }
    let read = |path: &str| json!({ "id": path, "path": format!("{}{path}", api::BASE) });
    let both = json!({ "requests": [read("/target-attributes"), read("/context/me")] });
    let packed = ask(&world, &admin, Method::POST, "/batch", both, &[]).await;
    assert_eq!((packed.status, packed.header("content-encoding")), (StatusCode::OK, "gzip"));
    let answers = packed.json()["responses"].clone();
    assert_eq!(answers[0]["body"], plain.body);
    assert_eq!(answers[0]["headers"]["content-encoding"], Value::Null, "nothing is packed twice");
    assert_eq!(answers[0]["headers"]["etag"], plain.header("etag"));
}

#[tokio::test]
async fn a_validator_of_either_form_is_good_alone_and_in_a_batch() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let path = "/target-attributes";
    let packed = ask(&world, &admin, Method::GET, path, Value::Null, &[]).await.header("etag").to_owned();
    let plain = admin.get(path).await.header("etag").to_owned();
    for etag in [&packed, &plain] {
        let alone = ask(&world, &admin, Method::GET, path, Value::Null, &[("if-none-match", etag)]).await;
        assert_eq!(
            (alone.status, alone.header("etag"), alone.body.len()),
            (StatusCode::NOT_MODIFIED, etag.as_str(), 0)
        );
        let read = json!({ "id": "1", "path": format!("{}{path}", api::BASE), "if_none_match": etag });
        let batched = admin.post("/batch", json!({ "requests": [read] })).await.expect(200).batched();
        assert_eq!((batched.status, batched.header("etag")), (StatusCode::NOT_MODIFIED, etag.as_str()));
    }
}

#[tokio::test]
async fn a_sign_in_is_not_packed() {
    let world = World::new().await;
    let login = json!({ "email": ADMIN, "password": PASSWORD });
    let answer = ask(&world, &world.nobody(), Method::POST, "/auth/login", login, &[]).await;
    assert_eq!((answer.status, answer.header("content-encoding")), (StatusCode::OK, ""));
    assert!(answer.body.len() > 100 && answer.json()["access_token"].is_string());
}

#[tokio::test]
async fn live_events_are_not_packed() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let request = Request::get(format!("{}/events/stream", api::BASE))
        .header(header::ACCEPT_ENCODING, "gzip")
        .header(header::AUTHORIZATION, format!("Bearer {}", admin.token));
    let response = world.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"text/event-stream".parse().unwrap())
    );
    assert!(!response.headers().contains_key("content-encoding"));
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"event:") || first.starts_with(b"data:") || first.starts_with(b"id:"), "{first:?}");
}
