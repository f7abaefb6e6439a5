//! Verifying over real sockets: what ends an identity, whom a header is believed from, and that no token is told.

use std::sync::{Arc, Mutex};

use serde_json::json;
use unstale::testing::Folder;

use super::world::{Backend, INTROSPECTION, JWT, ROUTES, World, ask, bearer};

#[tokio::test]
async fn a_session_that_is_declared_wrong_is_asked_for_again_at_once() {
    let world = World::start(&format!("{INTROSPECTION}{ROUTES}")).await;
    world.backend.sign_in("one", "ann", "acme");
    let (path, one) = ("/shared/x", [("authorization", "Bearer one")]);
    assert_eq!(world.get(path, &one).await.cache(), "MISS");
    world.backend.sign_out("one");
    // Within the bound nobody has told: the answer of the introspection still stands.
    assert_eq!(world.get(path, &one).await.cache(), "HIT");
    let told = world.call("/v1/invalidate", &json!({"tenant": "acme", "sessions": ["session-of-ann"]})).await;
    assert_eq!(told.status, 200, "{told:?}");
    let refused = world.get(path, &one).await;
    assert_eq!((refused.status, refused.cache()), (401, "BYPASS"), "{refused:?}");
}

#[tokio::test]
async fn who_somebody_is_at_one_host_says_nothing_of_another() {
    let by_host = INTROSPECTION.replace("tenant = \"client.id\"\n", "");
    let by_host = format!("[tenant]\nhosts = {{ \"a.example\" = \"acme\", \"b.example\" = \"globex\" }}\n{by_host}");
    for identity in [by_host.as_str(), INTROSPECTION] {
        let world = World::start(&format!("{identity}{ROUTES}")).await;
        world.backend.sign_in_at("a.example", "one", "ann", "acme");
        world.backend.sign_in_at("b.example", "two", "bob", "globex");
        let (ann, bob) = (("authorization", "Bearer one"), ("authorization", "Bearer two"));
        assert_eq!(world.get("/shared/x", &[("host", "b.example"), bob]).await.json()["client"], "globex");
        assert_eq!(world.get("/shared/x", &[("host", "a.example"), ann]).await.json()["client"], "acme");
        // The backend knows her at the other host alone, and is asked: once for each way of writing the host.
        for host in ["b.example", "B.example"] {
            let refused = world.get("/shared/x", &[("host", host), ann]).await;
            assert_eq!((refused.status, refused.cache()), (401, "BYPASS"), "{refused:?}");
        }
        assert_eq!(world.backend.calls("/me"), 4);
        assert_eq!(world.get("/shared/x", &[("host", "a.example"), ann]).await.cache(), "HIT");
    }
}

#[tokio::test]
async fn a_change_of_a_principal_ends_what_was_kept_for_them_alone() {
    let world = World::start(&format!("{JWT}{ROUTES}")).await;
    let (ann, ben) = (bearer("ann", "acme", &json!({})), bearer("ben", "acme", &json!({})));
    for user in [&ann, &ben] {
        world.get("/field-mappings/7", &[("authorization", user)]).await;
    }
    assert_eq!(world.call("/v1/invalidate", &json!({"tenant": "acme", "principals": ["ann"]})).await.status, 200);
    assert_eq!(world.get("/field-mappings/7", &[("authorization", &ann)]).await.cache(), "MISS");
    assert_eq!(world.get("/field-mappings/7", &[("authorization", &ben)]).await.cache(), "HIT");
}

#[tokio::test]
async fn bad_credentials_can_be_refused_here() {
    let world =
        World::start(&format!("[credentials]\nbad = \"unauthorized\"\nnone = \"unauthorized\"\n{JWT}{ROUTES}")).await;
    for headers in [&[][..], &[("authorization", "Bearer nonsense")]] {
        let refused = world.get("/field-mappings/7", headers).await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"), "{refused:?}");
        assert_eq!(world.get("/public/x", headers).await.status, 200);
    }
    assert_eq!(world.backend.calls("/field-mappings/7"), 0);
}

