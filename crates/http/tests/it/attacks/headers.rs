//! Headers that are no part of the key, and by which servers let an answer be shaped nevertheless.

use super::{Attack, evil, hold, victim};

/// Each of them, by which services build links or find out the URL.
const OF_URL: [(&str, &str); 19] = [
    ("x-forwarded-host", "evil.test"),
    ("x-forwarded-server", "evil.test"),
    ("x-forwarded-proto", "evil"),
    ("x-forwarded-protocol", "evil"),
    ("x-forwarded-scheme", "evil"),
    ("x-forwarded-port", "evil"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-path", "/evil"),
    ("x-forwarded-uri", "/evil"),
    ("x-forwarded", "evil"),
    ("forwarded", "for=1.2.3.4;host=evil.test"),
    ("x-host", "evil.test"),
    ("x-http-host-override", "evil.test"),
    ("x-original-host", "evil.test"),
    ("x-original-url", "/evil"),
    ("x-original-uri", "/evil"),
    ("x-rewrite-url", "/evil"),
    ("x-envoy-original-path", "/evil"),
    ("front-end-https", "evil"),
];

/// Each of them, by which services find out who asks.
const OF_ADDRESS: [&str; 8] = [
    "x-forwarded-for",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-cluster-client-ip",
    "fastly-client-ip",
];

const OF_METHOD: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

#[tokio::test]
async fn a_header_that_is_not_counted_shapes_no_shared_answer() {
    let each =
        OF_URL.into_iter().chain(OF_ADDRESS.map(|name| (name, "evil"))).chain(OF_METHOD.map(|name| (name, "EVIL")));
    for (name, value) in each {
        let lines: &'static [(&'static str, &'static str)] = Vec::leak(vec![(name, value)]);
        let attack = [
            Attack(name, &[], Vec::leak(vec![evil("/x/1", lines), victim("/x/1", &[])])),
            Attack(
                name,
                &[],
                Vec::leak(vec![
                    evil("/x/1", lines),
                    victim("/x/1", &[("x-forwarded-host", "a.test")]),
                    victim("/x/1", &[]),
                ]),
            ),
        ];
        hold(&attack).await;
    }
}

#[tokio::test]
async fn what_may_select_an_answer_and_is_changed_on_the_way_is_not_kept() {
    let varying: [&'static [(&'static str, &'static str)]; 3] =
        [&[("vary", "X-Forwarded-For")], &[("vary", "Accept, Forwarded")], &[("vary", "Via")]];
    for said in varying {
        let steps = vec![evil("/x/1", &[("x-forwarded-for", "evil"), ("forwarded", "for=evil")]), victim("/x/1", &[])];
        hold(&[Attack("vary on an address", said, Vec::leak(steps))]).await;
    }
}

#[tokio::test]
async fn what_vary_names_is_counted() {
    hold(&[
        Attack(
            "accept",
            &[("vary", "Accept")],
            &[
                evil("/x/1", &[("accept", "text/evil")]),
                victim("/x/1", &[]),
                victim("/x/1", &[("accept", "text/html")]),
            ],
        ),
        Attack(
            "a header of the attacker's choice",
            &[("vary", "X-Theme, Origin")],
            &[
                evil("/x/1", &[("x-theme", "evil")]),
                victim("/x/1", &[]),
                evil("/x/1", &[("origin", "http://evil.test")]),
                victim("/x/1", &[("origin", "http://a.test")]),
            ],
        ),
    ])
    .await;
}
