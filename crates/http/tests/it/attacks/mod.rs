//! Attacks on the cache, each a table of requests in their order.
//!
//! The service behind the layer is as careless as a service can be: it echoes, in its body and in a header, who asked,
//! the URL as it read it, every header and the body of the request. Whatever one party writes, and is mixed up with
//! what another is given, so shows. What must hold for every attack, whatever the route's sharing and whoever gives the
//! lifetimes: nobody is given another party's words, and everybody but the attacker is given a good answer to exactly
//! what they asked for.

mod bodies;
mod headers;
mod identity;
mod limits;
mod urls;
mod waiting;

use http::{StatusCode, header::SET_COOKIE, request};
use unstale_http::{GroupHeader, Identity, Lifetime, OriginLifetime, Query, RoutePolicies, RoutePolicy, Sharing};

use crate::world::{Answer, Got, SentBody, World, minute, request, user, with};

/// Who sends a request. Every word of theirs holds their own name, and nobody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    /// Of the tenant `acme`.
    Evil,
    /// Of the same tenant.
    Victim,
    /// Of another tenant.
    Foreign,
    /// Has no verified identity.
    Stranger,
}

impl Party {
    const ALL: [Self; 4] = [Self::Evil, Self::Victim, Self::Foreign, Self::Stranger];

    fn name(self) -> &'static str {
        match self {
            Self::Evil => "evil",
            Self::Victim => "victim",
            Self::Foreign => "foreign",
            Self::Stranger => "stranger",
        }
    }

    fn identity(self) -> Option<Identity> {
        let tenant = if self == Self::Foreign { "globex" } else { "acme" };
        (self != Self::Stranger).then(|| user(tenant, self.name()))
    }
}

/// A request of an attack. `{route}` in its URL stands for the route that is tried.
#[derive(Clone, Copy, Debug)]
struct Step {
    party: Party,
    method: &'static str,
    url: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

type Lines = &'static [(&'static str, &'static str)];

const fn by(party: Party, url: &'static str, headers: Lines) -> Step {
    Step { party, method: "GET", url, headers, body: "" }
}

const fn evil(url: &'static str, headers: Lines) -> Step {
    by(Party::Evil, url, headers)
}

const fn victim(url: &'static str, headers: Lines) -> Step {
    by(Party::Victim, url, headers)
}

impl Step {
    const fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    const fn body(self, body: &'static str) -> Self {
        Self { body, ..self }
    }
}

/// An attack: its name, what the service says besides its echo, and the requests.
struct Attack<'a>(&'static str, Lines, &'a [Step]);

/// Who may share what is stored, on which routes.
const ROUTES: [(&str, Sharing); 3] =
    [("own", Sharing::PerPrincipal), ("tenant", Sharing::Tenant), ("public", Sharing::Public)];

fn routes(sharing: Sharing, lifetime: Lifetime) -> RoutePolicies {
    let policy = |entity: &'static str| {
        let mut policy = RoutePolicy::cached(entity, minute()).sharing(sharing).groups_from([GroupHeader::CacheGroups]);
        policy.lifetime = lifetime;
        policy
    };
    RoutePolicies::builder()
        .identified_by(["authorization", "cookie", "x-api-key"])
        .route("/x/*", policy("x"))
        .route("/only/*", policy("only").query(Query::only(["page"])))
        .route("/admin/*", RoutePolicy::uncached("admin"))
        .build()
        .unwrap()
}

/// The service: it echoes. What it is declared to give alike to all who share is echoed without who they are.
fn echo(head: &request::Parts, sharing: Sharing, said: Lines) -> Answer {
    let who = head.extensions.get::<Identity>();
    let named = |name: &str| ["authorization", "cookie", "x-api-key"].contains(&name);
    let mut words = vec![format!("url={}", head.uri), format!("method={}", head.method)];
    if sharing != Sharing::Tenant {
        words.push(who.map_or("nobody".into(), |who| format!("who={}/{}", who.tenant(), who.principal())));
    }
    for (name, value) in &head.headers {
        if sharing != Sharing::Tenant || !named(name.as_str()) {
            words.push(format!("{name}={}", String::from_utf8_lossy(value.as_bytes())));
        }
    }
    words.extend(head.extensions.get::<SentBody>().map(|body| format!("body={}", body.0)));
    let text = words.join(" ");
    let mut said = said.to_vec();
    said.push(("x-echo", &text));
    with(200, &said, &text)
}

/// What any party was given, in one text. The validator of an answer is a hash, and echoes nothing.
fn given(got: &Got) -> String {
    let lines = got.headers.iter().map(|(name, value)| format!("{name}: {value:?}"));
    format!("{}\n\n{}", lines.collect::<Vec<_>>().join("\n"), got.body)
}

async fn tried(attack: &Attack<'_>, sharing: Sharing, lifetime: Lifetime) {
    let Attack(name, said, steps) = *attack;
    let lives: Lines = &[("cache-control", "max-age=60")];
    let told: Lines = Vec::leak([lives, said].concat());
    let world =
        World::new(routes(sharing, lifetime), move |head| Box::pin(async move { echo(&head, sharing, told) })).await;
    // Twice: what was stored by the first round must do no harm in the second.
    for round in 0..2 {
        for step in steps {
            let mut sent = request(step.method, step.party.identity().as_ref(), step.url, step.headers);
            step.body.clone_into(sent.body_mut());
            let Ok(got) = world.try_send(sent).await else { panic!("{name}: {step:?} was not answered") };
            let place = format!("{name} ({sharing:?}, {lifetime:?}, round {round}): {step:?} was given {got:?}");
            for other in Party::ALL.into_iter().filter(|other| *other != step.party) {
                assert!(!given(&got).contains(other.name()), "words of {other:?}: {place}");
            }
            if step.party == Party::Evil {
                continue;
            }
            let fine = [StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED];
            assert!(fine.contains(&got.status), "no answer: {place}");
            if got.status == StatusCode::OK && step.method == "GET" {
                let path = step.url.split(['?', '#']).next().unwrap();
                assert!(got.body.contains(&format!("url={path}")), "another URL's answer: {place}");
                if sharing == Sharing::PerPrincipal && step.party != Party::Stranger {
                    assert!(got.body.contains(step.party.name()), "not theirs: {place}");
                }
            }
            assert!(got.x_cache() != "HIT" || !got.headers.contains_key(SET_COOKIE), "a cookie of another: {place}");
        }
    }
}

/// Tries each attack on every kind of route, with lifetimes of the route and of the service.
async fn hold(attacks: &[Attack<'_>]) {
    let origin = Lifetime::Origin(OriginLifetime::default());
    for attack in attacks {
        for (_, sharing) in ROUTES {
            for lifetime in [Lifetime::Route(minute()), origin] {
                tried(attack, sharing, lifetime).await;
            }
        }
    }
}

/// That the table can catch something: with such a service, a cache that shared by URL alone would fail it.
#[tokio::test]
async fn what_is_cached_is_served_from_memory_to_those_it_is_for() {
    for (_, sharing) in ROUTES {
        let world = World::new(routes(sharing, Lifetime::Route(minute())), move |head| {
            Box::pin(async move { echo(&head, sharing, &[]) })
        })
        .await;
        let me = Party::Victim.identity().unwrap();
        assert_eq!(world.get(&me, "/x/1").await.x_cache(), "MISS");
        assert_eq!(world.get(&me, "/x/1").await.x_cache(), "HIT", "{sharing:?}");
    }
}
