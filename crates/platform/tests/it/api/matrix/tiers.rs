//! Another client's ids, asked for when they are in no tier, in this node's memory, and in Redis.

use axum::http::Method;
use platform::api;
use serde_json::{Value, json};
use unstale::testing::Folder;

use super::{
    super::{
        nodes::Nodes,
        world::{ADMIN, ANALYST, Answer, Ids, OPERATOR, OTHER_ADMIN, OTHER_ANALYST, Person, World},
    },
    shown::{GLOBEX, Secrets},
    table::{Does, Needs, Operation, operations},
};

/// Ways of asking beside the plain one.
const WAYS: &[&str] = &["head", "batch", "cookie", "validator"];
/// Without the one that has the owners read.
const COLD_WAYS: &[&str] = &["head", "batch", "cookie"];

/// The owners: their sessions and ids.
pub(super) struct Owners {
    pub(super) admin: Person,
    pub(super) analyst: Person,
    pub(super) ids: Ids,
}

impl Owners {
    pub(super) async fn of(world: &World) -> Self {
        let (admin, analyst) = (world.sign_in(OTHER_ADMIN).await, world.sign_in(OTHER_ANALYST).await);
        // So that there is one to be read, and to be taken back.
        let ids = admin.ids().await;
        let address = &admin.get(&format!("/field-mappings/{}", ids.import)).await.body["items"][1]["sample_values"][0];
        let correction = json!({ "position": 1, "value": address, "replacement": "corrected" });
        let path = format!("/data-cleansing/{}/corrections", ids.import);
        admin.post(&path, json!({ "corrections": [correction] })).await.expect(200);
        Self { ids: admin.ids().await, admin, analyst }
    }

    async fn secrets(&self) -> Secrets {
        Secrets::of(&[&self.admin, &self.analyst], &self.ids, GLOBEX).await
    }

    /// What they read, and whether it was kept: to see that nothing was changed.
    pub(super) async fn view(&self, node: &World) -> Vec<(String, bool, Value)> {
        let mut seen = Vec::new();
        for operation in operations().into_iter().filter(|operation| operation.does == Does::Reads) {
            for target in operation.targets(&self.ids) {
                let answer = operation.ask(&self.admin.at(node), &target, &self.ids, &[]).await.expect(200);
                // Who was seen when moves by itself.
                let body = if target.contains("users") { Value::Null } else { answer.body.clone() };
                seen.push((target, answer.is_hit(), body));
            }
        }
        seen
    }
}

/// Somebody of another client.
pub(super) struct Attacker {
    pub(super) who: &'static str,
    pub(super) person: Person,
    pub(super) own: Ids,
    /// What they are to their own client.
    pub(super) is: Needs,
}

pub(super) async fn attackers(world: &World) -> Vec<Attacker> {
    let (admin, analyst, operator) =
        (world.sign_in(ADMIN).await, world.sign_in(ANALYST).await, world.sign_in(OPERATOR).await);
    let own = admin.ids().await;
    let visiting = operator.acting_for(&own.client);
    let of_analyst = Ids { user: analyst.id.clone(), ..own.clone() };
    let of_operator = Ids { user: operator.id.clone(), ..own.clone() };
    vec![
        Attacker { who: ADMIN, person: admin, own, is: Needs::Administrator },
        Attacker { who: ANALYST, person: analyst, own: of_analyst, is: Needs::Membership },
        Attacker { who: "an operator for Acme", person: visiting, own: of_operator, is: Needs::Operator },
    ]
}

impl Attacker {
    fn may(&self, operation: &Operation) -> bool {
        match operation.needs {
            Needs::Nothing | Needs::Membership => true,
            Needs::Administrator => self.is != Needs::Membership,
            Needs::Operator | Needs::HiddenOperator => self.is == Needs::Operator,
        }
    }

    /// Whether nobody else's ids are anything to them in this operation. Operators may administer every client and
    /// every user, whichever client they act for.
    fn is_shut_out(&self, operation: &Operation) -> bool {
        let is_everybodys = operation.path.contains("{client_id}")
            || operation.path.contains("{user_id}")
            || operation.path == "/context-establishment/engagements"
            || matches!(operation.does, Does::Listens)
            || (operation.method == Method::POST && operation.path == "/admin/engagements");
        operation.names_something() && !(self.is == Needs::Operator && is_everybodys)
    }

