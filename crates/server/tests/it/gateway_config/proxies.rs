//! What a request says of the way that it has come: believed from proxies that are named, and from nobody else.

use serde_json::json;

use super::world::{Backend, JWT, World, bearer};

/// Fields by which some server somewhere learns another client or URL.
const TOLD: [&str; 20] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-client-cert",
    "x-forwarded",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-cluster-client-ip",
    "fastly-client-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-host",
    "front-end-https",
    "client-cert",
];

fn routes() -> String {
    let route = |path: &str, sharing: &str, cache: &str| {
        format!("[[routes]]\npath = \"{path}\"\nupstream = \"api\"\nsharing = \"{sharing}\"\ncache = {cache}\n")
    };
    let origin = "{ lifetime = \"origin\" }";
    [
        route("/echo/own/*", "principal", "{ ttl = \"5m\" }"),
        route("/echo/public/*", "public", "{ ttl = \"5m\" }"),
        route("/echo/origin/*", "principal", origin),
        route("/echo/tenant/*", "tenant", "{ ttl = \"5m\" }"),
        route("/echo/origin-public/*", "public", origin),
        route("/echo/origin-tenant/*", "tenant", origin),
        route("/search/{name}", "principal", origin),
    ]
    .concat()
}

#[tokio::test]
async fn what_a_stranger_says_reaches_nobody_and_makes_no_entry() {
    let world = World::start(&format!("{JWT}{}", routes())).await;
    let ann = bearer("ann", "acme", &json!({}));
    for (number, name) in TOLD.into_iter().enumerate() {
        for kind in ["own", "public", "origin"] {
            let path = format!("/echo/{kind}/{number}");
            let told = world.get(&path, &[("authorization", &ann), (name, "evil.test")]).await;
            assert!(told.status == 200 && !format!("{told:?}").contains("evil"), "{name} {kind}: {told:?}");
            let plain = world.get(&path, &[("authorization", &ann)]).await;
            assert_eq!(plain.cache(), "HIT", "{name} {kind}: {plain:?}");
        }
        // Passed on without a route, or to write: the same.
        let passed = world.get(&format!("/echo/passed/{number}"), &[(name, "evil.test")]).await;
        assert!(passed.cache() == "BYPASS" && !passed.body.contains("evil"), "{name}: {passed:?}");
        let written = world.post(&format!("/echo/own/{number}"), &[("authorization", &ann), (name, "evil")]).await;
        assert!(written.status == 200 && !written.body.contains("evil"), "{name}: {written:?}");
    }
    // What the backend is told instead is this gateway's own word.
    let got = world.get("/echo/own/x", &[("authorization", &ann), ("x-forwarded-for", "192.0.2.1")]).await;
    assert!(
        got.body.contains("x-forwarded-for=127.0.0.1") && got.body.contains("x-forwarded-host=app.test"),
        "{got:?}"
    );
}

#[tokio::test]
async fn what_a_trusted_proxy_says_reaches_the_backend_and_counts() {
    let trusting = format!("trusted_proxies = [\"192.0.2.7\", \"127.0.0.0/8\"]\n{JWT}{}", routes());
    let world = World::start_listening(&trusting).await;
    let ann = bearer("ann", "acme", &json!({}));
    for kind in ["own", "public", "origin"] {
        let path = format!("/echo/{kind}/1");
        for host in ["one.test", "two.test"] {
            let told = [("authorization", ann.as_str()), ("x-forwarded-host", host), ("x-forwarded-proto", "https")];
            let first = world.get(&path, &told).await;
            assert_eq!(first.cache(), "MISS", "{kind} {first:?}");
            let second = world.get(&path, &told).await;
            let body = &second.body;
            assert!(second.cache() == "HIT" && body.contains(&format!("x-forwarded-host={host}")), "{kind}: {body}");
            assert!(body.contains("x-forwarded-proto=https"), "{kind}: {body}");
        }
    }
    let chain = [("authorization", ann.as_str()), ("x-forwarded-for", "192.0.2.1")];
    let got = world.get("/echo/own/2", &chain).await;
    assert!(got.body.contains("x-forwarded-for=192.0.2.1, 127.0.0.1"), "{got:?}");
}

/// Names that servers which hand headers on as variables take for one with `-` instead.
const TWINS: [&str; 6] =
    ["x_forwarded_for", "X_User", "x-forwarded_host", "x.forwarded.for", "x_http_method_override", "x~user"];

fn behind_a_proxy(from: &str) -> String {
    let identity =
        "[[identity]]\nname = \"proxy\"\n[identity.trusted_header]\nprincipal = \"x-user\"\ntenant = \"x-tenant\"\n";
    format!("{identity}from = [\"{from}\"]\n{}", routes())
}

