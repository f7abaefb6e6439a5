//! The one whose request asks the service, and those who wait for it. That a leader's panic, error and cancellation take
//! nothing from those who wait within one principal is in `crate::waiting`; here the leader is the attacker, and those
//! who wait are others.

use std::time::Duration;

use http::StatusCode;
use unstale_http::{Lifetime, OriginLifetime, RoutePolicies, RoutePolicy, Sharing};

use super::{Lines, Party};
use crate::{
    waiting::{gated, open_when_joined},
    world::{get, minute, with},
};

fn shared(lifetime: Lifetime, sharing: Sharing) -> RoutePolicies {
    let mut policy = RoutePolicy::cached("x", minute()).sharing(sharing);
    policy.lifetime = lifetime;
    RoutePolicies::builder().route("/x/*", policy).build().unwrap()
}

fn lifetimes() -> [Lifetime; 2] {
    [Lifetime::Route(minute().load_timeout(Duration::from_secs(3))), Lifetime::Origin(OriginLifetime::default())]
}

/// The attacker begins the load; what comes of it is theirs alone, however it ends.
#[tokio::test]
async fn an_attackers_load_that_ends_badly_is_not_the_victims() {
    let ends: [(u16, Lines); 6] = [
        (500, &[]),
        (503, &[("retry-after", "3600")]),
        (403, &[]),
        (200, &[("set-cookie", "session=evil")]),
        (200, &[("cache-control", "no-store")]),
        (200, &[("vary", "*")]),
    ];
    for lifetime in lifetimes() {
        for sharing in [Sharing::Tenant, Sharing::Public] {
            for (status, said) in ends {
                let (world, gate) = gated(shared(lifetime, sharing), move |call| match call {
                    1 => with(status, said, "evil"),
                    _ => with(200, &[("cache-control", "max-age=60")], "good"),
                })
                .await;
                let attack = tokio::spawn({
                    let world = world.clone();
                    async move { world.get(&Party::Evil.identity().unwrap(), "/x/1").await }
                });
                world.calls.clone().wait_for(|calls| *calls == 1).await.unwrap();
                let victim = Party::Victim.identity().unwrap();
                let (got, ()) = tokio::join!(world.get(&victim, "/x/1"), open_when_joined(&world, &gate, 1, 2));
                assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "good"), "{status} {said:?} {lifetime:?}");
                assert_eq!(attack.await.unwrap().body, "evil");
            }
        }
    }
}

#[tokio::test]
async fn an_attacker_who_panics_the_service_or_goes_away_takes_nothing_from_others() {
    for lifetime in lifetimes() {
        for goes_away in [false, true] {
            let (world, gate) = gated(shared(lifetime, Sharing::Public), move |call| {
                assert!(call > 1 || goes_away, "on purpose");
                with(200, &[("cache-control", "max-age=60")], "good")
            })
            .await;
            let attack = tokio::spawn({
                let world = world.clone();
                async move { world.try_send(get(&Party::Evil.identity().unwrap(), "/x/1", &[])).await.map(drop) }
            });
            world.calls.clone().wait_for(|calls| *calls == 1).await.unwrap();
            if goes_away {
                attack.abort();
            }
            let victim = Party::Victim.identity().unwrap();
            let (got, ()) = tokio::join!(world.get(&victim, "/x/1"), async {
                if goes_away {
                    gate.add_permits(2);
                } else {
                    open_when_joined(&world, &gate, 1, 2).await;
                }
            });
            assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "good"), "{lifetime:?} {goes_away}");
        }
    }
}

/// The attacker's request makes the service hang: those who wait are told so within the limit, and whoever asks after
/// it asks anew.
#[tokio::test(start_paused = true)]
async fn an_attacker_who_hangs_the_service_holds_others_up_no_longer_than_the_limit() {
    for lifetime in lifetimes() {
        let (world, gate) =
            gated(shared(lifetime, Sharing::Public), |_| with(200, &[("cache-control", "max-age=60")], "good")).await;
        let (evil, victim) = (Party::Evil.identity().unwrap(), Party::Victim.identity().unwrap());
        let began = tokio::time::Instant::now();
        let (one, other) = tokio::join!(world.get(&evil, "/x/1"), world.get(&victim, "/x/1"));
        assert_eq!(one.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(other.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(began.elapsed() <= Duration::from_secs(60), "{:?}", began.elapsed());
        gate.add_permits(10);
        assert_eq!(world.get(&victim, "/x/1").await.status, StatusCode::OK);
    }
}
