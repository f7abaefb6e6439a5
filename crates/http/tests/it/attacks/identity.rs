//! Answers that were made for somebody.

use super::{Attack, Party, by, evil, hold, victim};

#[tokio::test]
async fn nobody_is_given_what_was_made_for_somebody_else() {
    hold(&[
        Attack(
            "Authorization",
            &[],
            &[
                victim("/x/1", &[("authorization", "Bearer victim")]),
                evil("/x/1", &[("authorization", "Bearer evil")]),
                by(Party::Foreign, "/x/1", &[("authorization", "Bearer foreign")]),
                by(Party::Stranger, "/x/1", &[]),
            ],
        ),
        Attack(
            "Cookie",
            &[],
            &[
                victim("/x/1", &[("cookie", "session=victim")]),
                evil("/x/1", &[("cookie", "session=evil")]),
                by(Party::Stranger, "/x/1", &[("cookie", "session=stranger")]),
            ],
        ),
        Attack(
            "an API key",
            &[],
            &[
                victim("/x/1", &[("x-api-key", "victim")]),
                evil("/x/1", &[("x-api-key", "evil")]),
                by(Party::Stranger, "/x/1", &[]),
            ],
        ),
        Attack(
            "another's token beside one's own identity",
            &[],
            &[evil("/x/1", &[("authorization", "Bearer evil")]), victim("/x/1", &[]), by(Party::Foreign, "/x/1", &[])],
        ),
        Attack(
            "public, and varying on Authorization",
            &[("cache-control", "public"), ("vary", "Authorization")],
            &[
                victim("/x/1", &[("authorization", "Bearer victim")]),
                evil("/x/1", &[("authorization", "Bearer evil")]),
                evil("/x/1", &[]),
                by(Party::Stranger, "/x/1", &[]),
            ],
        ),
        Attack(
            "varying on Cookie and everything",
            &[("vary", "Cookie, *")],
            &[victim("/x/1", &[("cookie", "a=victim")]), evil("/x/1", &[("cookie", "a=evil")])],
        ),
        Attack(
            "a cookie that the service sets",
            &[("set-cookie", "session=new")],
            &[evil("/x/1", &[]), victim("/x/1", &[]), by(Party::Stranger, "/x/1", &[])],
        ),
        Attack(
            "private in a shared cache",
            &[("cache-control", "private")],
            &[victim("/x/1", &[]), evil("/x/1", &[]), by(Party::Foreign, "/x/1", &[])],
        ),
    ])
    .await;
}

mod oracle {
    use http::StatusCode;
    use unstale_http::{Lifetime, OriginLifetime, RoutePolicies, RoutePolicy};

    use crate::world::{World, minute, user, with};

    /// Each has a document of their own; both are alike, but nobody may learn so.
    async fn world(lifetime: Lifetime) -> World {
        let mut policy = RoutePolicy::cached("own", minute());
        policy.lifetime = lifetime;
        let routes = RoutePolicies::builder().route("/own", policy).build().unwrap();
        World::new(routes, |_| Box::pin(async { with(200, &[("cache-control", "max-age=60")], "the very same") })).await
    }

    #[tokio::test]
    async fn a_validator_says_nothing_of_anothers_answer() {
        for lifetime in [Lifetime::Route(minute()), Lifetime::Origin(OriginLifetime::default())] {
            let world = world(lifetime).await;
            let etag = world.get(&user("acme", "victim"), "/own").await.header("etag").to_owned();
            for (tenant, principal) in [("acme", "evil"), ("globex", "victim")] {
                let me = user(tenant, principal);
                for round in ["MISS", "HIT"] {
                    let got = world.get_with(&me, "/own", &[("if-none-match", &etag)]).await;
                    assert_eq!((got.status, got.x_cache()), (StatusCode::OK, round), "{lifetime:?}");
                    assert_ne!(got.header("etag"), etag);
                }
                let got = world.get_with(&me, "/own", &[("if-match", &etag)]).await;
                assert_eq!(got.status, StatusCode::PRECONDITION_FAILED);
                let got = world.get_with(&me, "/own", &[("range", "bytes=0-0"), ("if-range", &etag)]).await;
                assert_eq!(got.status, StatusCode::OK);
            }
        }
    }
}
