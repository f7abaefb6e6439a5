//! Feature flags: asked for by browsers, changed by administrators, obeyed by the server.

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::{Value, json};

use super::{
    sockets::{listen, listen_for, listen_on},
    world::{ADMIN, ANALYST, Answer, OPERATOR, Person, World},
};

const CACHE: &str = "/admin/cache/flags/USE_CUSTOM_API_CACHE";

/// Asks by the protocol of `OpenFeature`.
pub(super) async fn evaluate(world: &World, person: &Person, path: &str, known: Option<&str>) -> Answer {
    let known = known.map(|etag| ("if-none-match", etag));
    evaluate_with(world, person, path, known.as_slice()).await
}

async fn evaluate_with(world: &World, person: &Person, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::post(format!("/ofrep/v1/evaluate/flags{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {}", person.token))
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = json!({ "context": { "targetingKey": "somebody else" } });
    world.send(request.body(Body::from(body.to_string())).unwrap()).await
}

pub(super) fn value<'a>(answer: &'a Answer, key: &str) -> &'a Value {
    let flags = answer.body["flags"].as_array().unwrap();
    &flags.iter().find(|flag| flag["key"] == key).unwrap()["value"]
}

#[tokio::test]
async fn flags_are_evaluated_for_who_is_signed_in_and_only_what_changed_is_sent_again() {
    let world = World::new().await;
    let (operator, analyst) = (world.sign_in(OPERATOR).await, world.sign_in(ANALYST).await);
    let all = evaluate(&world, &analyst, "", None).await.expect(200);
    assert_eq!((value(&all, "USE_CUSTOM_API_CACHE"), value(&all, "ENABLE_DEVTOOLS")), (&json!(true), &json!(false)));
    let etag = all.header("etag").to_owned();
    assert_eq!(evaluate(&world, &analyst, "", Some(&etag)).await.status, 304);

    let only = json!({ "percentage": 0, "on_for": [analyst.id] });
    operator.put("/admin/cache/flags/ENABLE_DEVTOOLS", only).await.expect(200);
    let all = evaluate(&world, &analyst, "", Some(&etag)).await.expect(200);
    assert_eq!(value(&all, "ENABLE_DEVTOOLS"), &json!(true));
    let of_other = evaluate(&world, &operator, "/ENABLE_DEVTOOLS", None).await.expect(200);
    assert_eq!((&of_other.body["value"], &of_other.body["reason"]), (&json!(false), &json!("STATIC")));
    let unknown = evaluate(&world, &analyst, "/NO_SUCH_FLAG", None).await.expect(404);
    assert_eq!(unknown.body["errorCode"], "FLAG_NOT_FOUND");
}

#[tokio::test]
async fn the_kill_switch_sends_reads_to_the_database_and_back_and_pages_hear_of_it() {
    let world = World::new().await;
    let (operator, analyst) = (world.sign_in(OPERATOR).await, world.sign_in(ANALYST).await);
    let address = listen_on(&world).await;
    evaluate(&world, &analyst, "", None).await.expect(200);
    let mut page = listen(&address, &analyst).await;
    let verdict = async || analyst.get("/context/me").await.expect(200).header("x-cache").to_owned();
    verdict().await;
    assert_eq!(verdict().await, "HIT");

    operator.put(CACHE, json!({ "killed": true, "percentage": 100 })).await.expect(200);
    assert_eq!(
        page.next().await["data"],
        json!({ "entity": "flags", "flag": "USE_CUSTOM_API_CACHE", "action": "updated" })
    );
    assert_eq!([verdict().await, verdict().await], ["BYPASS", "BYPASS"]);
    let metrics = world.metrics().await;
    let past = |line: &&str| line.contains("\"user:context\"") && line.contains("reason=\"off\"");
    let counted = metrics.lines().find(past).and_then(|line| line.split_whitespace().last()).map(str::to_owned);
    assert_eq!(counted.as_deref(), Some("2"), "the database was not asked each time");

    operator.put(CACHE, json!({ "percentage": 100 })).await.expect(200);
    verdict().await;
    assert_eq!(verdict().await, "HIT");
    let history = operator.get(&format!("{CACHE}/history")).await.expect(200);
    let killed: Vec<_> = history.body["items"].as_array().unwrap().iter().map(|item| &item["rule"]["killed"]).collect();
    assert_eq!(killed, [&json!(false), &json!(true)]);
}

#[tokio::test]
async fn a_page_hears_of_the_kill_switch_in_the_client_that_it_asked_for() {
    let world = World::new().await;
    let (operator, admin) = (world.sign_in(OPERATOR).await, world.sign_in(ADMIN).await);
    let client = admin.ids().await.client;
    let address = listen_on(&world).await;
    // Who administers the platform begins in no client.
    let mut page = listen_for(&address, &operator, &client).await;
    evaluate(&world, &operator, "", None).await.expect(200);
    operator.put(CACHE, json!({ "percentage": 50 })).await.expect(200);
    let asked = evaluate_with(&world, &operator, "", &[("x-client-account-id", &client)]).await.expect(200);
    operator.put(CACHE, json!({ "killed": true, "percentage": 100 })).await.expect(200);
    assert_eq!(page.next().await["data"]["entity"], "flags");
    assert!(page.is_silent().await, "it is told of the switch that it asked of, and of no other");
    // Nothing of the client is in it: the same answer is known again there.
    let etag = evaluate(&world, &operator, "", None).await.expect(200).header("etag").to_owned();
    assert_ne!(asked.header("etag"), etag);
    let known = [("x-client-account-id", client.as_str()), ("if-none-match", etag.as_str())];
    assert_eq!(evaluate_with(&world, &operator, "", &known).await.status, 304);
    operator.put(CACHE, json!({ "percentage": 100 })).await.expect(200);
    assert_eq!(page.next().await["data"]["entity"], "flags", "asked by its ETag it is told of just as well");
}

