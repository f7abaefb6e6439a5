//! Attacks on the gateway over raw sockets, as a table. The backend echoes what it reads of a request in body and head,
//! so that whatever is mixed up shows: nobody is given another party's words.
//!
//! The same table against the layer, with more kinds of routes, is in `crates/http/tests/it/attacks`; how requests are
//! parted from each other (smuggling) is in `crate::gateway::hygiene`.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;

use super::world::{JWT, World, ask, bearer, soon};

use Party::{Evil, Foreign, Stranger, Victim};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    Evil,
    Victim,
    Foreign,
    Stranger,
}

const ALL: [Party; 4] = [Evil, Victim, Foreign, Stranger];

impl Party {
    fn name(self) -> &'static str {
        match self {
            Self::Evil => "evil",
            Self::Victim => "victim",
            Self::Foreign => "foreign",
            Self::Stranger => "stranger",
        }
    }

    fn token(self) -> Option<String> {
        let tenant = if self == Self::Foreign { "globex" } else { "acme" };
        (self != Self::Stranger).then(|| bearer(self.name(), tenant, &json!({})))
    }
}

/// Who, method, target (`{kind}` stands for the route's kind), further headers, body.
type Step<'a> = (Party, &'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);
type Attack<'a> = (&'a str, &'a [Step<'a>]);

const KINDS: [&str; 6] = ["own", "tenant", "public", "origin-own", "origin-tenant", "origin-public"];

fn routes() -> String {
    let mut text = "[credentials]\nheaders = [\"authorization\", \"x-api-key\"]\n".to_owned();
    for kind in KINDS {
        let sharing = match kind.trim_start_matches("origin-") {
            "own" => "principal",
            other => other,
        };
        let cache = if kind.starts_with("origin-") { "{ lifetime = \"origin\" }" } else { "{ ttl = \"5m\" }" };
        let place = if sharing == "tenant" { format!("tenant/{kind}") } else { kind.to_owned() };
        text.extend([format!(
            "[[routes]]\npath = \"/echo/{place}/*\"\nupstream = \"api\"\nsharing = \"{sharing}\"\ncache = {cache}\n"
        )]);
    }
    text
}

async fn world() -> World {
    World::start(&format!("{}{JWT}", routes())).await
}