    /// At another node.
    pub(super) fn at(&self, node: &World) -> Self {
        Self { who: self.who, person: self.person.at(node), own: self.own.clone(), is: self.is }
    }

    /// Everything of their own: what they may read they get, what they may not is refused, and nothing of others is in it.
    async fn asks_for_their_own(&self, secrets: &Secrets, is_first: bool) -> usize {
        let mut asked = 0;
        for operation in operations() {
            // The trail tells them which ids they have tried themselves.
            if !operation.is_read() || (operation.does == Does::ReadsTrail && !is_first) {
                continue;
            }
            let is_platforms = self.is == Needs::Operator && operation.does == Does::ReadsAnew;
            for target in operation.targets(&self.own) {
                let answer = operation.ask(&self.person, &target, &self.own, &[]).await;
                let expected = match operation.needs {
                    _ if self.may(&operation) => 200,
                    Needs::HiddenOperator => 404,
                    _ => 403,
                };
                assert_eq!(answer.status.as_u16(), expected, "{}: {target}: {answer:?}", self.who);
                // Operators may choose among all clients, whichever they act for.
                let lists_clients = target.ends_with("clients") || target == "/context/full";
                let sees_all = is_platforms || self.is == Needs::Operator && lists_clients;
                if !sees_all {
                    secrets.are_not_in(&answer, &target);
                }
                asked += 1;
            }
        }
        asked
    }

    /// Everything with the ids of others: refused, as ids are that nobody has.
    async fn asks_for_theirs(&self, owners: &Owners, secrets: &Secrets, ways: &[&str]) -> usize {
        let (theirs, unknown) = (&owners.ids, Ids::unknown());
        let mut asked = 0;
        for operation in operations().iter().filter(|operation| self.is_shut_out(operation)) {
            for (target, other) in operation.targets(theirs).iter().zip(operation.targets(&unknown)) {
                let answer = operation.ask(&self.person, target, theirs, &[]).await;
                let compared = operation.ask(&self.person, &other, &unknown, &[]).await;
                self.is_refused(operation, target, &answer, &compared, secrets);
                asked += 1;
                if !operation.is_read() {
                    continue;
                }
                for way in ways {
                    let answer = self.ask_by(way, operation, target, owners).await;
                    let compared = self.ask_by(way, operation, &other, owners).await;
                    self.is_refused(operation, &format!("{way} {target}"), &answer, &compared, secrets);
                    asked += 1;
                }
            }
        }
        asked
    }

    async fn ask_by(&self, way: &str, operation: &Operation, target: &str, owners: &Owners) -> Answer {
        match way {
            "head" => self.person.ask(Method::HEAD, target, None, &[]).await,
            "validator" => {
                let kept = operation.ask(&owners.admin, target, &owners.ids, &[]).await;
                let validators = ["\"x\"", kept.header("etag")].join(", ");
                self.person.get_with(target, &[("if-none-match", &validators)]).await
            }
            "batch" => {
                let one = json!({ "id": "1", "path": format!("{}{target}", api::BASE) });
                self.person.post("/batch", json!({ "requests": [one] })).await.expect(200).batched()
            }
            "cookie" => self.person.by_cookie().get(target).await,
            way => unreachable!("{way}"),
        }
    }

    fn is_refused(&self, operation: &Operation, target: &str, answer: &Answer, compared: &Answer, secrets: &Secrets) {
        let who = self.who;
        let expected: &[u16] = if self.may(operation) { &[404] } else { &[403, 404] };
        assert!(expected.contains(&answer.status.as_u16()), "{who}: {} {target}: {answer:?}", operation.method);
        let (got, nobodys) = ((answer.status, &answer.body), (compared.status, &compared.body));
        assert_eq!(got, nobodys, "{who}: {} {target} tells that it exists", operation.method);
        assert!(!answer.is_hit(), "{who}: {target} was answered from the cache: {answer:?}");
        for name in ["cache-groups", "etag", "unstale-position"] {
            assert!(!answer.headers.contains_key(name), "{who}: {target} has {name}: {answer:?}");
        }
        secrets.are_not_in(answer, target);
    }

