//! Responses that are the answer for more than one query, by their service's word (`No-Vary-Search`).

use http::request;
use unstale_http::{OriginLifetime, RoutePolicies, RoutePolicy, Sharing};

use crate::world::{Answer, World, get, request, user, with};

/// A service that echoes the query, and says what matters of it as `said` says of each.
async fn world(sharing: Sharing, said: fn(&str) -> &'static str) -> World {
    let policy = RoutePolicy::origin("page", OriginLifetime::default()).sharing(sharing);
    let routes = RoutePolicies::builder().route("/a", policy.clone()).route("/b", policy).build().unwrap();
    World::new(routes, move |head| {
        let answer = answer(&head, said);
        Box::pin(async move { answer })
    })
    .await
}

fn answer(head: &request::Parts, said: fn(&str) -> &'static str) -> Answer {
    let query = head.uri.query().unwrap_or_default();
    let who = head.extensions.get::<unstale_http::Identity>().map_or("nobody", |identity| identity.principal());
    let headers = [("cache-control", "max-age=60"), ("no-vary-search", said(query))];
    let count = if said(query).is_empty() { 1 } else { 2 };
    with(200, &headers[..count], &format!("{} {query} {who}", head.uri.path()))
}

fn utm(_: &str) -> &'static str {
    "params=(\"utm\")"
}

#[tokio::test]
async fn what_differs_in_what_does_not_matter_alone_is_one_response() {
    let world = world(Sharing::PerPrincipal, utm).await;
    let ann = user("acme", "ann");
    assert_eq!(world.get(&ann, "/a?x=1&utm=1").await.body, "/a x=1&utm=1 ann");
    // From here on it is known what the path says.
    assert_eq!(world.get(&ann, "/a?x=1&utm=2").await.body, "/a x=1&utm=2 ann");
    for query in ["x=1&utm=3", "x=1", "utm=4&x=1", "%78=1&utm=%41", "x=1&utm=1"] {
        let got = world.get(&ann, &format!("/a?{query}")).await;
        assert_eq!((got.x_cache(), got.body.as_str()), ("HIT", "/a x=1&utm=2 ann"), "{query}");
        assert_eq!(got.header("no-vary-search"), "params=(\"utm\")");
    }
    for query in ["x=2&utm=2", "x=1&X=1", "utm=2"] {
        let got = world.get(&ann, &format!("/a?{query}")).await;
        assert_eq!(got.body, format!("/a {query} ann"), "{query}");
    }
    assert_eq!(world.get(&ann, "/a").await.body, "/a utm=2 ann", "no query is an empty one");
    let calls = world.calls();
    assert_eq!(world.get(&ann, "/b?x=1&utm=3").await.body, "/b x=1&utm=3 ann");
    assert_eq!(world.calls(), calls + 1);
}

#[tokio::test]
async fn no_principal_tenant_or_host_is_given_anothers() {
    for (sharing, shares) in [(Sharing::PerPrincipal, false), (Sharing::Tenant, true)] {
        let world = world(sharing, utm).await;
        let (ann, ben, cid) = (user("acme", "ann"), user("acme", "ben"), user("globex", "cid"));
        world.get(&ann, "/a?utm=1").await;
        assert_eq!(world.get(&ann, "/a?utm=2").await.x_cache(), "MISS");
        assert_eq!(world.get(&ann, "/a?utm=3").await.x_cache(), "HIT");
        let of_ben = world.get(&ben, "/a?utm=3").await;
        assert_eq!(of_ben.x_cache(), if shares { "HIT" } else { "MISS" }, "{of_ben:?}");
        assert!(shares || of_ben.body.ends_with("ben"), "{of_ben:?}");
        let of_cid = world.get(&cid, "/a?utm=3").await;
        assert_eq!((of_cid.x_cache(), of_cid.body.as_str()), ("MISS", "/a utm=3 cid"));
        let elsewhere = world.send(get(&ann, "/a?utm=3", &[("host", "other.test")])).await;
        assert_eq!(elsewhere.x_cache(), "MISS", "{elsewhere:?}");
        let nobody = world.send(request("GET", None, "/a?utm=3", &[])).await;
        assert_eq!(nobody.x_cache(), "BYPASS", "{nobody:?}");
    }
}