#[tokio::test]
async fn a_proxys_header_is_believed_from_the_proxy_alone() {
    let identity = |from: &str, others: &str| {
        format!(
            "[[identity]]\nname = \"proxy\"\n[identity.trusted_header]\nprincipal = \"x-user\"\ntenant = \"x-tenant\"\n\
             from = [\"{from}\"]\nfrom_others = \"{others}\"\n{ROUTES}"
        )
    };
    let ann = [("x-user", "ann"), ("x-tenant", "acme")];
    let trusting = World::start(&identity("127.0.0.0/8", "strip")).await;
    // The backend knows nobody here, so nothing can be kept; who it is was believed all the same.
    trusting.get("/field-mappings/7", &ann).await;
    assert!(trusting.metrics().await.contains("gateway_identities_total{outcome=\"known\"} 1"));
    let strange = World::start(&identity("192.0.2.0/24", "strip")).await;
    strange.get("/field-mappings/7", &ann).await;
    assert!(strange.metrics().await.contains("gateway_identities_total{outcome=\"anonymous\"} 1"));
    let strict = World::start(&identity("192.0.2.0/24", "refuse")).await;
    assert_eq!(strict.get("/field-mappings/7", &ann).await.status, 403);
    assert_eq!(strict.get("/public/x", &ann).await.status, 403);
    assert_eq!(strict.get("/public/x", &[]).await.status, 200);
}

/// A key of this name, and how it is published.
fn key_pair(kid: &str) -> (jsonwebtoken::EncodingKey, jsonwebtoken::jwk::Jwk) {
    unstale_server::token_crypto::install();
    let pair = rcgen::KeyPair::generate().unwrap();
    let key = jsonwebtoken::EncodingKey::from_ec_der(&pair.serialize_der());
    let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::ES256).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    (key, jwk)
}

/// Ann's token, signed with a key that it says has this name.
fn signed_by(key: &jsonwebtoken::EncodingKey, kid: &str) -> String {
    let mut head = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
    head.kid = Some(kid.to_owned());
    let claims = json!({"iss": "https://issuer", "aud": "api", "sub": "ann", "org": "acme", "exp": 9_999_999_999_u64});
    format!("Bearer {}", jsonwebtoken::encode(&head, &claims, key).unwrap())
}

#[tokio::test]
async fn the_keys_of_a_file_count_until_others_replace_them() {
    // The backend answers everybody here; what it answered is kept for who is known.
    const ROUTE: &str = "[[routes]]\npath = \"/public/{name}\"\nupstream = \"api\"\ncache = { ttl = \"5m\" }\n";
    let folder = Folder::new();
    let file = folder.path().join("keys.json");
    let ((old, old_jwk), (new, new_jwk)) = (key_pair("old"), key_pair("new"));
    std::fs::write(&file, json!({"keys": [old_jwk]}).to_string()).unwrap();
    let identity = JWT.replace("secret_env = \"SECRET\"", &format!("jwks_file = \"{}\"", file.display()));
    let world = World::start(&format!("{identity}{ROUTE}")).await;
    let asks = async |token: &str| world.get("/public/x", &[("authorization", token)]).await.cache().to_owned();
    let (old, new) = (signed_by(&old, "old"), signed_by(&new, "new"));
    assert_eq!((asks(&old).await, asks(&old).await), ("MISS".to_owned(), "HIT".to_owned()));
    assert_eq!(asks(&new).await, "BYPASS");
    std::fs::write(&file, json!({"keys": [new_jwk]}).to_string()).unwrap();
    world.until_metrics("gateway_config_reloads_total{outcome=\"applied\"} 1").await;
    // What was remembered of the old one ends with it. Whose the answers are has not changed.
    assert_eq!((asks(&old).await, asks(&new).await), ("BYPASS".to_owned(), "HIT".to_owned()));
}

#[tokio::test]
async fn keys_are_fetched_from_a_url_when_the_first_token_comes() {
    let (backend, upstream) = Backend::start().await;
    let identity = JWT.replace("secret_env = \"SECRET\"", &format!("jwks_url = \"http://{upstream}/jwks\""));
    let world = World::before(backend, upstream, &format!("{identity}{ROUTES}")).await;
    let (key, jwk) = key_pair("one");
    let published = json!({"keys": [jwk]}).to_string();
    world.backend.publish(&published);
    let token = |kid: &str| signed_by(&key, kid);
    world.get("/field-mappings/7", &[("authorization", &token("one"))]).await;
    assert!(world.metrics().await.contains("gateway_identities_total{outcome=\"known\"} 1"));
    // A token that is signed with what was published as if it were a secret.
    world.get("/field-mappings/7", &[("authorization", &bearer("ann", "acme", &json!({})))]).await;
    assert!(world.metrics().await.contains("gateway_identities_total{outcome=\"bad\"} 1"));
    // The URL was asked just now, and has nothing to say: whether this key was published since, nobody knows.
    world.backend.publish("");
    let two = [("authorization", &*token("two"))];
    assert_eq!(world.get("/field-mappings/7", &two).await.cache(), "BYPASS");
    assert!(world.metrics().await.contains("gateway_identities_total{outcome=\"no-keys\"} 1"));
    assert_eq!(world.post("/open/7/touch", &two).await.status, 503);
    // It is asked for this token, and does not have its key.
    world.backend.publish(&published);
    let other = World::before(world.backend.clone(), world.upstream, &format!("{identity}{ROUTES}")).await;
    other.get("/field-mappings/7", &two).await;
    assert!(other.metrics().await.contains("gateway_identities_total{outcome=\"bad\"} 1"));
}