    /// Naming the owners' client is as naming none that exists.
    async fn acts_for_theirs(&self, owners: &Owners) -> usize {
        if self.is == Needs::Operator {
            return 0;
        }
        let (theirs, nobodys) =
            (self.person.acting_for(&owners.ids.client), self.person.acting_for(&Ids::unknown().client));
        let mut asked = 0;
        for operation in operations().iter().filter(|operation| operation.needs != Needs::Nothing) {
            // Sockets name their client in the query; who signs out does so from all of them.
            if operation.does == Does::Listens
                || operation.path.starts_with("/auth/re")
                || operation.path == "/auth/logout"
            {
                continue;
            }
            for target in operation.targets(&owners.ids) {
                let answer = operation.ask(&theirs, &target, &owners.ids, &[]).await.expect(404);
                let compared = operation.ask(&nobodys, &target, &owners.ids, &[]).await;
                assert_eq!(answer.body, compared.body, "{}: {target}", self.who);
                assert!(!answer.is_hit() && !answer.headers.contains_key("cache-groups"), "{target}: {answer:?}");
                asked += 1;
            }
        }
        asked
    }
}

/// All attackers, everything.
async fn attack(node: &World, attackers: &[Attacker], owners: &Owners, secrets: &Secrets, is_first: bool) {
    let mut asked = 0;
    for attacker in attackers {
        let attacker = attacker.at(node);
        asked += attacker.asks_for_their_own(secrets, is_first).await;
        asked += attacker.asks_for_theirs(owners, secrets, WAYS).await;
        asked += attacker.acts_for_theirs(owners).await;
    }
    assert!(asked > 500, "only {asked} requests were tried");
}

/// Nothing of the owners' is kept anywhere: they have read at another node, which shares nothing but the database.
#[tokio::test]
async fn from_the_database() {
    let folder = Folder::new();
    let database = format!("sqlite://{}?mode=rwc", folder.path().join("shared.db").display());
    let settings = [("DATABASE_URL", database.as_str())];
    let elsewhere = World::with(&settings).await;
    let (attackers, owners) = (attackers(&elsewhere).await, Owners::of(&elsewhere).await);
    let secrets = owners.secrets().await;
    let node = World::beside(&elsewhere, &settings).await;
    for attacker in attackers {
        let attacker = attacker.at(&node);
        attacker.asks_for_theirs(&owners, &secrets, COLD_WAYS).await;
        attacker.asks_for_their_own(&secrets, false).await;
        attacker.acts_for_theirs(&owners).await;
    }
    assert!(owners.view(&node).await.iter().all(|(_, is_hit, _)| !is_hit), "it was not loaded from the database");
}

#[tokio::test]
async fn from_memory() {
    let world = World::new().await;
    let (attackers, owners) = (attackers(&world).await, Owners::of(&world).await);
    let secrets = owners.secrets().await;
    let before = owners.view(&world).await;
    assert!(before.iter().all(|(_, is_hit, _)| *is_hit), "{before:?}");
    attack(&world, &attackers, &owners, &secrets, true).await;
    assert_eq!(owners.view(&world).await, before, "what was refused has changed or ended something");
}

#[tokio::test]
async fn from_redis_and_from_the_memory_that_it_filled() {
    let nodes = Nodes::start().await;
    let (attackers, owners) = (attackers(&nodes.one).await, Owners::of(&nodes.one).await);
    let secrets = owners.secrets().await;
    let held = owners.view(&nodes.one).await;
    // The other node has nothing in memory yet: whatever it finds, it finds in Redis.
    attack(&nodes.two, &attackers, &owners, &secrets, true).await;
    let found = owners.view(&nodes.two).await;
    let hits = found.iter().filter(|(_, is_hit, _)| *is_hit).count();
    assert!(hits * 10 >= found.len() * 9, "what was asked for was not in Redis: {found:?}");
    let bodies =
        |view: Vec<(String, bool, Value)>| view.into_iter().map(|(target, _, body)| (target, body)).collect::<Vec<_>>();
    assert_eq!(bodies(found), bodies(held.clone()));
    // Now it is in the memory of both.
    attack(&nodes.two, &attackers, &owners, &secrets, false).await;
    attack(&nodes.one, &attackers, &owners, &secrets, false).await;
    assert_eq!(bodies(owners.view(&nodes.one).await), bodies(held));
}
