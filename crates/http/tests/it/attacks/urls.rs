//! URLs that cache and service may read in different ways.

use super::{Attack, evil, hold, victim};

#[tokio::test]
async fn a_host_is_one_host() {
    hold(&[
        Attack("another host", &[], &[evil("/x/1", &[("host", "evil.test")]), victim("/x/1", &[("host", "a.test")])]),
        Attack(
            "two hosts",
            &[],
            &[
                evil("/x/1", &[("host", "a.test"), ("host", "evil.test")]),
                evil("/x/1", &[("host", "evil.test"), ("host", "a.test")]),
                victim("/x/1", &[("host", "a.test")]),
            ],
        ),
        Attack(
            "a whole URL that says another host than Host",
            &[],
            &[
                evil("http://a.test/x/1", &[("host", "evil.test")]),
                evil("http://a.test/x/1", &[("host", "a.test"), ("host", "evil.test")]),
                victim("/x/1", &[("host", "a.test")]),
            ],
        ),
        Attack(
            "case, port and trailing dot",
            &[],
            &[
                evil("/x/1", &[("host", "A.test:80"), ("x-forwarded-host", "evil")]),
                evil("/x/1", &[("host", "a.test."), ("x-forwarded-host", "evil")]),
                evil("/x/1", &[("host", "a.test:evil")]),
                evil("http://evil@a.test/x/1", &[]),
                victim("/x/1", &[("host", "a.test")]),
                victim("/x/1", &[("host", "A.test:80")]),
            ],
        ),
        Attack(
            "a host that looks like a place in the cache",
            &[],
            &[
                evil("/x/1", &[("host", "a.test evil")]),
                evil("/x/1", &[("host", "a.test/%2Fx%2Fevil")]),
                victim("/x/1", &[("host", "a.test")]),
            ],
        ),
    ])
    .await;
}

/// The attacker lets the cache keep what the service makes of a path that another route covers; the victim asks for that
/// route. And the other way round: the victim is made to ask for their own things by a path that the cache takes for
/// something public (web cache deception).
#[tokio::test]
async fn a_path_is_one_path() {
    let ways = [
        "/x/../admin/me",
        "/x/%2e%2e/admin/me",
        "/x/%2E%2E%2fadmin%2fme",
        "/x/..%2fadmin/me",
        "/x/%252e%252e/admin/me",
        "/x/..\\admin\\me",
        "/x/..%5cadmin/me",
        "//x/admin/me",
        "/x//admin/me",
        "/x/;/../admin/me",
        "/x/me;a.css",
        "/x/me;jsessionid=1",
        "/x/me%3b.css",
        "/x/me%00.css",
        "/x/me%0a.css",
        "/x/me%23.css",
        "/x/me%3f.css",
        "/x/%6de",
        "/x/./me",
        "/x/me/.",
        "/x/me/..",
    ];
    for way in ways {
        let as_victim: &'static str = way;
        let evil_way: &'static str = String::leak(format!("{way}?evil"));
        hold(&[Attack(
            "a path that may be another",
            &[],
            Vec::leak(vec![
                victim(as_victim, &[("authorization", "Bearer victim"), ("cookie", "a=victim")]),
                evil(as_victim, &[]),
                evil(evil_way, &[]),
                victim("/x/me", &[]),
                victim("/admin/me", &[]),
            ]),
        )])
        .await;
    }
}

