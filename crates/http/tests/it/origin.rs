//! Routes whose lifetimes are the service's: what it says of time, validators, variants and parts is what happens.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::request;
use unstale_http::{Identity, OriginLifetime, RoutePolicies, RoutePolicy, Sharing};

use crate::world::{Answer, Got, World, request, tenant, with};

/// A service that answers each request with the next of a list, and notes what it was asked.
struct Script {
    world: World,
    asked: Arc<Mutex<Vec<request::Parts>>>,
}

/// Status, headers, body.
type Line = (u16, Vec<(&'static str, &'static str)>, &'static str);

impl Script {
    async fn new(lifetime: OriginLifetime, sharing: Sharing, answers: Vec<Line>) -> Self {
        let policy = RoutePolicy::origin("page", lifetime).sharing(sharing);
        let routes = RoutePolicies::builder().route("/a", policy.clone()).route("/b", policy).build().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let world = World::new(routes, {
            let asked = asked.clone();
            move |head| {
                asked.lock().unwrap().push(head);
                let next = answers.lock().unwrap().next();
                Box::pin(async move {
                    let (status, headers, body) = next.expect("the service was asked more often than foreseen");
                    if status == 0 { Answer::Err("gone") } else { with(status, &headers, body) }
                })
            }
        });
        Self { world: world.await, asked }
    }

    async fn public(answers: Vec<Line>) -> Self {
        Self::new(OriginLifetime::default(), Sharing::Public, answers).await
    }

    async fn send(&self, method: &str, headers: &[(&str, &str)]) -> Got {
        self.world.send(request(method, None, "/a", headers)).await
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Got {
        self.send("GET", headers).await
    }

    fn wait(&self, seconds: u64) {
        self.world.time.advance(Duration::from_secs(seconds));
    }

    fn calls(&self) -> usize {
        self.world.calls()
    }

    /// A header of the last request that reached the service.
    fn last(&self, name: &str) -> Option<String> {
        let asked = self.asked.lock().unwrap();
        asked.last()?.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    fn last_method(&self) -> String {
        self.asked.lock().unwrap().last().unwrap().method.to_string()
    }
}

fn line(control: &'static str, more: &[(&'static str, &'static str)], body: &'static str) -> Line {
    (200, [&[("cache-control", control)], more].concat(), body)
}

fn seen(got: &Got) -> (&str, u16, &str) {
    (got.x_cache(), got.status.as_u16(), &got.body)
}

#[tokio::test]
async fn what_the_service_says_is_passed_on_and_ages() {
    let script =
        Script::public(vec![line("max-age=60", &[("vary", "x")], "one"), line("max-age=60", &[], "two")]).await;
    let first = script.get(&[]).await;
    assert_eq!(seen(&first), ("MISS", 200, "one"));
    assert_eq!((first.header("cache-control"), first.header("vary"), first.header("age")), ("max-age=60", "x", ""));
    script.wait(59);
    let second = script.get(&[]).await;
    assert_eq!(seen(&second), ("HIT", 200, "one"));
    assert_eq!((second.header("cache-control"), second.header("age")), ("max-age=60", "59"));
    assert_eq!(second.header("cache-status"), "Unstale; hit; ttl=1");
    script.wait(1);
    let third = script.get(&[]).await;
    assert_eq!(seen(&third), ("MISS", 200, "two"));
    assert_eq!(third.header("cache-status"), "Unstale; fwd=miss; fwd-status=200; stored; detail=expired");
}

#[tokio::test]
async fn what_is_stale_is_validated_and_goes_on_with_what_the_service_said_then() {
    let fresh = [("etag", "W/\"v1\""), ("last-modified", "Fri, 20 Nov 2026 12:00:00 GMT"), ("x-a", "1"), ("x-b", "1")];
    let confirmed = (304, vec![("etag", "W/\"v1\""), ("cache-control", "max-age=5"), ("x-a", "2")], "");
    let script = Script::public(vec![line("max-age=2", &fresh, "body"), confirmed]).await;
    script.get(&[]).await;
    script.wait(2);
    let validated = script.get(&[("if-none-match", "\"mine\"")]).await;
    assert_eq!(script.last("if-none-match").as_deref(), Some("W/\"v1\""), "its own validator, not the client's");
    assert_eq!(script.last("if-modified-since").as_deref(), Some("Fri, 20 Nov 2026 12:00:00 GMT"));
    assert_eq!((validated.status.as_u16(), &*validated.body), (200, "body"));
    let told = "Unstale; fwd=stale; fwd-status=304; stored; detail=validated";
    assert_eq!((validated.header("cache-status"), validated.header("age")), (told, "0"));
    assert_eq!((validated.header("x-a"), validated.header("x-b")), ("2", "1"));
    script.wait(4);
    assert_eq!(seen(&script.get(&[]).await), ("HIT", 200, "body"));
    assert_eq!(script.get(&[("if-none-match", "\"v1\"")]).await.status.as_u16(), 304, "compared weakly");
    assert_eq!(script.calls(), 2);
}

#[tokio::test]
async fn what_must_not_be_shared_is_not() {
    for (headers, reason) in [
        (vec![("cache-control", "no-store, max-age=60")], "origin-no-store"),
        (vec![("cache-control", "private, max-age=60")], "origin-private"),
        (vec![("cache-control", "max-age=60"), ("set-cookie", "a=b")], "set-cookie"),
        (vec![("cache-control", "max-age=60"), ("vary", "*")], "vary-any"),
        (vec![], "no-lifetime"),
    ] {
        let script = Script::public(vec![(200, headers.clone(), "mine"), (200, headers.clone(), "yours")]).await;
        let first = script.get(&[]).await;
        assert_eq!(seen(&first), ("MISS", 200, "mine"), "{headers:?}");
        assert!(first.header("cache-status").ends_with(&format!("detail={reason}")), "{headers:?}: {first:?}");
        assert_eq!(seen(&script.get(&[]).await), ("MISS", 200, "yours"), "{headers:?}");
    }
}

#[tokio::test]
async fn fields_that_must_be_asked_for_reach_the_one_who_asked() {
    let more = [("x-once", "1"), ("x-request-id", "7"), ("server-timing", "db;dur=1")];
    let script = Script::public(vec![line("max-age=60, no-cache=\"x-once\"", &more, "body")]).await;
    let first = script.get(&[]).await;
    assert_eq!((first.header("x-once"), first.header("x-request-id")), ("1", "7"));
    assert_eq!(first.header("server-timing"), "db;dur=1", "before the layer's own");
    let second = script.get(&[]).await;
    assert_eq!((seen(&second), second.header("x-once"), second.header("x-request-id")), (("HIT", 200, "body"), "", ""));
}

#[tokio::test]
async fn one_principals_private_answers_are_kept_for_that_one() {
    let private = |body| line("private, max-age=60", &[], body);
    let lifetime = OriginLifetime::default();
    let script =
        Script::new(lifetime, Sharing::PerPrincipal, vec![private("one"), private("other"), private("nobody")]).await;
    let (one, other) = (Identity::new(tenant("acme"), "one"), Identity::new(tenant("acme"), "other"));
    for _ in 0..2 {
        assert_eq!(script.world.get(&one, "/a").await.body, "one");
        let got = script.world.get(&other, "/a").await;
        assert_eq!((got.body.as_str(), got.header("vary")), ("other", "accept, cookie, authorization"));
    }
    assert_eq!(script.calls(), 2);
    assert_eq!(script.get(&[]).await.header("x-cache"), "BYPASS");
}

#[tokio::test]
async fn variants_live_beside_each_other() {
    let answer = |body| line("max-age=60", &[("vary", "accept-language")], body);
    let script = Script::public(vec![answer("english"), answer("deutsch"), answer("none")]).await;
    let ask = |language: &'static str| [("accept-language", language)];
    assert_eq!(script.get(&ask("en")).await.body, "english");
    assert_eq!(script.get(&ask("de")).await.body, "deutsch");
    assert_eq!(script.get(&[]).await.body, "none");
    assert_eq!(seen(&script.get(&ask("EN")).await), ("HIT", 200, "english"));
    assert_eq!(seen(&script.get(&ask("de;q=1.0")).await), ("HIT", 200, "deutsch"));
    assert_eq!(seen(&script.get(&[]).await), ("HIT", 200, "none"));
}

#[tokio::test]
async fn stale_is_served_while_the_service_is_asked() {
    let script =
        Script::public(vec![line("max-age=2, stale-while-revalidate=10", &[], "old"), line("max-age=60", &[], "new")])
            .await;
    script.get(&[]).await;
    script.wait(3);
    let stale = script.get(&[]).await;
    assert_eq!(seen(&stale), ("STALE", 200, "old"));
    assert_eq!(stale.header("cache-status"), "Unstale; hit; ttl=-1; detail=stale-while-revalidate");
    while script.get(&[]).await.body == "old" {
        tokio::task::yield_now().await;
    }
    assert_eq!(seen(&script.get(&[]).await), ("HIT", 200, "new"));
    assert_eq!(script.calls(), 2, "one of those who were given the old one asked");
}

#[tokio::test]
async fn stale_stands_in_for_a_failure_where_the_service_allowed_it() {
    for failure in [(503, vec![], "down"), (0, vec![], "")] {
        let control = "max-age=2, stale-if-error=10";
        let script = Script::public(vec![line(control, &[], "old"), failure.clone(), failure.clone()]).await;
        script.get(&[]).await;
        script.wait(3);
        let stale = script.get(&[]).await;
        assert_eq!(seen(&stale), ("STALE", 200, "old"));
        assert!(stale.header("cache-status").ends_with("detail=stale-if-error"), "{stale:?}");
        script.wait(10);
        let sent = script.world.try_send(request("GET", None, "/a", &[])).await;
        assert_eq!(sent.map(|got| got.status.as_u16()).ok(), Some(failure.0).filter(|status| *status != 0));
    }
    let strict = line("max-age=2, stale-if-error=10, must-revalidate", &[], "old");
    let script = Script::public(vec![strict, (503, vec![], "down")]).await;
    script.get(&[]).await;
    script.wait(3);
    assert_eq!(script.get(&[]).await.status.as_u16(), 503);
}

#[tokio::test]
async fn a_request_may_say_what_it_takes() {
    let validated = || (304, vec![], "");
    let script =
        Script::public(vec![line("max-age=60", &[("etag", "\"v1\"")], "body"), validated(), validated()]).await;
    let ask = |control: &'static str| [("cache-control", control)];
    assert_eq!(script.get(&ask("only-if-cached")).await.status.as_u16(), 504);
    assert_eq!(script.calls(), 0);
    script.get(&[]).await;
    assert_eq!(seen(&script.get(&ask("only-if-cached")).await), ("HIT", 200, "body"));
    script.wait(10);
    assert_eq!(seen(&script.get(&ask("max-age=10")).await), ("HIT", 200, "body"));
    assert_eq!(script.calls(), 1);
    assert_eq!(script.get(&ask("max-age=5")).await.body, "body");
    assert_eq!(script.get(&ask("no-cache")).await.body, "body");
    assert_eq!(script.calls(), 3);
    script.wait(70);
    assert_eq!(seen(&script.get(&ask("max-stale=20")).await), ("STALE", 200, "body"));
}

/// A load that asks nobody would be one that others wait for and get nothing of.
#[tokio::test]
async fn who_wants_only_what_is_stored_begins_no_load() {
    let fresh = line("max-age=2, stale-while-revalidate=5", &[("vary", "accept")], "body");
    let script = Script::public(vec![fresh.clone(), fresh]).await;
    let loads = || *script.world.loaded.borrow();
    let only = ("cache-control", "only-if-cached");
    let (text, other) = (("accept", "text/plain"), ("accept", "text/html"));
    let refused = script.get(&[only, text]).await;
    assert_eq!((refused.status.as_u16(), loads()), (504, 0));
    assert_eq!(refused.header("cache-status"), "Unstale; fwd=bypass; detail=only-if-cached");
    script.get(&[text]).await;
    assert_eq!(script.get(&[only, other]).await.status.as_u16(), 504);
    script.get(&[other]).await;
    let begun = loads();
    for variant in [text, other] {
        assert_eq!(seen(&script.get(&[only, variant]).await), ("HIT", 200, "body"));
    }
    // What may be used while the service is asked may be used; but nobody asks it.
    script.wait(3);
    assert_eq!(seen(&script.get(&[only, text]).await), ("STALE", 200, "body"));
    script.wait(10);
    assert_eq!(script.get(&[only, text]).await.status.as_u16(), 504);
    assert_eq!((script.calls(), loads()), (2, begun));
}

#[tokio::test]
async fn a_head_is_answered_from_a_get_and_is_a_head_to_the_service() {
    let script = Script::public(vec![
        (200, vec![("content-length", "4")], ""),
        line("max-age=60", &[("etag", "\"v1\"")], "body"),
        (200, vec![("etag", "\"v1\""), ("cache-control", "max-age=99"), ("content-length", "4")], ""),
    ])
    .await;
    assert_eq!(script.send("HEAD", &[]).await.header("x-cache"), "MISS");
    assert_eq!(script.last_method(), "HEAD");
    script.get(&[]).await;
    let head = script.send("HEAD", &[]).await;
    assert_eq!((head.x_cache(), &*head.body, head.header("content-length")), ("HIT", "", "4"));
    script.wait(60);
    assert_eq!(script.send("HEAD", &[]).await.header("cache-control"), "max-age=99");
    assert_eq!(seen(&script.get(&[]).await), ("HIT", 200, "body"), "the head has freshened it");
}

/// Of a head alone nothing is known of the bytes: not how many there are, and not whether they are others than before.
#[tokio::test]
async fn a_head_gets_no_validator_and_no_length_that_its_service_did_not_give() {
    let head = || (200, vec![("content-type", "application/json")], "");
    let script = Script::public(vec![head(), head()]).await;
    let first = script.send("HEAD", &[]).await;
    assert_eq!((first.header("etag"), first.header("content-length")), ("", ""));
    let again = script.send("HEAD", &[("if-none-match", "*")]).await;
    assert_eq!(again.status.as_u16(), 200);
}

/// What was declared wrong is right again only if its service says that it is the very same.
#[tokio::test]
async fn what_a_write_declared_wrong_is_not_confirmed_by_what_says_nothing_of_it() {
    const TIME: (&str, &str) = ("last-modified", "Sun, 22 Nov 2026 05:00:00 GMT");
    let old = |more: &[(&'static str, &'static str)]| line("max-age=60", more, "open1");
    let new = || line("max-age=60", &[], "done1");
    let head = |more: Vec<(&'static str, &'static str)>| {
        let told = [("cache-control", "max-age=60"), ("content-length", "5")];
        (200, told.into_iter().chain(more).collect(), "")
    };
    let put = || (204, vec![], "");

    // A head of the same length, and one of the same second.
    for told in [vec![], vec![TIME]] {
        let script = Script::public(vec![old(&told), put(), head(told), new()]).await;
        script.get(&[]).await;
        script.send("PUT", &[]).await;
        script.send("HEAD", &[]).await;
        assert_eq!(script.get(&[]).await.body, "done1");
    }
    // A date does not tell what was written within its second: it is not asked by.
    let script = Script::public(vec![old(&[TIME]), put(), new()]).await;
    script.get(&[]).await;
    script.send("PUT", &[]).await;
    assert_eq!(script.get(&[]).await.body, "done1");
    let asked = script.asked.lock().unwrap().last().unwrap().headers.clone();
    assert!(!asked.contains_key("if-modified-since"), "{asked:?}");

    // A strong tag is a word for the bytes.
    for tag in ["\"v1\"", "W/\"v1\""] {
        let etag = [("etag", tag)];
        let is_strong = !tag.starts_with('W');
        let answer = if is_strong { (304, vec![], "") } else { new() };
        let script = Script::public(vec![old(&etag), put(), answer]).await;
        script.get(&[]).await;
        script.send("PUT", &[]).await;
        assert_eq!(script.get(&[]).await.body, if is_strong { "open1" } else { "done1" });
        let asked = script.asked.lock().unwrap().last().unwrap().headers.clone();
        assert_eq!(asked.contains_key("if-none-match"), is_strong);
    }
    let etag = ("etag", "\"v1\"");
    let script = Script::public(vec![old(&[etag]), put(), head(vec![etag])]).await;
    script.get(&[]).await;
    script.send("PUT", &[]).await;
    script.send("HEAD", &[]).await;
    assert_eq!(seen(&script.get(&[]).await), ("HIT", 200, "open1"), "its tag says that nothing has changed");
}

#[tokio::test]
async fn what_may_not_be_kept_any_more_is_not_given_to_others_either() {
    for forbids in ["private", "no-store"] {
        let told = || vec![("cache-control", forbids)];
        for answer in [(304, told(), ""), (200, told(), "mine")] {
            let fresh = line("max-age=60", &[("etag", "\"v1\"")], "all's");
            let script = Script::public(vec![fresh, answer, line("max-age=60", &[], "again")]).await;
            script.get(&[]).await;
            script.get(&[("cache-control", "no-cache")]).await;
            assert_eq!(script.get(&[]).await.body, "again", "{forbids}");
        }
    }
}

#[tokio::test]
async fn parts_are_served_from_the_whole_and_from_larger_parts() {
    let script = Script::public(vec![line("max-age=60", &[("etag", "\"v1\"")], "0123456789")]).await;
    script.get(&[]).await;
    let part = script.get(&[("range", "bytes=2-3")]).await;
    assert_eq!((seen(&part), part.header("content-range")), (("HIT", 206, "23"), "bytes 2-3/10"));
    assert_eq!(script.get(&[("range", "bytes=10-")]).await.status.as_u16(), 416);

    let head = vec![("cache-control", "max-age=60"), ("etag", "\"v1\""), ("content-range", "bytes 0-4/10")];
    let rest = vec![("cache-control", "max-age=60"), ("etag", "\"v1\""), ("content-range", "bytes 5-9/10")];
    let script = Script::public(vec![(206, head, "01234"), (206, rest, "56789")]).await;
    let first = script.get(&[("range", "bytes=0-4")]).await;
    assert_eq!(script.last("range").as_deref(), Some("bytes=0-4"));
    assert_eq!((seen(&first), first.header("content-range")), (("MISS", 206, "01234"), "bytes 0-4/10"));
    let within = script.get(&[("range", "bytes=1-2")]).await;
    assert_eq!((seen(&within), within.header("content-range")), (("HIT", 206, "12"), "bytes 1-2/10"));
    let whole = script.get(&[]).await;
    assert_eq!((whole.status.as_u16(), &*whole.body, whole.header("content-range")), (200, "0123456789", ""));
    assert_eq!(script.last("range").as_deref(), Some("bytes=5-"));
    assert_eq!(script.last("if-range").as_deref(), Some("\"v1\""));
    assert_eq!(seen(&script.get(&[]).await), ("HIT", 200, "0123456789"));
}

#[tokio::test]
async fn parts_of_different_wholes_are_never_joined() {
    let part = |etag, range, body| {
        (206, vec![("cache-control", "max-age=60"), ("etag", etag), ("content-range", range)], body)
    };
    let script = Script::public(vec![
        part("\"v1\"", "bytes 0-4/10", "01234"),
        part("\"v2\"", "bytes 5-9/10", "vwxyz"),
        (200, vec![("cache-control", "max-age=60"), ("etag", "\"v2\"")], "qrstuvwxyz"),
    ])
    .await;
    script.get(&[("range", "bytes=0-4")]).await;
    let broken = script.get(&[]).await;
    assert_eq!(broken.status.as_u16(), 500, "a part that was not asked for: {broken:?}");
    // There is nothing any more that the next one could ask to be completed.
    assert_eq!(seen(&script.get(&[]).await), ("MISS", 200, "qrstuvwxyz"));
    assert_eq!(script.last("range"), None);
}

/// RFC 9111, 3.2: what an answer confirms is as the answer says.
#[tokio::test]
async fn what_a_304_keeps_for_one_user_is_not_kept_for_all() {
    let head = [("etag", "\"v1\""), ("x-user", "ann"), ("x-session", "ann")];
    let again = |control| (304, vec![("cache-control", control), ("etag", "\"v1\"")], "");
    let script = Script::public(vec![
        line("max-age=2", &head, "body"),
        again("max-age=60, private=\"x-user\", no-cache=\"x-session\""),
    ])
    .await;
    assert_eq!(script.get(&[]).await.header("x-user"), "ann");
    script.wait(3);
    for _ in 0..2 {
        let got = script.get(&[]).await;
        assert_eq!((got.status.as_u16(), got.headers.get("x-user"), got.headers.get("x-session")), (200, None, None));
    }
}

/// RFC 9110, 6.6.1: without a date, an answer is of when it was received.
#[tokio::test]
async fn what_a_304_without_a_date_confirms_is_as_old_as_the_304() {
    let old = ("date", "Thu, 01 Jan 1970 00:00:00 GMT");
    let script = Script::public(vec![
        line("max-age=20", &[("etag", "\"v1\""), old], "body"),
        (304, vec![("etag", "\"v1\"")], ""),
    ])
    .await;
    script.get(&[]).await;
    script.wait(3000);
    let confirmed = script.get(&[]).await;
    assert_eq!((confirmed.body.as_str(), confirmed.header("date")), ("body", "Thu, 01 Jan 1970 00:50:00 GMT"));
    script.wait(9);
    assert_eq!((seen(&script.get(&[]).await), script.calls()), (("HIT", 200, "body"), 2));
}

/// A tag of the whole cannot be made of a part: two parts of one whole would have two (RFC 9110, 15.3.7 and 8.8.3).
#[tokio::test]
async fn a_part_has_no_tag_that_its_service_did_not_give() {
    for range in ["bytes 0-4/10", "bytes 0-4/*"] {
        let head = vec![("cache-control", "max-age=60"), ("content-range", range)];
        let script = Script::public(vec![(206, head, "01234")]).await;
        for verdict in ["MISS", "HIT"] {
            let got = script.get(&[("range", "bytes=0-4")]).await;
            assert_eq!((seen(&got), got.headers.get("etag")), ((verdict, 206, "01234"), None), "{range}");
        }
        let asked = script.get(&[("range", "bytes=0-4"), ("if-none-match", "\"\", \"x\"")]).await;
        assert_eq!(asked.status.as_u16(), 206);
    }
    let whole = vec![("cache-control", "max-age=60"), ("content-range", "bytes 0-9/10")];
    let script = Script::public(vec![(206, whole, "0123456789")]).await;
    let first = script.get(&[("range", "bytes=0-9")]).await;
    assert_eq!(first.header("etag"), script.get(&[]).await.header("etag"));
}

#[tokio::test]
async fn a_part_that_cannot_be_cut_answers_its_own_range_alone() {
    let odd = |body| (206, vec![("cache-control", "max-age=60"), ("content-range", "bytes 4-9/10")], body);
    let script = Script::public(vec![odd("01234"), odd("234"), line("max-age=60", &[], "whole")]).await;
    for verdict in ["MISS", "HIT"] {
        let got = script.get(&[("range", "bytes=-5")]).await;
        assert_eq!((seen(&got), got.header("content-range")), ((verdict, 206, "01234"), "bytes 4-9/10"));
    }
    assert_eq!(seen(&script.get(&[("range", "bytes=6-8")]).await), ("MISS", 206, "234"));
    assert_eq!(seen(&script.get(&[]).await), ("MISS", 200, "whole"));
    assert_eq!(seen(&script.get(&[("range", "bytes=-5")]).await), ("HIT", 206, "01234"));
}

#[tokio::test]
async fn what_has_no_validator_is_given_one() {
    let script = Script::public(vec![line("max-age=2", &[], "body"), line("max-age=2", &[], "body")]).await;
    let etag = script.get(&[]).await.header("etag").to_owned();
    assert!(etag.starts_with('"'), "{etag}");
    let again = script.get(&[("if-none-match", &etag)]).await;
    assert_eq!((again.status.as_u16(), again.header("cache-control")), (304, "max-age=2"));
    script.wait(2);
    assert_eq!(script.get(&[("if-none-match", &etag)]).await.status.as_u16(), 304);
    assert_eq!(script.last("if-none-match"), None, "the service knows nothing of it");
    assert_eq!(script.calls(), 2);
}

#[tokio::test]
async fn who_asks_reaches_the_service_of_a_public_route_only_if_it_is_shared_by_the_services_word() {
    let authorized = [("authorization", "Bearer x")];
    let answers = || vec![line("max-age=60", &[], "plain"), line("public, max-age=60", &[], "marked")];
    let script = Script::public(answers()).await;
    assert_eq!(script.get(&authorized).await.body, "plain");
    assert_eq!(script.last("authorization"), None);
    assert_eq!(seen(&script.get(&[]).await), ("HIT", 200, "plain"));

    let shares = OriginLifetime { shares_authorized: true, ..OriginLifetime::default() };
    let script = Script::new(shares, Sharing::Public, answers()).await;
    let first = script.get(&authorized).await;
    assert!(first.header("cache-status").ends_with("detail=authorization"), "{first:?}");
    assert_eq!(script.last("authorization").as_deref(), Some("Bearer x"));
    assert_eq!(seen(&script.get(&authorized).await), ("MISS", 200, "marked"));
    assert_eq!(seen(&script.get(&[]).await), ("HIT", 200, "marked"));
}

#[tokio::test]
async fn a_targeted_field_goes_before_cache_control() {
    let script = Script::public(vec![line("no-store", &[("cdn-cache-control", "max-age=60")], "one")]).await;
    script.get(&[]).await;
    let hit = script.get(&[]).await;
    assert_eq!((seen(&hit), hit.header("cache-control")), (("HIT", 200, "one"), "no-store"));
}

#[tokio::test]
async fn every_status_is_kept_with_a_lifetime() {
    for status in [204, 301, 404, 503, 599] {
        let script = Script::public(vec![(status, vec![("cache-control", "max-age=60")], "")]).await;
        script.get(&[]).await;
        let again = script.get(&[]).await;
        assert_eq!((again.status.as_u16(), script.calls()), (status, 1));
    }
}

#[tokio::test]
async fn what_the_route_assumes_of_a_lifetime_keeps_no_failure_and_no_refusal() {
    let assumes = OriginLifetime { default_ttl: Duration::from_secs(60), ..OriginLifetime::default() };
    for status in [302, 403, 500, 503] {
        let answers = vec![(status, vec![("etag", "\"a\"")], "no"), (200, vec![], "yes")];
        let script = Script::new(assumes, Sharing::Public, answers).await;
        let first = script.get(&[]).await;
        assert!(first.header("cache-status").ends_with("detail=no-lifetime"), "{first:?}");
        assert_eq!(script.get(&[]).await.body, "yes", "{status}");
        assert_eq!(seen(&script.get(&[]).await), ("HIT", 200, "yes"));
    }
}

#[tokio::test]
async fn a_write_makes_out_of_date_what_it_names_of_the_same_origin() {
    let fresh = |body| line("max-age=60", &[], body);
    for (status, location, expected) in [(201, "/b", "new"), (201, "http://elsewhere/b", "old"), (500, "/b", "old")] {
        let script = Script::public(vec![fresh("old"), (status, vec![("location", location)], ""), fresh("new")]).await;
        let get = || script.world.send(request("GET", None, "/b", &[]));
        get().await;
        script.send("POST", &[]).await;
        assert_eq!(get().await.body, expected, "{status} {location}");
    }
}
