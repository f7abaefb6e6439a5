//! Encoded answers: to whom, by which validator, and how often they are made.

use std::io::Read as _;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _};
use unstale::Tag;
use unstale_http::{CompressionLayer, CompressionLimits};

use crate::world::{Body, World, get, request, routes, tenant, user, with};

const TEXT: &str = "the same words, again and again; the same words, again and again; the same words, again and again";
const GZIP: (&str, &str) = ("accept-encoding", "gzip, br");

/// An answer, as bytes.
struct Raw {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Raw {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn varies(&self) -> bool {
        self.headers.get_all("vary").iter().any(|line| line == "accept-encoding")
    }

    /// The text, whichever form it came in.
    fn text(&self) -> String {
        let mut text = String::new();
        match self.header("content-encoding") {
            "gzip" => flate2::read::GzDecoder::new(&self.body[..]).read_to_string(&mut text).unwrap(),
            "" => (&self.body[..]).read_to_string(&mut text).unwrap(),
            other => panic!("{other} was not asked for"),
        };
        text
    }
}

struct Packed {
    world: World,
    layer: CompressionLayer,
}

impl Packed {
    async fn new(limits: CompressionLimits, answer: (&'static [(&'static str, &'static str)], &'static str)) -> Self {
        let (headers, text) = answer;
        let world = World::new(routes(), move |_| {
            Box::pin(async move {
                unstale::record(&Tag::of(&tenant("acme"), "row", 1));
                with(200, headers, text)
            })
        });
        Self { world: world.await, layer: CompressionLayer::new(limits) }
    }

    /// Of text that is worth it.
    async fn of_json() -> Self {
        let limits = CompressionLimits { bytes_min: 64, ..CompressionLimits::default() };
        Self::new(limits, (&[("content-type", "application/json")], TEXT)).await
    }