#[tokio::test]
async fn one_endpoint_can_go_without_the_cache_and_one_user_without_its_headers() {
    let world = World::new().await;
    let (operator, analyst) = (world.sign_in(OPERATOR).await, world.sign_in(ANALYST).await);
    operator.put(CACHE, json!({ "percentage": 100, "endpoints": { "flows": 0 } })).await.expect(200);
    for _ in 0..2 {
        assert_eq!(analyst.get("/discovery/flows").await.expect(200).header("x-cache"), "BYPASS");
    }
    analyst.get("/context/me").await.expect(200);
    assert_eq!(analyst.get("/context/me").await.expect(200).header("x-cache"), "HIT");
    let silent = json!({ "percentage": 100, "off_for": [analyst.id] });
    operator.put("/admin/cache/flags/ENABLE_CACHE_HEADERS", silent).await.expect(200);
    let answer = analyst.get("/context/me").await.expect(200);
    for name in ["x-cache", "x-cache-hits", "cache-status", "server-timing"] {
        assert!(!answer.headers.contains_key(name), "{name} is there");
    }
    assert!(answer.headers.contains_key("etag") && answer.headers.contains_key("cache-groups"));
}

#[tokio::test]
async fn only_administrators_of_the_platform_change_flags_and_only_to_what_makes_sense() {
    let world = World::new().await;
    let (operator, admin) = (world.sign_in(OPERATOR).await, world.sign_in(ADMIN).await);
    admin.put(CACHE, json!({ "percentage": 0 })).await.expect(403);
    admin.get("/admin/cache/flags").await.expect(403);
    operator.put("/admin/cache/flags/NO_SUCH_FLAG", json!({ "percentage": 0 })).await.expect(404);
    let refused = operator.put(CACHE, json!({ "percentage": 101, "endpoints": { "moon": 1 } })).await.expect(422);
    let told = refused.body["errors"].to_string();
    assert!(told.contains("percentage is 101") && told.contains("no endpoint moon; there are: "), "{told}");
    let flags = operator.get("/admin/cache/flags").await.expect(200);
    assert!(flags.body["items"].as_array().unwrap().iter().all(|flag| flag["rule"]["killed"] == false));
}

#[tokio::test]
async fn what_browsers_measured_is_counted() {
    let world = World::new().await;
    let analyst = world.sign_in(ANALYST).await;
    let vital = |name| {
        json!({ "name": name, "value": 640.0, "rating": "good", "page": "/flows", "navigation_type": "navigate",
            "at": "2026-11-20T10:00:00Z" })
    };
    analyst.post("/telemetry/vitals", json!([vital("LCP"), vital("unknown")])).await.expect(204);
    analyst.post("/telemetry/vitals", Value::Array(vec![vital("LCP"); 51])).await.expect(400);
    let metrics = world.metrics().await;
    assert!(metrics.contains(r#"web_vitals_total{name="LCP",rating="good"} 1"#), "{metrics}");
    assert!(!metrics.contains("unknown\",rating"));
}

#[tokio::test]
async fn pages_of_those_past_the_cache_are_told_apart() {
    let world = World::new().await;
    let (operator, analyst) = (world.sign_in(OPERATOR).await, world.sign_in(ANALYST).await);
    let vital = |name, value| {
        json!({ "name": name, "value": value, "rating": "good", "page": "/flows", "navigation_type": "soft",
            "at": "2026-11-21T10:00:00Z" })
    };
    let page = |ms, calls, renders| {
        json!([vital("page-shown", ms), vital("page-calls", calls), vital("page-renders", renders)])
    };
    analyst.post("/telemetry/vitals", page(40.0, 1.0, 10.0)).await.expect(204);
    operator.put(CACHE, json!({ "percentage": 100, "off_for": [analyst.id] })).await.expect(200);
    analyst.post("/telemetry/vitals", page(400.0, 4.0, 90.0)).await.expect(204);
    operator.post("/telemetry/vitals", page(20.0, 0.0, 20.0)).await.expect(204);
    let hour = operator.get("/admin/cache/experience").await.expect(200).body;
    assert_eq!((&hour["cached"]["pages"], &hour["cached"]["calls_mean"]), (&json!(2), &json!(0.5)));
    assert_eq!((&hour["uncached"]["pages"], &hour["uncached"]["calls_mean"]), (&json!(1), &json!(4.0)));
    let renders = |way: &str| hour[way]["renders_mean"].clone();
    assert_eq!((renders("cached"), renders("uncached")), (json!(15.0), json!(90.0)));
    assert!(hour["uncached"]["shown_ms_p75"].as_f64().unwrap() > hour["cached"]["shown_ms_p75"].as_f64().unwrap());
    assert!(hour["statements"].as_u64().unwrap() > 0, "{hour}");
    analyst.get("/admin/cache/experience").await.expect(403);
}
