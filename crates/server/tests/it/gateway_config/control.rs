//! The API for backends.

use serde_json::json;

use super::world::{CONTROL_TOKEN, JWT, ROUTES, World, ask, bearer};

async fn world() -> World {
    World::start(&format!("{JWT}{ROUTES}")).await
}

#[tokio::test]
async fn groups_are_declared_wrong_and_the_answer_carries_the_position() {
    let world = world().await;
    let ann = bearer("ann", "acme", &json!({}));
    world.get("/field-mappings/7", &[("authorization", &ann)]).await;
    let wanted = json!({"tenant": "acme", "groups": ["import:7"], "dry_run": true});
    let dry = world.call("/v1/invalidate", &wanted).await;
    assert_eq!(dry.json()["held"]["entries"], 1, "{dry:?}");
    assert_eq!(dry.json()["held"]["is_complete"], true);
    assert_eq!(world.get("/field-mappings/7", &[("authorization", &ann)]).await.cache(), "HIT");
    let done = world.call("/v1/invalidate", &json!({"tenant": "acme", "groups": ["import:7"]})).await;
    assert_eq!(done.status, 200);
    assert!(!done.header("unstale-position").is_empty());
    assert_eq!(done.json()["position"], done.header("unstale-position"));
    assert_eq!(world.get("/field-mappings/7", &[("authorization", &ann)]).await.cache(), "MISS");
}

#[tokio::test]
async fn a_hard_purge_deletes_bytes_and_a_soft_one_does_not() {
    let world = world().await;
    let ann = bearer("ann", "acme", &json!({}));
    let entries = |status: serde_json::Value| status["cache"]["entries"].as_u64().unwrap();
    let status = || async {
        let authorization = format!("Bearer {CONTROL_TOKEN}");
        ask(world.control, "GET", "/v1/status", &[("authorization", &authorization)], "").await.json()
    };
    world.get("/field-mappings/7", &[("authorization", &ann)]).await;
    let held = entries(status().await);
    world.call("/v1/purge", &json!({"tenant": "acme", "groups": ["import:7"]})).await;
    assert_eq!(entries(status().await), held);
    let hard = world.call("/v1/purge", &json!({"tenant": "acme", "groups": ["import:7"], "mode": "hard"})).await;
    assert_eq!(hard.json()["held"]["entries"], 1, "{hard:?}");
    let status = status().await;
    assert_eq!(entries(status.clone()), held - 1);
    assert_eq!(status["upstreams"][0]["servers"][0]["well"], true, "{status}");
}

/// `stale_ok` is the one mode in which what was declared wrong may be given on. What this node has deleted is not there to be.
#[tokio::test]
async fn what_was_purged_hard_is_not_given_on_with_stale_ok_either() {
    let stale_ok = "cache = { ttl = \"5m\", mode = \"stale_ok\", bound = \"1h\" }";
    let routes = ROUTES.replacen("cache = { ttl = \"5m\" }", stale_ok, 1);
    let world = World::start(&format!("{JWT}{routes}")).await;
    let ann = bearer("ann", "acme", &json!({}));
    for (import, mode, expected) in [(7, "soft", "STALE"), (8, "hard", "MISS")] {
        let path = format!("/field-mappings/{import}");
        world.get(&path, &[("authorization", &ann)]).await;
        let purge = json!({"tenant": "acme", "groups": [format!("import:{import}")], "mode": mode});
        assert_eq!(world.call("/v1/purge", &purge).await.status, 200);
        assert_eq!(world.get(&path, &[("authorization", &ann)]).await.cache(), expected, "{mode}");
    }
}

#[tokio::test]
async fn what_will_be_wanted_is_read_before() {
    let world = world().await;
    let ann = bearer("ann", "acme", &json!({}));
    let urls = ["http://app.test/field-mappings/7", "http://app.test/public/x", "http://app.test/elsewhere"];
    let warmed = world.call("/v1/warm", &json!({"urls": urls, "headers": {"authorization": ann}})).await;
    assert_eq!(warmed.status, 200, "{warmed:?}");
    assert_eq!((&warmed.json()["loaded"], &warmed.json()["not_kept"]), (&json!(2), &json!(1)), "{warmed:?}");
    assert_eq!(world.get("/field-mappings/7", &[("authorization", &ann)]).await.cache(), "HIT");
    assert_eq!(world.get("/public/x", &[]).await.cache(), "HIT");
    let again = world.call("/v1/warm", &json!({"urls": urls, "headers": {"authorization": ann}})).await;
    assert_eq!(again.json()["present"], 2);
    let wrong = world.call("/v1/warm", &json!({"urls": ["/field-mappings/7"]})).await;
    assert_eq!((wrong.status, &wrong.json()["errors"][0]["field"]), (422, &json!("urls[0]")));
}

#[tokio::test]
async fn tokens_are_good_for_their_tenants_alone() {
    let world = world().await;
    let wanted = json!({"tenant": "acme", "groups": ["a"]});
    assert_eq!(world.call_as("wrong", "/v1/invalidate", &wanted).await.status, 401);
    let globex = "another token of thirty-two bytes";
    assert_eq!(world.call_as(globex, "/v1/invalidate", &wanted).await.status, 403);
    assert_eq!(
        world.call_as(globex, "/v1/invalidate", &json!({"tenant": "globex", "groups": ["a"]})).await.status,
        200
    );
    let ann = bearer("ann", "acme", &json!({}));
    let warm = json!({"urls": ["http://app.test/field-mappings/7"], "headers": {"authorization": ann}});
    assert_eq!(world.call_as(globex, "/v1/warm", &warm).await.status, 403);
    let mut refused = 0;
    for _ in 0..30 {
        refused += u32::from(world.call_as("wrong", "/v1/invalidate", &wanted).await.status == 429);
    }
    assert!(refused > 0, "wrong tokens can be tried for ever");
    assert_eq!(world.call("/v1/invalidate", &wanted).await.status, 200, "a good token suffers from the wrong ones");
}

#[tokio::test]
async fn what_is_asked_for_must_make_sense() {
    let world = world().await;
    let check = async |body: serde_json::Value, status: u16| {
        let answer = world.call("/v1/invalidate", &body).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"), "{body}");
    };
    check(json!({"tenant": "acme"}), 422).await;
    check(json!({"tenant": "", "groups": ["a"]}), 422).await;
    check(json!({"tenant": "acme", "groups": [""]}), 422).await;
    check(json!({"tenant": "acme", "groups": vec!["a"; 1001]}), 422).await;
    check(json!({"tenant": "acme", "grups": ["a"]}), 422).await;
}
