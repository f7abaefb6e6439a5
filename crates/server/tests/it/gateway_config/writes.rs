//! Writes declare wrong what the routes say, before they are answered.

use serde_json::json;

use super::world::{INTROSPECTION, JWT, ROUTES, World, ask, bearer};

#[tokio::test]
async fn a_write_ends_the_answers_of_its_group_for_all_of_the_tenant() {
    let world = World::start(&format!("{JWT}{ROUTES}")).await;
    let (ann, ben) = (bearer("ann", "acme", &json!({})), bearer("ben", "acme", &json!({})));
    for user in [&ann, &ben] {
        for path in ["/field-mappings/7", "/field-mappings/8"] {
            assert_eq!(world.get(path, &[("authorization", user)]).await.cache(), "MISS");
        }
    }
    let written = world.post("/field-mappings/7/bulk-approve", &[("authorization", &ann)]).await;
    let position = written.header("unstale-position");
    assert!(written.status == 200 && !position.is_empty(), "{written:?}");
    for user in [&ann, &ben] {
        let seen = world.get("/field-mappings/7", &[("authorization", user), ("unstale-position", position)]).await;
        assert_eq!((seen.cache(), &seen.json()["version"]), ("MISS", &json!(1)), "{seen:?}");
        assert_eq!(world.get("/field-mappings/8", &[("authorization", user)]).await.cache(), "HIT");
    }
}

#[tokio::test]
async fn another_tenants_write_ends_nothing_here() {
    let world = World::start(&format!("{JWT}{ROUTES}")).await;
    let (ann, cid) = (bearer("ann", "acme", &json!({})), bearer("cid", "globex", &json!({})));
    world.get("/field-mappings/7", &[("authorization", &ann)]).await;
    assert_eq!(world.post("/field-mappings/7/bulk-approve", &[("authorization", &cid)]).await.status, 200);
    assert_eq!(world.get("/field-mappings/7", &[("authorization", &ann)]).await.cache(), "HIT");
}

#[tokio::test]
async fn a_write_that_nobody_would_be_told_of_waits() {
    let world = World::start(&format!("{INTROSPECTION}{ROUTES}")).await;
    world.backend.sign_in("one", "ann", "acme");
    world.backend.break_down();
    let refused = world.post("/open/7/touch", &[("authorization", "Bearer one")]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{refused:?}");
    // Reading is never refused for it: the backend decides.
    let read = world.get("/field-mappings/7", &[("authorization", "Bearer one")]).await;
    assert_eq!((read.status, read.cache(), &read.json()["version"]), (200, "BYPASS", &json!(0)));
}

#[tokio::test]
async fn a_write_waits_wherever_answers_of_its_url_are_kept() {
    let world = World::start(&format!("{INTROSPECTION}{ROUTES}")).await;
    world.backend.sign_in("one", "ann", "acme");
    world.backend.break_down();
    let one = [("authorization", "Bearer one")];
    // The second has a route for reads alone: the write would go to the fallback.
    for path in ["/shared/x", "/field-mappings/7"] {
        let refused = world.post(path, &one).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{refused:?}");
    }
    // Whose answers are everybody's, is known; and where nothing is kept, nothing is left wrong.
    assert_eq!(world.post("/public/x", &one).await.status, 405);
    assert_eq!(world.post("/upload", &one).await.status, 200);
}

/// Which tenant it is, only the way says that does not answer: another one would be told of it, and theirs not.
#[tokio::test]
async fn a_write_waits_where_the_rule_may_name_another_tenant_than_its_sender() {
    let world = World::start(&format!("[tenant]\nfixed = \"acme\"\n{INTROSPECTION}{ROUTES}")).await;
    world.backend.sign_in("one", "cid", "globex");
    world.backend.break_down();
    let refused = world.post("/open/7/touch", &[("authorization", "Bearer one")]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{refused:?}");
    // Who says nothing of themselves is of no other tenant.
    assert_eq!(world.post("/open/7/touch", &[]).await.status, 200);
}

#[tokio::test]
async fn a_read_that_may_be_taken_for_a_write_waits_as_one() {
    let world = World::start(&format!("{INTROSPECTION}{ROUTES}")).await;
    world.backend.sign_in("one", "ann", "acme");
    world.backend.break_down();
    for path in ["/open/7/touch", "/field-mappings/7"] {
        let sent = [("authorization", "Bearer one"), ("x-http-method-override", "DELETE")];
        assert_eq!(world.get(path, &sent).await.status, 503, "{path}");
    }
}

#[tokio::test]
async fn a_safe_method_is_no_write() {
    let world = World::start(&format!("{INTROSPECTION}{ROUTES}")).await;
    world.backend.break_down();
    let asked = ask(world.addr, "OPTIONS", "/open/7/touch", &[("authorization", "Bearer one")], "").await;
    assert_eq!(asked.status, 405, "{asked:?}");
    assert!(world.metrics().await.contains("gateway_writes_untold_total 0"), "{}", world.metrics().await);
}

#[tokio::test]
async fn a_write_of_somebody_unknown_concerns_the_tenant_of_the_rule() {
    let identity = JWT.replace("tenant = \"org\"\n", "");
    let world = World::start(&format!("[tenant]\nfixed = \"acme\"\n{identity}{ROUTES}")).await;
    let ann = bearer("ann", "acme", &json!({}));
    world.get("/field-mappings/7", &[("authorization", &ann)]).await;
    let written = world.post("/open/7/touch", &[]).await;
    assert!(written.status == 200 && !written.header("unstale-position").is_empty(), "{written:?}");
    let seen = world.get("/field-mappings/7", &[("authorization", &ann)]).await;
    assert_eq!((seen.cache(), &seen.json()["version"]), ("MISS", &json!(1)));
}
