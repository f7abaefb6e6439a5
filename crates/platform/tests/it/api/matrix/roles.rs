//! Those who have no session, or have less than they had: what they were shown before is kept, and not for them.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    super::{
        nodes::Nodes,
        world::{ADMIN, ANALYST, Ids, OPERATOR, Person, World},
    },
    shown::{ACME, Secrets},
    table::{Does, Needs, Operation, operations},
};

const WAIT: std::time::Duration = std::time::Duration::from_secs(30);

/// Acme, with everything that its people may read kept at each node.
struct Before {
    operator: Person,
    admin: Person,
    analyst: Person,
    ids: Ids,
    secrets: Secrets,
}

impl Before {
    async fn at(nodes: &[&World]) -> Self {
        let (admin, analyst) = (nodes[0].sign_in(ADMIN).await, nodes[0].sign_in(ANALYST).await);
        let (operator, ids) = (nodes[0].sign_in(OPERATOR).await, admin.ids().await);
        let mut secrets = None;
        for node in nodes {
            secrets = Some(Secrets::of(&[&admin.at(node), &analyst.at(node)], &ids, ACME).await);
        }
        Self { operator, admin, analyst, ids, secrets: secrets.expect("there is a node") }
    }
}

fn all_but_public() -> impl Iterator<Item = Operation> {
    operations().into_iter().filter(|operation| operation.needs != Needs::Nothing)
}

/// Every operation, with ids that are kept: 401, whatever it is. Signing out is done, also when it was done before.
async fn is_let_in_nowhere(person: &Person, before: &Before) {
    let mut asked = 0;
    for operation in all_but_public() {
        for target in operation.targets(&before.ids) {
            for method in [operation.method.clone(), Method::HEAD] {
                if method == Method::HEAD && operation.method != Method::GET {
                    continue;
                }
                let answer = match method {
                    Method::HEAD => person.ask(method, &target, None, &[]).await,
                    _ => operation.ask(person, &target, &before.ids, &[]).await,
                };
                let is_out = operation.path == "/auth/logout" && answer.status.as_u16() == 204;
                assert!(is_out || answer.status.as_u16() == 401, "{} {target}: {answer:?}", operation.method);
                assert!(!answer.is_hit() && !answer.headers.contains_key("cache-groups"), "{target}: {answer:?}");
                assert!(!answer.headers.contains_key("etag"), "{target}: {answer:?}");
                before.secrets.are_not_in(&answer, &target);
                asked += 1;
            }
        }
    }
    assert!(asked > 100, "only {asked} requests were tried");
}

/// Asks until the answer is another one: word of what happened at one node travels to the next.
async fn until(person: &Person, path: &str, status: u16) {
    let asked = async {
        while person.get(path).await.status.as_u16() != status {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT, asked).await.unwrap_or_else(|_| panic!("{path} is never answered with {status}"));
}

#[tokio::test]
async fn nobody_is_let_in_nowhere() {
    let world = World::new().await;
    let before = Before::at(&[&world]).await;
    let nobody = world.nobody();
    is_let_in_nowhere(&nobody, &before).await;
    is_let_in_nowhere(&nobody.acting_for(&before.ids.client), &before).await;
    is_let_in_nowhere(&nobody.by_cookie(), &before).await;
    let forged = before.admin.with_token(format!("{}x", before.admin.token));
    is_let_in_nowhere(&forged, &before).await;
}

#[tokio::test]
async fn who_has_signed_out_is_let_in_nowhere_at_every_node() {
    let nodes = Nodes::start().await;
    let before = Before::at(&[&nodes.one, &nodes.two]).await;
    // Another session of the same user: what is kept for the user stays.
    let there = nodes.two.sign_in(ADMIN).await;
    before.admin.post("/auth/logout", Value::Null).await.expect(204);
    is_let_in_nowhere(&before.admin, &before).await;
    is_let_in_nowhere(&before.admin.by_cookie(), &before).await;
    let elsewhere = before.admin.at(&nodes.two);
    until(&elsewhere, "/context/me", 401).await;
    is_let_in_nowhere(&elsewhere, &before).await;
    there.get("/context/me").await.expect(200);
}

#[tokio::test]
async fn who_is_no_administrator_any_more_reads_nothing_of_what_administrators_do_at_every_node() {
    let nodes = Nodes::start().await;
    let before = Before::at(&[&nodes.one, &nodes.two]).await;
    let (admin, ids) = (&before.admin, &before.ids);
    let role = json!({ "role": "analyst", "client_account_id": ids.client });
    before.operator.put(&format!("/users/{}/roles", admin.id), role).await.expect(200);
    until(&admin.at(&nodes.two), "/admin/users", 403).await;
    for node in [&nodes.one, &nodes.two] {
        let (demoted, analyst) = (admin.at(node), before.analyst.at(node));
        for operation in all_but_public().filter(|operation| operation.does != Does::Listens) {
            if operation.needs == Needs::Membership && !operation.is_read() {
                continue;
            }
            for target in operation.targets(ids) {
                let answer = operation.ask(&demoted, &target, ids, &[]).await;
                let expected = match operation.needs {
                    Needs::Membership => &[200][..],
                    _ => &[403, 404],
                };
                assert!(expected.contains(&answer.status.as_u16()), "{} {target}: {answer:?}", operation.method);
                if operation.needs != Needs::Membership {
                    assert!(!answer.is_hit() && !answer.headers.contains_key("etag"), "{target}: {answer:?}");
                    // The same as to somebody who never was one.
                    if !target.contains(&admin.id) {
                        let compared = operation.ask(&analyst, &target, ids, &[]).await;
                        assert_eq!((answer.status, answer.body), (compared.status, compared.body), "{target}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn who_has_no_part_any_more_is_shown_nothing_of_the_client_at_every_node() {
    let nodes = Nodes::start().await;
    let before = Before::at(&[&nodes.one, &nodes.two]).await;
    let (analyst, ids) = (&before.analyst, &before.ids);
    let secrets = &before.secrets.but(&[&analyst.id, ANALYST]);
    before.admin.delete(&format!("/users/{}/clients/{}", analyst.id, ids.client)).await.expect(200);
    until(&analyst.at(&nodes.two), "/engagements", 400).await;
    let mut asked = 0;
    for expelled in [analyst.clone(), analyst.at(&nodes.two), analyst.by_cookie(), analyst.acting_for(&ids.client)] {
        for operation in all_but_public() {
            if matches!(operation.does, Does::Aside | Does::Listens) {
                continue;
            }
            let own = Ids { user: analyst.id.clone(), ..ids.clone() };
            for target in operation.targets(&own) {
                let answer = operation.ask(&expelled, &target, &own, &[]).await;
                secrets.are_not_in(&answer, &target);
                let is_own = operation.path.starts_with("/context") || operation.path.starts_with("/users/");
                assert!(
                    is_own || answer.status.is_client_error() || operation.path == "/target-attributes",
                    "{target}: {answer:?}"
                );
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "only {asked} requests were tried");
}
