//! Isolation as a matrix: every operation, in every way of asking, from every tier, for everybody who must not have it.
//!
//! | dimension | values |
//! |---|---|
//! | operation | all of the OpenAPI document; one that [`table`] does not know fails a test, and so does one too many |
//! | tier | loaded from the database · this node's memory · Redis, with the other node's memory empty · the other node's memory, filled from Redis · a stored response asked for by its validator · live events |
//! | who asks | administrator and analyst of another client · an operator who acts for another client · nobody · who has signed out · an administrator who is one no more · a member who is one no more |
//! | way of asking | plainly · `HEAD` · with the owner's `ETag` · in a batch · by cookie · naming the owner's client |
//!
//! Two things are demanded of each answer. To an id of somebody else's it is what it is to an id that nobody has. And
//! whatever is asked, nothing of what the owners were shown is in it: their answers are collected, and every id, address and
//! name in them is looked for, so that no test has to know where a leak might be.
//!
//! Offline copies are in browsers: `web/packages/client/test/offline.test.ts`, `e2e/tests/offline.test.mjs`.

mod live;
mod roles;
mod shown;
mod table;
mod tiers;

use std::collections::BTreeSet;

use axum::http::Method;
use platform::api;

use super::world::{World, post};

#[test]
fn the_table_knows_every_operation_of_the_document_and_no_other() {
    let document = serde_json::to_value(api::document()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        documented.extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let known: BTreeSet<_> = table::operations().iter().map(table::Operation::name).collect();
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(unknown.is_empty(), "say in matrix/table.rs who may do this: {unknown:?}");
    let gone: Vec<_> = known.difference(&documented).collect();
    assert!(gone.is_empty(), "take out of matrix/table.rs what is no more: {gone:?}");
}

/// What the document names differently for a reason is asked for all the same.
#[tokio::test]
async fn what_is_outside_of_the_document_is_for_those_who_are_signed_in() {
    let world = World::new().await;
    for (method, path) in table::undocumented() {
        assert_eq!(method, Method::POST);
        let mut request = post("", &serde_json::json!({}));
        *request.uri_mut() = path.replace("{key}", "x").parse().unwrap();
        world.send(request).await.expect(401);
    }
}
