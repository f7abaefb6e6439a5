//! Live events, over sockets and as server-sent events: nothing of one client is told to another, whatever is done.

use axum::http::Method;
use serde_json::json;

use super::{
    super::{
        nodes::Nodes,
        sockets::{EventStream, listen, listen_on},
        world::{OPERATOR, World},
    },
    table::{Does, Needs, operations},
    tiers::{Attacker, Owners, attackers},
};

/// Has everything read that can be: whoever was shown something is told of its changes.
async fn is_shown_everything(attacker: &Attacker) {
    for operation in operations().into_iter().filter(|operation| operation.does == Does::Reads) {
        for target in operation.targets(&attacker.own) {
            operation.ask(&attacker.person, &target, &attacker.own, &[]).await;
        }
    }
}

/// Every change that there is, in the owners' client; the last one is its end.
async fn everything_is_done(node: &World, owners: &Owners) -> Vec<String> {
    let operator = node.sign_in(OPERATOR).await;
    let ids = super::super::world::Ids { user: owners.analyst.id.clone(), ..owners.ids.clone() };
    let mut done = Vec::new();
    for operation in operations().into_iter().filter(|operation| operation.does == Does::Changes) {
        let who = match operation.needs {
            Needs::Operator | Needs::HiddenOperator => &operator,
            _ => &owners.admin,
        };
        for target in operation.targets(&ids) {
            let answer = operation.ask(who, &target, &ids, &[]).await;
            assert!(answer.status.is_success(), "{} {target} could not be done: {answer:?}", operation.method);
            done.push(operation.name());
            if operation.method == Method::POST && operation.path == "/imports" {
                owners.admin.finished(answer.body["import_id"].as_str().unwrap()).await;
            }
        }
    }
    done
}

#[tokio::test]
async fn of_what_is_done_in_one_client_nobody_of_another_is_told() {
    let nodes = Nodes::start().await;
    let owners = Owners::of(&nodes.one).await;
    let addresses = [listen_on(&nodes.one).await, listen_on(&nodes.two).await];
    let mut attackers = attackers(&nodes.one).await;
    // Operators are told of every client: they see lists of all.
    attackers.retain(|attacker| attacker.is != Needs::Operator);
    let mut listening = Vec::new();
    for (node, address) in [&nodes.one, &nodes.two].into_iter().zip(&addresses) {
        for attacker in attackers.iter().map(|attacker| attacker.at(node)) {
            let socket = listen(address, &attacker.person).await;
            let stream = EventStream::open(node, &attacker.person).await;
            is_shown_everything(&attacker).await;
            listening.push((attacker, socket, stream));
        }
    }
    let mut told = Vec::new();
    for (node, address) in [&nodes.one, &nodes.two].into_iter().zip(&addresses) {
        told.push(listen(address, &owners.admin).await);
        owners.view(node).await;
    }
    let done = everything_is_done(&nodes.one, &owners).await;
    assert!(done.len() >= 18, "only this was done: {done:#?}");
    for socket in told {
        let count = socket.told_until_closed().await;
        assert!(count >= 10, "the owners were told {count} times only of what they did themselves");
    }
    // What happened there has reached both nodes. Now something happens here: that is the first thing to be told.
    let (admin, own) = (&attackers[0].person, &attackers[0].own);
    let review = format!("/field-mappings/{}/bulk-approve", own.import);
    admin.post(&review, json!({ "mapping_ids": [own.mapping] })).await.expect(200);
    for (attacker, mut socket, mut stream) in listening {
        let said = socket.next().await;
        assert_eq!(
            said["data"]["import_id"],
            own.import.as_str(),
            "{} was told of another client: {said}",
            attacker.who
        );
        assert!(socket.is_silent().await, "{} was told of another client", attacker.who);
        let said = stream.until(&own.import).await;
        assert_eq!(
            said.matches("cache_invalidation").count(),
            1,
            "{} was told of another client: {said}",
            attacker.who
        );
    }
}