async fn hold(attacks: &[Attack<'_>]) {
    let world = world().await;
    let tokens = ALL.map(Party::token);
    for (number, (name, steps)) in attacks.iter().enumerate() {
        for kind in KINDS {
            // Each attack has URLs of its own, and is tried twice on them.
            let place = if kind.ends_with("tenant") { format!("tenant/{kind}") } else { kind.to_owned() };
            let place = format!("{place}/{number}");
            for round in 0..2 {
                for (party, method, target, headers, body) in *steps {
                    let target = target.replace("{kind}", &place);
                    let token = tokens[ALL.iter().position(|other| other == party).unwrap()].clone();
                    let mut all: Vec<(&str, &str)> = headers.to_vec();
                    all.extend(token.as_deref().map(|token| ("authorization", token)));
                    let got = ask(world.addr, method, &target, &all, body).await;
                    let text = format!("{}\n{}", got.head, got.body);
                    let told =
                        format!("{name} ({kind}, round {round}): {party:?} {method} {target} {headers:?}: {text}");
                    for (other, token) in ALL.iter().zip(&tokens).filter(|(other, _)| *other != party) {
                        assert!(!text.contains(other.name()), "words of {other:?}: {told}");
                        assert!(token.as_ref().is_none_or(|token| !text.contains(token.as_str())), "a token: {told}");
                    }
                    if *party == Evil {
                        continue;
                    }
                    assert_eq!(got.status, 200, "no answer: {told}");
                    let path = target.split('?').next().unwrap();
                    assert!(*method != "GET" || got.body.contains(&format!("url={path}")), "another URL's: {told}");
                    if kind.ends_with("own") && *party != Stranger && *method == "GET" {
                        assert!(got.body.contains(party.name()), "not theirs: {told}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn nobody_is_given_what_was_made_for_somebody_else() {
    let url = "/echo/{kind}/1";
    hold(&[
        (
            "tokens",
            &[
                (Victim, "GET", url, &[], ""),
                (Evil, "GET", url, &[], ""),
                (Foreign, "GET", url, &[], ""),
                (Stranger, "GET", url, &[], ""),
            ],
        ),
        (
            "cookies and keys beside",
            &[
                (Victim, "GET", url, &[("cookie", "a=victim"), ("x-api-key", "victim")], ""),
                (Evil, "GET", url, &[("cookie", "a=evil")], ""),
                (Evil, "GET", url, &[("x-api-key", "evil")], ""),
                (Stranger, "GET", url, &[("cookie", "a=stranger")], ""),
                (Stranger, "GET", url, &[("x-api-key", "stranger")], ""),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn no_header_that_is_not_counted_shapes_a_shared_answer() {
    let world_url = "/echo/{kind}/1";
    for (name, value) in [
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "evil"),
        ("x-forwarded-for", "evil"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-server", "evil"),
        ("forwarded", "host=evil.test"),
        ("x-real-ip", "evil"),
        ("x-host", "evil.test"),
        ("x-original-host", "evil.test"),
        ("x-original-url", "/evil"),
        ("x-rewrite-url", "/evil"),
        ("x-original-uri", "/evil"),
        ("x-http-method-override", "EVIL"),
        ("x-method-override", "EVIL"),
        ("x-http-host-override", "evil.test"),
        ("via", "1.1 evil"),
        ("range", "evil=1-2"),
        ("host", "evil.test"),
    ] {
        hold(&[(name, &[(Evil, "GET", world_url, &[(name, value)], ""), (Victim, "GET", world_url, &[], "")])]).await;
    }
}

/// What `Connection` names is gone for the cache as for the backend, or the request is refused.
#[tokio::test]
async fn what_connection_names_is_seen_by_nobody_or_refused() {
    for name in ["x-api-key", "accept", "x-forwarded-host", "range", "if-none-match", "authorization", "cookie", "host"]
    {
        hold(&[(
            name,
            &[
                (Evil, "GET", "/echo/{kind}/1", &[("connection", name), (name, "evil")], ""),
                (Victim, "GET", "/echo/{kind}/1", &[], ""),
                (Victim, "GET", "/echo/{kind}/1", &[("accept", "text/html")], ""),
            ],
        )])
        .await;
    }
}

#[tokio::test]
async fn urls_are_read_in_one_way_or_not_kept() {
    let mut attacks: Vec<(String, Vec<Step<'_>>)> = Vec::new();
    for way in [
        "/echo/{kind}/1?evil",
        "/echo/{kind}/1#evil",
        "/echo/{kind}/1;evil",
        "/echo/{kind}/1%3bevil",
        "/echo/{kind}/%31?evil",
        "/echo/{kind}/./1?evil",
        "/echo/{kind}/x/../1?evil",
        "/echo/{kind}/x/%2e%2e/1?evil",
        "/echo/{kind}/x%2f..%2f1?evil",
        "/echo/{kind}//1?evil",
        "//echo/{kind}/1?evil",
        "/echo/{kind}/1%00evil",
        "/echo/{kind}/1\\evil",
        "/echo/{kind}/%252e%252e/1?evil",
        "http://evil.test/echo/{kind}/1",
        "http://app.test/echo/{kind}/1?evil",
        "http://evil@app.test/echo/{kind}/1",
    ] {
        attacks.push((
            way.to_owned(),
            vec![(Evil, "GET", way, &[], ""), (Evil, "HEAD", way, &[], ""), (Victim, "GET", "/echo/{kind}/1", &[], "")],
        ));
    }
    let attacks: Vec<Attack<'_>> = attacks.iter().map(|(name, steps)| (name.as_str(), steps.as_slice())).collect();
    hold(&attacks).await;
}

/// Web cache deception: the victim is led to a path that looks public and is their own.
#[tokio::test]
async fn what_a_victim_was_led_to_is_kept_for_nobody() {
    let mut attacks: Vec<(&str, Vec<Step<'_>>)> = Vec::new();
    for way in [
        "/echo/{kind}/me/x.css",
        "/echo/{kind}/me;x.css",
        "/echo/{kind}/..%2fme.css",
        "/echo/{kind}/%2e%2e/me.css",
        "/echo/{kind}/me%3fx.css",
        "/echo/{kind}/me%0ax.css",
        "/echo/{kind}//me.css",
    ] {
        let steps: Vec<Step<'_>> = vec![
            (Victim, "GET", way, &[("cookie", "a=victim")], ""),
            (Evil, "GET", way, &[], ""),
            (Stranger, "GET", way, &[], ""),
        ];
        attacks.push((way, steps));
    }
    let attacks: Vec<Attack<'_>> = attacks.iter().map(|(name, steps)| (*name, steps.as_slice())).collect();
    hold(&attacks).await;
}

#[tokio::test]
async fn bodies_methods_and_parts_of_one_are_not_anothers_answer() {
    let url = "/echo/{kind}/1";
    hold(&[
        ("a GET with a body", &[(Evil, "GET", url, &[], "evil"), (Victim, "GET", url, &[], "")]),
        ("a POST", &[(Evil, "POST", url, &[], "evil"), (Victim, "GET", url, &[], ""), (Victim, "HEAD", url, &[], "")]),
        ("a HEAD", &[(Evil, "HEAD", url, &[("range", "bytes=0-0")], ""), (Victim, "GET", url, &[], "")]),
        ("another method", &[(Evil, "EVIL", url, &[], ""), (Victim, "GET", url, &[], "")]),
        ("a part", &[(Evil, "GET", url, &[("range", "bytes=0-3")], ""), (Victim, "GET", url, &[], "")]),
        ("no part", &[(Evil, "GET", url, &[("range", "bytes=99999-")], ""), (Victim, "GET", url, &[], "")]),
        ("a condition", &[(Evil, "GET", url, &[("if-none-match", "*")], ""), (Victim, "GET", url, &[], "")]),
        ("a condition", &[(Evil, "GET", url, &[("if-match", "\"evil\"")], ""), (Victim, "GET", url, &[], "")]),
    ])
    .await;
}

/// In HTTP/2 a read may have a body that nothing in its head tells of.
#[tokio::test]
async fn a_body_that_only_frames_tell_of_is_seen() {
    let world = world().await;
    for kind in ["tenant/tenant", "public", "tenant/origin-tenant", "origin-public"] {
        let stream = TcpStream::connect(world.addr).await.unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"evil")))]);
        let request = Request::get(format!("http://app.test/echo/{kind}/fat"))
            .header("authorization", Evil.token().unwrap())
            .body(StreamBody::new(body))
            .unwrap();
        let answer = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(answer.headers()["x-cache"], "BYPASS", "{kind}");
        soon(answer.into_body().collect()).await.unwrap();
        let token = Victim.token().unwrap();
        let got = world.get(&format!("/echo/{kind}/fat"), &[("authorization", &token)]).await;
        assert_eq!((got.status, got.cache()), (200, "MISS"), "{got:?}");
        assert!(!got.body.contains("evil") && !got.head.contains("evil"), "{got:?}");
    }
}

/// A validator that one has seen tells nothing of what another has.
#[tokio::test]
async fn a_validator_is_no_oracle() {
    let world = world().await;
    for kind in ["own", "origin-own"] {
        let path = format!("/echo/{kind}/1");
        let (victim, evil) = (Victim.token().unwrap(), Evil.token().unwrap());
        let etag = world.get(&path, &[("authorization", &victim)]).await.header("etag").to_owned();
        assert!(!etag.is_empty());
        for _ in 0..2 {
            let got = world.get(&path, &[("authorization", &evil), ("if-none-match", &etag)]).await;
            assert_eq!(got.status, 200);
        }
    }
}

/// Too much of anything is refused before the backend sees it, and nothing of it is kept.
#[tokio::test]
async fn too_much_is_refused_and_kept_for_nobody() {
    let world = world().await;
    let token = Evil.token().unwrap();
    let large = "x".repeat(200_000);
    let url = "/echo/public/1";
    for headers in [&[("x-large", large.as_str())][..], &[("x-meta", "a\u{1}b")], &[("x-meta\u{1}", "a")]] {
        let got = ask(world.addr, "GET", url, headers, "").await;
        assert!((400..=431).contains(&got.status), "{got:?}");
    }
    let long = format!("{url}?{}", "x".repeat(5000));
    assert_eq!(ask(world.addr, "GET", &long, &[("authorization", &token)], "").await.cache(), "BYPASS");
    assert_eq!(world.get(url, &[]).await.status, 200);
}