#[tokio::test]
async fn a_preflight_is_the_backends_to_answer() {
    const ROUTE: &str = "[[routes]]\npath = \"/echo/{name}\"\nupstream = \"api\"\ncache = { ttl = \"5m\" }\n\
                         [[routes]]\npath = \"/echo/{name}/open\"\nupstream = \"api\"\nsharing = \"public\"\ncache = { ttl = \"5m\" }\n";
    let world = World::start(&format!("[credentials]\nnone = \"unauthorized\"\n{JWT}{ROUTE}")).await;
    let preflight = [("origin", "https://other.example"), ("access-control-request-method", "PUT")];
    for path in ["/echo/a", "/echo/a/open"] {
        let answer = ask(world.addr, "OPTIONS", path, &preflight, "").await;
        assert!(answer.status == 200 && answer.body.contains("method=OPTIONS"), "{answer:?}");
    }
    // What it is to allow is not let in by that, nor is a request that only looks a little like one.
    for (method, headers) in [("PUT", &preflight[..]), ("OPTIONS", &preflight[..1]), ("OPTIONS", &preflight[1..])] {
        assert_eq!(ask(world.addr, method, "/echo/a", headers, "").await.status, 401, "{method} {headers:?}");
    }
    let open = ask(world.addr, "OPTIONS", "/echo/a/open", &[], "").await;
    assert_eq!(open.status, 200, "{open:?}");
}

#[tokio::test]
async fn a_body_without_a_length_is_limited_too() {
    let world = World::start(ROUTES.split("[[routes]]").next().unwrap()).await;
    let chunk = format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(0x800));
    let headers = [("transfer-encoding", "chunked")];
    let answer = ask(world.addr, "PUT-CHUNKED", "/upload", &headers, &chunk).await;
    assert_eq!(answer.status, 413, "{answer:?}");
}

/// Collects every log line of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_token_is_told_anywhere() {
    const PLANTED: &str = "pl4nted-t0ken-0f-somebody";
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    // The test's runtime has one thread: everything that runs here is heard.
    let _heard = tracing::subscriber::set_default(subscriber);
    let world = World::start(&format!("{INTROSPECTION}{JWT}{ROUTES}")).await;
    world.backend.sign_in(PLANTED, "ann", "acme");
    let bearer = format!("Bearer {PLANTED}");
    let cookie = format!("session={PLANTED}");
    let mut told = Vec::new();
    for headers in [&[("authorization", bearer.as_str())][..], &[("cookie", &cookie)], &[("authorization", PLANTED)]] {
        for path in ["/field-mappings/7", "/shared/x", "/public/x", "/elsewhere"] {
            for _ in 0..2 {
                told.push(format!("{:?}", world.get(path, headers).await));
            }
            told.push(format!("{:?}", world.post("/open/7/touch", headers).await));
        }
    }
    world.backend.break_down();
    told.push(format!("{:?}", world.get("/shared/x", &[("authorization", &format!("{bearer}2"))]).await));
    told.push(format!("{:?}", world.call_as(PLANTED, "/v1/invalidate", &json!({"tenant": PLANTED})).await));
    let warm = json!({"urls": ["http://app.test/shared/x"], "headers": {"authorization": bearer}});
    told.push(format!("{:?}", world.call("/v1/warm", &warm).await));
    told.push(world.metrics().await);
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("introspection") || logged.contains("identity"), "nothing was heard: {logged}");
    for (at, text) in told.iter().chain([&logged]).enumerate() {
        assert!(!text.contains(PLANTED), "{at}: {text}");
    }
}