    async fn send(&self, request: Request<String>) -> Raw {
        let response = self.layer.layer(self.world.service()).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Raw { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes().to_vec() }
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Raw {
        self.send(get(&user("acme", "u1"), "/cached/1", headers)).await
    }
}

#[tokio::test]
async fn who_takes_gzip_is_given_it_from_a_miss_and_from_a_hit() {
    let packed = Packed::of_json().await;
    for verdict in ["MISS", "HIT", "HIT"] {
        let got = packed.get(&[GZIP]).await;
        assert_eq!((got.header("x-cache"), got.header("content-encoding")), (verdict, "gzip"));
        assert_eq!((got.text().as_str(), got.varies()), (TEXT, true));
        assert!(got.body.len() < TEXT.len());
        assert_eq!(got.header("content-length"), got.body.len().to_string());
    }
    let plain = packed.get(&[]).await;
    assert_eq!((plain.header("content-encoding"), plain.text().as_str(), plain.varies()), ("", TEXT, true));
    assert_eq!(plain.header("content-length"), TEXT.len().to_string());
    assert_eq!(packed.world.calls(), 1, "what is stored is stored once");
}

#[tokio::test]
async fn each_form_has_its_validator_and_is_confirmed_by_it() {
    let packed = Packed::of_json().await;
    let (gzip, plain) = (packed.get(&[GZIP]).await, packed.get(&[]).await);
    let (gzip, plain) = (gzip.header("etag").to_owned(), plain.header("etag").to_owned());
    assert_eq!(gzip, format!("{};gz\"", plain.trim_end_matches('"')));
    for cold in [false, true] {
        if cold {
            packed.world.cache.clear_memory();
        }
        for etag in [&gzip, &plain] {
            let got = packed.get(&[GZIP, ("if-none-match", etag)]).await;
            assert_eq!((got.status, got.header("etag"), got.body.len()), (StatusCode::NOT_MODIFIED, etag.as_str(), 0));
            assert_eq!((got.varies(), got.header("content-encoding")), (true, ""));
        }
    }
    let other = packed.get(&[GZIP, ("if-none-match", "\"other;gz\"")]).await;
    assert_eq!((other.status, other.text().as_str()), (StatusCode::OK, TEXT));
}

#[tokio::test]
async fn the_encoded_form_goes_with_what_it_was_made_of() {
    let packed = Packed::of_json().await;
    let before = packed.get(&[GZIP]).await.header("etag").to_owned();
    let changed = unstale::Invalidation::of([Tag::of(&tenant("acme"), "row", 1)]);
    packed.world.cache.invalidate(&changed).await.unwrap();
    let got = packed.get(&[GZIP, ("if-none-match", &before)]).await;
    // The same text again, so the same validator; but read anew.
    assert_eq!((got.status, got.header("x-cache"), packed.world.calls()), (StatusCode::NOT_MODIFIED, "MISS", 2));
}

#[tokio::test]
async fn a_head_describes_what_a_get_would_bring() {
    let packed = Packed::of_json().await;
    let got = packed.get(&[GZIP]).await;
    let head = packed.send(request("HEAD", Some(&user("acme", "u1")), "/cached/1", &[GZIP])).await;
    for name in ["etag", "content-encoding", "content-type"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    assert_eq!((head.body.len(), head.header("content-length")), (0, ""));
}

#[tokio::test]
async fn parts_are_of_the_plain_form() {
    let packed = Packed::of_json().await;
    let got = packed.get(&[GZIP, ("range", "bytes=4-7")]).await;
    assert_eq!(
        (got.status, got.header("content-encoding"), got.text().as_str()),
        (StatusCode::PARTIAL_CONTENT, "", "same")
    );
}

#[tokio::test]
async fn what_is_passed_on_is_encoded_too() {
    let packed = Packed::of_json().await;
    for (method, path) in [("GET", "/uncached/1"), ("POST", "/cached/1"), ("GET", "/elsewhere")] {
        let got = packed.send(request(method, Some(&user("acme", "u1")), path, &[GZIP])).await;
        assert_eq!((got.header("content-encoding"), got.text().as_str()), ("gzip", TEXT), "{method} {path}");
    }
}

#[tokio::test]
async fn what_gives_credentials_or_goes_to_another_site_stays_plain() {
    const COOKIE: &[(&str, &str)] = &[("content-type", "application/json"), ("set-cookie", "session=secret")];
    const SECRET: &[(&str, &str)] = &[("content-type", "application/json"), ("cache-control", "no-store")];
    let limits = CompressionLimits { bytes_min: 64, ..CompressionLimits::default() };
    for headers in [COOKIE, SECRET] {
        let got = Packed::new(limits, (headers, TEXT)).await.get(&[GZIP]).await;
        assert_eq!((got.header("content-encoding"), got.text().as_str()), ("", TEXT), "{headers:?}");
    }
    let got = Packed::of_json().await.get(&[GZIP, ("sec-fetch-site", "cross-site")]).await;
    assert_eq!((got.header("content-encoding"), got.text().as_str()), ("", TEXT));
}

#[tokio::test]
async fn what_is_short_long_or_gets_no_shorter_stays_plain() {
    let json: &[(&str, &str)] = &[("content-type", "application/json")];
    let from = |bytes_min, bytes_max| CompressionLimits { bytes_min, bytes_max, ..CompressionLimits::default() };
    for (limits, text) in [(from(1000, 2000), TEXT), (from(1, 10), TEXT), (from(1, 1000), "a1b2"), (from(1, 1000), "")]
    {
        let packed = Packed::new(limits, (json, text)).await;
        for _ in 0..2 {
            let got = packed.get(&[GZIP]).await;
            assert_eq!((got.header("content-encoding"), got.text().as_str(), got.varies()), ("", text, true));
            assert_eq!(got.header("content-length"), text.len().to_string());
        }
    }
}

#[tokio::test]
async fn a_long_body_is_encoded_beside_and_without_room_each_time() {
    let limits =
        CompressionLimits { bytes_min: 1, at_once_bytes_max: 1, kept_bytes_max: 0, ..CompressionLimits::default() };
    let packed = Packed::new(limits, (&[("content-type", "text/plain")], TEXT)).await;
    for _ in 0..2 {
        let got = packed.get(&[GZIP]).await;
        assert_eq!((got.header("content-encoding"), got.text().as_str()), ("gzip", TEXT));
    }
}

#[tokio::test]
async fn a_stream_of_events_passes_as_it_comes() {
    let packed = Packed::new(
        CompressionLimits { bytes_min: 1, ..CompressionLimits::default() },
        (&[("content-type", "text/event-stream")], TEXT),
    );
    let got = packed.await.get(&[GZIP]).await;
    assert_eq!((got.header("content-encoding"), got.text().as_str(), got.varies()), ("", TEXT, false));
    // A body of unknown length is never waited for.
    let endless = tower::service_fn(|_: Request<String>| async {
        let body: Body = http_body_util::StreamBody::new(futures_util::stream::pending()).boxed_unsync();
        Ok::<_, &'static str>(http::Response::builder().header("content-type", "application/json").body(body).unwrap())
    });
    let asked = request("GET", None, "/", &[GZIP]);
    let got = CompressionLayer::default().layer(endless).oneshot(asked).await.unwrap();
    assert!(!got.headers().contains_key("content-encoding"));
}