/// What one response says of queries holds for it alone: one beside it that says nothing, or something else, is given for
/// its own query and no other.
#[tokio::test]
async fn each_response_is_judged_by_its_own_word() {
    let world = world(Sharing::PerPrincipal, |query| match query {
        query if query.starts_with("silent") => "",
        query if query.starts_with("other") => "params, except=(\"other\")",
        _ => "params=(\"utm\" \"silent\" \"other\")",
    })
    .await;
    let ann = user("acme", "ann");
    for round in 0..3 {
        for query in ["utm=1", "silent=1", "silent=2", "other=1", "other=2", "utm=2", "silent=1&utm=1"] {
            let got = world.get(&ann, &format!("/a?{query}")).await;
            let path = format!("/a {query} ann");
            let is_of_utm = query.starts_with("utm") && got.body.starts_with("/a utm=");
            assert!(got.body == path || is_of_utm, "{round} {query}: {got:?}");
        }
    }
    // And they are kept all the same.
    assert_eq!(world.get(&ann, "/a?silent=1").await.x_cache(), "HIT");
    assert_eq!(world.get(&ann, "/a?silent=2").await.x_cache(), "HIT");
}

/// A write to any of the queries ends the one response.
#[tokio::test]
async fn a_write_to_one_query_ends_what_is_the_answer_for_it() {
    for query in ["utm=1", "utm=2", "utm=9", "y=1"] {
        let world = world(Sharing::PerPrincipal, utm).await;
        let ann = user("acme", "ann");
        for utm in 1..3 {
            world.get(&ann, &format!("/a?utm={utm}")).await;
        }
        assert_eq!(world.get(&ann, "/a?utm=7").await.x_cache(), "HIT");
        world.send(request("POST", Some(&ann), &format!("/a?{query}"), &[])).await;
        assert_eq!(world.get(&ann, "/a?utm=7").await.x_cache(), "MISS", "{query}");
    }
}

#[tokio::test]
async fn a_route_may_pass_over_what_the_service_says() {
    let lifetime = OriginLifetime { reads_no_vary_search: false, ..OriginLifetime::default() };
    let routes = RoutePolicies::builder().route("/a", RoutePolicy::origin("page", lifetime)).build().unwrap();
    let world = World::new(routes, |head| {
        let answer = answer(&head, utm);
        Box::pin(async move { answer })
    })
    .await;
    let ann = user("acme", "ann");
    for query in ["utm=1", "utm=2", "utm=3"] {
        assert_eq!(world.get(&ann, &format!("/a?{query}")).await.body, format!("/a {query} ann"));
    }
}

/// What varies by a header as well is told apart by both.
#[tokio::test]
async fn variants_and_queries_are_told_apart_together() {
    let routes =
        RoutePolicies::builder().route("/a", RoutePolicy::origin("page", OriginLifetime::default())).build().unwrap();
    let world = World::new(routes, |head| {
        let lang = head.headers.get("accept-language").map_or("-", |value| value.to_str().unwrap()).to_owned();
        let headers = [("cache-control", "max-age=60"), ("no-vary-search", utm("")), ("vary", "accept-language")];
        let answer = with(200, &headers, &format!("{} {lang}", head.uri.query().unwrap_or_default()));
        Box::pin(async move { answer })
    })
    .await;
    let ann = user("acme", "ann");
    let ask = async |query: &str, lang: &str| {
        let got = world.get_with(&ann, &format!("/a?{query}"), &[("accept-language", lang)]).await;
        (got.x_cache().to_owned(), got.body)
    };
    ask("utm=0", "de").await;
    let is = |cache: &str, body: &str| (cache.to_owned(), body.to_owned());
    assert_eq!(ask("utm=1", "de").await, is("MISS", "utm=1 de"));
    assert_eq!(ask("utm=2", "en").await, is("MISS", "utm=2 en"));
    assert_eq!(ask("utm=3", "de").await, is("HIT", "utm=1 de"));
    assert_eq!(ask("utm=4", "en").await, is("HIT", "utm=2 en"));
}