#[tokio::test]
async fn what_a_server_may_take_for_another_header_does_not_reach_it() {
    let world = World::start(&behind_a_proxy("127.0.0.0/8")).await;
    for (number, name) in TWINS.into_iter().enumerate() {
        let headers = [("x-user", "ann"), ("x-tenant", "acme"), ("x-other", "1"), (name, "evil")];
        for kind in ["own", "public", "tenant", "origin", "passed"] {
            let path = format!("/echo/{kind}/{number}");
            for got in [world.get(&path, &headers).await, world.post(&path, &headers).await] {
                assert!(got.status == 200 && got.body.contains("x-other=1"), "{name} {kind}: {got:?}");
                assert!(!got.body.contains("evil"), "{name} {kind}: {got:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_upstream_may_take_headers_of_any_name() {
    let (backend, upstream) = Backend::start().await;
    let more = format!(
        "[upstreams.any]\nservers = [\"http://{upstream}\"]\nany_header_name = true\n\
         [[routes]]\npath = \"/echo/any/*\"\nupstream = \"any\"\n"
    );
    let world = World::before(backend, upstream, &more).await;
    for name in TWINS {
        let got = world.get("/echo/any/1", &[(name, "mine")]).await;
        assert!(got.body.contains(&format!("{}=mine", name.to_ascii_lowercase())), "{name}: {got:?}");
    }
}

/// What is kept for others must not be made for the address of who asks first: a backend that answers by it would give that
/// to all.
#[tokio::test]
async fn what_is_shared_is_made_for_no_address() {
    let world = World::start(&format!("{JWT}{}", routes())).await;
    let ann = bearer("ann", "acme", &json!({}));
    let with = |more: &'static [(&'static str, &'static str)]| [&[("authorization", ann.as_str())], more].concat();
    for kind in ["public", "tenant", "origin-public", "origin-tenant"] {
        let path = format!("/echo/{kind}/1");
        let got = world.get(&path, &with(&[])).await;
        assert_eq!(got.cache(), "MISS");
        assert!(!got.body.contains("127.0.0.1") && got.body.contains("forwarded=for=unknown;"), "{kind}: {got:?}");
        // What is passed on is for its sender alone.
        let passed = world.get(&path, &with(&[("cache-control", "no-store")])).await;
        assert!(passed.body.contains("x-forwarded-for=127.0.0.1"), "{kind}: {passed:?}");
        let written = world.post(&path, &with(&[])).await;
        assert!(written.body.contains("x-forwarded-for=127.0.0.1"), "{kind}: {written:?}");
    }
    let own = world.get("/echo/own/1", &with(&[])).await;
    assert!(own.body.contains("x-forwarded-for=127.0.0.1"), "{own:?}");
}

#[tokio::test]
async fn whom_the_file_trusts_may_change_while_it_runs() {
    let route =
        "[[routes]]\npath = \"/echo/public/*\"\nupstream = \"api\"\nsharing = \"public\"\ncache = { ttl = \"5m\" }\n";
    let world = World::start_listening(&format!("trusted_proxies = [\"127.0.0.1\"]\n{route}")).await;
    let told = [("x-forwarded-host", "told.test")];
    assert!(world.get("/echo/public/1", &told).await.body.contains("told.test"));
    world.rewrite(route);
    world.until_metrics("gateway_config_reloads_total{outcome=\"applied\"} 1").await;
    assert!(!world.get("/echo/public/2", &told).await.body.contains("told.test"));
}

/// `No-Vary-Search` through the whole gateway: one answer for what differs in what does not matter, for its principal alone.
#[tokio::test]
async fn the_backend_says_what_of_a_query_matters() {
    let world = World::start(&format!("{JWT}{}", routes())).await;
    let asks = async |user: &str, tenant: &str, query: &str| {
        let token = bearer(user, tenant, &json!({}));
        let got = world.get(&format!("/search/x?{query}"), &[("authorization", &token)]).await;
        (got.cache().to_owned(), got.json()["calls"].as_u64().unwrap())
    };
    assert_eq!(asks("ann", "acme", "q=1&utm=1").await, ("MISS".to_owned(), 1));
    assert_eq!(asks("ann", "acme", "q=1&utm=2").await, ("MISS".to_owned(), 2));
    assert_eq!(asks("ann", "acme", "q=1&utm=3&ref=x").await, ("HIT".to_owned(), 2));
    assert_eq!(asks("ann", "acme", "q=2").await, ("MISS".to_owned(), 3));
    assert_eq!(asks("ben", "acme", "q=1&utm=3").await, ("MISS".to_owned(), 4));
    assert_eq!(asks("ann", "globex", "q=1&utm=3").await, ("MISS".to_owned(), 5));
    assert_eq!(asks("ann", "acme", "utm=9&q=1").await, ("HIT".to_owned(), 2));
}

/// Variants of one URL: their number is limited, whoever makes them up, and by whatever header or cookie.
#[tokio::test]
async fn no_url_has_variants_without_end() {
    let cache = "[cache]\nvariants_max = 8\nvary_on = [\"x-theme\"]\n[credentials]\ncookies = []\n";
    let world = World::start(&format!("{cache}{JWT}{}", routes())).await;
    let ann = bearer("ann", "acme", &json!({}));
    let entries = async || {
        let authorization = format!("Bearer {}", super::world::CONTROL_TOKEN);
        let headers = [("authorization", authorization.as_str())];
        let status = super::world::ask(world.control, "GET", "/v1/status", &headers, "").await;
        status.json()["cache"]["entries"].as_u64().unwrap()
    };
    for (kind, name) in [("own", "x-theme"), ("public", "x-theme"), ("own", "cookie")] {
        let before = entries().await;
        for number in 0..100 {
            let value = format!("a={number}");
            let got = world.get(&format!("/echo/{kind}/{name}"), &[("authorization", &ann), (name, &value)]).await;
            assert_eq!(got.status, 200);
            let used = world.get(&format!("/echo/{kind}/{name}"), &[("authorization", &ann), (name, "a=0")]).await;
            assert_eq!(used.cache(), "HIT", "{kind} {name} {number}: {used:?}");
        }
        let made = entries().await - before;
        assert!(made <= 9, "{kind} {name}: {made} entries");
    }
}