#[tokio::test]
async fn a_path_that_may_be_another_is_never_kept() {
    use unstale_http::{RoutePolicies, RoutePolicy, Sharing};

    use crate::world::{World, minute, request, user, with};

    let shared = RoutePolicy::cached("x", minute()).sharing(Sharing::Public);
    let routes = RoutePolicies::builder().route("/x/*", shared).build().unwrap();
    let world = World::new(routes, |head| {
        let who = head.headers.get("cookie").map_or("nobody".into(), |who| who.to_str().unwrap().to_owned());
        Box::pin(async move { with(200, &[], &who) })
    })
    .await;
    for way in ["/x/..%2fme", "/x/me;a.css", "/x/me%00.css", "/x/%2e%2e/me", "/x/a\\..\\..\\me", "/x//me.css"] {
        let victim = user("acme", "victim");
        let got = world.send(request("GET", Some(&victim), way, &[("cookie", "victim")])).await;
        assert_eq!((got.body.as_str(), got.x_cache()), ("victim", "BYPASS"), "{way}");
        assert_eq!(got.header("cache-control"), "private, no-cache", "{way}");
        let got = world.send(request("GET", None, way, &[])).await;
        assert_eq!(got.body, "nobody", "{way}");
    }
    assert_eq!(world.cache.size().entries, 0);
    // Web cache deception by a path that nothing is ambiguous in: what is public was asked for by nobody.
    let victim = user("acme", "victim");
    let got = world.send(request("GET", Some(&victim), "/x/me/style.css", &[("cookie", "victim")])).await;
    assert_eq!(got.body, "nobody");
}

#[tokio::test]
async fn a_query_is_one_query() {
    hold(&[
        Attack(
            "a parameter that does not count, and another hidden in it",
            &[],
            &[
                evil("/only/1?page=1&utm_content=x;page=evil", &[]),
                evil("/only/1?page=1;page=evil", &[]),
                evil("/only/1?utm_x=1%26page=evil&page=1", &[]),
                evil("/only/1?page=1&utm_x=evil", &[]),
                evil("/only/1?page=1&utm_x%3Devil", &[]),
                evil("/only/1?page=1&page%00=evil", &[]),
                evil("/only/1?page=1&%70age=evil", &[]),
                evil("/only/1?page=1&PAGE=evil", &[]),
                evil("/only/1?page=1#&page=evil", &[]),
                evil("/only/1?page=1?page=evil", &[]),
                victim("/only/1?page=1", &[]),
            ],
        ),
        Attack(
            "twice the same parameter",
            &[],
            &[
                evil("/x/1?a=1&a=evil", &[]),
                evil("/x/1?a=evil&a=1", &[]),
                evil("/x/1?a=1&%61=evil", &[]),
                victim("/x/1?a=1", &[]),
            ],
        ),
        Attack(
            "another separator",
            &[],
            &[evil("/x/1?a=1;evil", &[]), evil("/x/1?a=1%3Bevil", &[]), victim("/x/1?a=1", &[])],
        ),
        Attack(
            "an escaped separator",
            &[],
            &[evil("/x/1?a=1%26b=evil", &[]), evil("/x/1?a%3Devil", &[]), victim("/x/1?a=1", &[])],
        ),
        Attack("no query and an empty one", &[], &[evil("/x/1?evil", &[]), victim("/x/1", &[]), victim("/x/1?", &[])]),
    ])
    .await;
}

/// Names that some servers take for one name: which of the values counts depends on their order.
#[tokio::test]
async fn parameters_that_a_server_may_take_for_one_keep_their_order() {
    use unstale_http::{RoutePolicies, RoutePolicy, Sharing};

    use crate::world::{World, minute, ok, user};

    let shared = RoutePolicy::cached("x", minute()).sharing(Sharing::Tenant);
    let routes = RoutePolicies::builder().route("/x", shared).build().unwrap();
    let world = World::new(routes, |head| Box::pin(async move { ok(head.uri.to_string()) })).await;
    for (one, other) in [
        ("a=1&a[b]=2", "a[b]=2&a=1"),
        ("a=1&A=2", "A=2&a=1"),
        ("a.b=1&a_b=2", "a_b=2&a.b=1"),
        ("a%20b=1&a_b=2", "a_b=2&a%20b=1"),
        ("a%5B%5D=1&a[]=2", "a[]=2&a%5B%5D=1"),
        ("+a=1&a=2", "a=2&+a=1"),
    ] {
        for query in [one, other] {
            let url = format!("/x?{query}");
            assert_eq!(world.get(&user("acme", "victim"), &url).await.body, url);
        }
    }
}
