//! Every documented read: loaded once, then answered from the cache, then not sent at all.

use axum::http::Method;

use super::world::{ADMIN, ANALYST, Ids, World, operations};

#[tokio::test]
async fn every_read_is_a_miss_then_a_hit_then_unchanged() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    // Somebody else looks the ids up, so that the admin's own answers are not there yet.
    let ids = Ids { user: admin.id.clone(), ..world.sign_in(ANALYST).await.ids().await };
    let mut checked = 0;
    for (method, path) in operations() {
        // What is in the audit trail is kept nowhere else, nor what is said of the cache itself.
        if method != Method::GET || path.contains("/admin/audit") || path.ends_with("/cache-report") {
            continue;
        }
        let mut path = ids.fill(&path);
        if path == "/context-establishment/engagements" {
            path.extend(["?client_id=", &ids.client]);
        }
        // What all of a client share may have been loaded while the ids were looked up.
        let first = admin.get(&path).await.expect(200);
        let is_shared = first.is_hit();
        assert!(is_shared || first.header("x-cache") == "MISS", "{path}: {:?}", first.headers);
        assert!(first.header("cache-status").contains(if is_shared { "hit" } else { "stored" }), "{path}: {first:?}");
        let second = admin.get(&path).await.expect(200);
        assert_eq!((second.header("x-cache"), &second.body), ("HIT", &first.body), "{path}");
        for name in ["etag", "cache-control", "x-cache-hits", "x-cache-misses", "server-timing", "cache-groups", "vary"]
        {
            assert_ne!(second.header(name), "", "{path} lacks {name}");
        }
        assert_eq!(second.header("cache-control"), "private, no-cache", "{path}");
        assert!(second.header("vary").contains("x-client-account-id"), "{path}");
        let etag = second.header("etag").to_owned();
        assert!(etag.starts_with('"'), "{path}: {etag} is not strong");
        let third = admin.get_with(&path, &[("if-none-match", &etag)]).await.expect(304);
        assert_eq!((third.header("etag"), third.body.is_null()), (etag.as_str(), true), "{path}");
        checked += 1;
    }
    assert!(checked >= 28, "only {checked} reads are documented");
}
