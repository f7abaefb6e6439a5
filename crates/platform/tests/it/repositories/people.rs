//! Who uses the platform: requests, approvals, clients of members, sessions, contexts.

use platform::{
    store::{
        Conflict,
        repositories::{
            Scope,
            clients::{self, ClientsOf},
            context, flows, memberships, sessions,
            users::{self, AccessRequest},
        },
    },
    views::{Role, UserStatus},
};
use uuid::Uuid;

use super::{conflict, is_not_found};

use crate::support::{
    database::Database,
    on_both_databases,
    world::{World, at, new_flow, new_user},
};

on_both_databases!(
    a_user_comes_in_by_request_and_approval,
    a_rejected_user_stays_out_and_keeps_the_address,
    addresses_are_unique_without_case,
    administrators_see_all_clients_and_members_their_own,
    access_that_is_taken_takes_the_defaults_along,
    where_somebody_starts_is_decided_with_one_statement,
    sessions_end_by_revocation_by_time_and_with_their_user,
    a_context_holds_what_the_user_stands_in,
    times_come_back_as_they_went_in,
);

async fn a_user_comes_in_by_request_and_approval(database: Database) {
    let world = World::build(database.migrated().await).await;
    let db = world.store.read();
    let pending = users::pending_approvals(db).await.unwrap().items;
    assert_eq!(pending.len(), 1);
    assert_eq!((pending[0].user_id, pending[0].reason.as_deref().map(String::as_str)), (world.paul, Some("audit")));
    world.write(async |w| users::approve(w, world.paul, world.acme.0, Role::ClientAdmin, at(30)).await).await;
    assert_eq!(users::pending_approvals(db).await.unwrap().items, []);
    let paul = users::admin_user(db, Scope::All, world.paul).await.unwrap();
    assert_eq!(paul.status, UserStatus::Active);
    assert_eq!((paul.memberships[0].client_name.as_str(), paul.memberships[0].role), ("Acme", Role::ClientAdmin));
    let again = world.refused(async |w| users::approve(w, world.paul, world.acme.0, Role::Analyst, at(31)).await).await;
    assert_eq!(conflict(again), Conflict::NotPending);
    let nobody =
        world.refused(async |w| users::approve(w, Uuid::nil(), world.acme.0, Role::Analyst, at(31)).await).await;
    is_not_found(&nobody, "user");
}

async fn a_rejected_user_stays_out_and_keeps_the_address(database: Database) {
    let world = World::build(database.migrated().await).await;
    world.write(async |w| users::reject(w, world.paul, at(30)).await).await;
    let db = world.store.read();
    assert_eq!(users::by_id(db, world.paul).await.unwrap().status, UserStatus::Disabled);
    assert_eq!(users::pending_approvals(db).await.unwrap().items, []);
    let request = AccessRequest::default();
    let again = world.refused(async |w| users::register(w, &new_user("paul"), &request, at(31)).await).await;
    assert_eq!(conflict(again), Conflict::EmailTaken);
}

async fn addresses_are_unique_without_case(database: Database) {
    let world = World::build(database.migrated().await).await;
    let upper = users::NewUser { email: " CARL@Example.COM".to_owned(), ..new_user("carl") };
    let taken = world.refused(async |w| users::create_active(w, &upper, false, at(30)).await).await;
    assert_eq!(conflict(taken), Conflict::EmailTaken);
    let carl = users::credentials(world.store.read(), "Carl@example.com").await.unwrap().unwrap();
    assert_eq!((carl.user.id, carl.password_hash.as_str()), (world.carl, "hash of carl"));
    assert!(users::credentials(world.store.read(), "nobody@example.com").await.unwrap().is_none());
}

async fn administrators_see_all_clients_and_members_their_own(database: Database) {
    let world = World::build(database.migrated().await).await;
    let db = world.store.read();
    let names = async |user| {
        let clients = memberships::clients_of(db, user).await.unwrap().items;
        clients
            .into_iter()
            .map(|client| (client.name, client.role.unwrap(), client.engagement_count))
            .collect::<Vec<_>>()
    };
    let (acme, globex) = ("Acme".to_owned(), "Globex".to_owned());
    assert_eq!(
        names(world.ada).await,
        [(acme.clone(), Role::PlatformAdmin, 2), (globex.clone(), Role::PlatformAdmin, 1)]
    );
    assert_eq!(names(world.anna).await, [(acme.clone(), Role::Analyst, 2), (globex, Role::Analyst, 1)]);
    assert_eq!(names(world.carl).await, [(acme, Role::ClientAdmin, 2)]);
    assert_eq!(names(world.paul).await, []);
    let administered = clients::list(db, ClientsOf::Administrator(world.carl)).await.unwrap().items;
    assert_eq!(administered.iter().map(|client| client.id).collect::<Vec<_>>(), [world.acme.0]);
    assert_eq!((administered[0].user_count, administered[0].engagement_count), (2, 2));
    assert_eq!(clients::list(db, ClientsOf::Administrator(world.anna)).await.unwrap().items, []);
    assert_eq!(clients::list(db, ClientsOf::Everybody).await.unwrap().items.len(), 2);
    assert_eq!(users::list(db, Scope::All).await.unwrap().items.len(), 5);
    let of_acme = users::list(db, Scope::Client(world.acme)).await.unwrap().items;
    assert_eq!(of_acme.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["anna", "carl"]);
}

async fn access_that_is_taken_takes_the_defaults_along(database: Database) {
    let world = World::build(database.migrated().await).await;
    world.write(async |w| memberships::revoke(w, world.anna, world.acme.0, at(30)).await).await;
    let db = world.store.read();
    assert_eq!(users::defaults(db, world.anna).await.unwrap().client_account_id, Some(world.globex.0));
    world.write(async |w| memberships::revoke(w, world.anna, world.globex.0, at(31)).await).await;
    let defaults = users::defaults(db, world.anna).await.unwrap();
    assert_eq!((defaults.client_account_id, defaults.engagement_id), (None, None));
    let again = world.refused(async |w| memberships::revoke(w, world.anna, world.globex.0, at(32)).await).await;
    is_not_found(&again, "member");
    assert_eq!(memberships::role(db, world.anna, world.acme.0).await.unwrap(), None);
    assert_eq!(memberships::role(db, world.ada, world.acme.0).await.unwrap(), Some(Role::PlatformAdmin));
}

async fn where_somebody_starts_is_decided_with_one_statement(database: Database) {
    let world = World::build(database.migrated().await).await;
    let (acme, globex) = (Some(world.acme.0), Some(world.globex.0));
    let choose = async |user, client, engagement| {
        let choice = async |w: &mut _| {
            let before = world.store.queries().statements();
            let chosen = users::set_defaults(w, user, client, engagement, at(30)).await?;
            assert_eq!((chosen.user_id, chosen.client_account_id, chosen.engagement_id), (user, client, engagement));
            Ok(world.store.queries().statements() - before)
        };
        world.write(choice).await
    };
    for (user, client, engagement, statements) in [
        (world.anna, acme, Some(world.acme_apps), 2),
        (world.anna, acme, Some(world.acme_apps), 1),
        (world.anna, acme, None, 2),
        (world.anna, None, None, 2),
        (world.anna, None, None, 1),
        // Who has never chosen, and who administers the platform.
        (world.gus, globex, Some(world.globex_dc), 2),
        (world.ada, globex, Some(world.globex_dc), 2),
    ] {
        assert_eq!(choose(user, client, engagement).await, statements, "{client:?} {engagement:?}");
    }
    let refused = async |user, client, engagement| {
        world.refused(async |w| users::set_defaults(w, user, client, engagement, at(31)).await).await
    };
    is_not_found(&refused(Uuid::nil(), acme, None).await, "user");
    is_not_found(&refused(world.gus, acme, None).await, "client");
    is_not_found(&refused(world.gus, acme, Some(world.acme_dc)).await, "client");
    is_not_found(&refused(world.ada, Some(Uuid::nil()), None).await, "client");
    is_not_found(&refused(world.anna, acme, Some(world.globex_dc)).await, "engagement");
    is_not_found(&refused(world.anna, None, Some(world.acme_dc)).await, "engagement");
}

async fn sessions_end_by_revocation_by_time_and_with_their_user(database: Database) {
    let world = World::build(database.migrated().await).await;
    let db = world.store.read();
    let until = at(100);
    let session = world.write(async |w| sessions::create(w, world.anna, at(30), until).await).await;
    let principal = sessions::principal(db, session, at(99)).await.unwrap().unwrap();
    assert_eq!(principal.user.id, world.anna);
    assert_eq!(
        principal.roles.iter().map(|role| role.client_account_id).collect::<Vec<_>>(),
        [world.acme.0, world.globex.0]
    );
    assert_eq!((principal.default_client_account_id, principal.expires_at), (Some(world.globex.0), until));
    assert_eq!(sessions::principal(db, session, at(100)).await.unwrap(), None);
    world.write(async |w| sessions::extend(w, session, at(99), at(200)).await).await;
    assert!(sessions::principal(db, session, at(150)).await.unwrap().is_some());
    world.write(async |w| sessions::revoke(w, session, at(150)).await).await;
    assert_eq!(sessions::principal(db, session, at(151)).await.unwrap(), None);
    let gone = world.refused(async |w| sessions::extend(w, session, at(151), at(300)).await).await;
    is_not_found(&gone, "session");

    assert!(sessions::principal(db, world.anna_session, at(151)).await.unwrap().is_some());
    world.write(async |w| users::set_status(w, world.anna, UserStatus::Disabled, at(151)).await).await;
    assert_eq!(sessions::principal(db, world.anna_session, at(152)).await.unwrap(), None);
    world.write(async |w| users::set_status(w, world.anna, UserStatus::Active, at(153)).await).await;
    assert_eq!(sessions::principal(db, world.anna_session, at(154)).await.unwrap(), None, "revoked for good");
    assert_eq!(world.write(async |w| sessions::delete_over(w, at(500)).await).await, 1);
    assert_eq!(sessions::principal(db, Uuid::nil(), at(0)).await.unwrap(), None);
}

async fn a_context_holds_what_the_user_stands_in(database: Database) {
    let world = World::build(database.migrated().await).await;
    let db = world.store.read();
    let carl = context::full(db, Some(world.acme), world.carl).await.unwrap();
    assert_eq!(carl.me.client.as_ref().unwrap().name, "Acme");
    assert_eq!(carl.me.engagement.as_ref().unwrap().id, world.acme_dc);
    assert_eq!(carl.me.active_flows.iter().map(|flow| flow.id).collect::<Vec<_>>(), [world.acme_flow]);
    assert_eq!((carl.me.role, carl.clients.len(), carl.engagements.len()), (Some(Role::ClientAdmin), 1, 2));
    assert!(carl.me.permissions.contains(&"users:manage".to_owned()));
    assert_eq!(carl.me, context::me(db, Some(world.acme), world.carl).await.unwrap());
    let anna = context::me(db, Some(world.acme), world.anna).await.unwrap();
    assert_eq!(anna.engagement, None, "she starts in another client's");
    let ada = context::full(db, None, world.ada).await.unwrap();
    assert_eq!((ada.me.client, ada.me.role, ada.clients.len()), (None, Some(Role::PlatformAdmin), 2));
    assert!(ada.me.permissions.contains(&"clients:manage".to_owned()));
    let standing = context::standing(db, Some(world.acme), world.carl).await.unwrap();
    assert_eq!((&standing.user, &standing.client), (&carl.me.user, &carl.me.client));
    assert_eq!((standing.role, &standing.permissions), (carl.me.role, &carl.me.permissions));
    let standing = context::standing(db, None, world.ada).await.unwrap();
    assert_eq!((standing.client, standing.role), (None, Some(Role::PlatformAdmin)));
    is_not_found(&context::standing(db, Some(world.globex), world.carl).await.unwrap_err(), "client");
    is_not_found(&context::me(db, Some(world.globex), world.carl).await.unwrap_err(), "client");
    is_not_found(&context::me(db, None, Uuid::nil()).await.unwrap_err(), "user");
}

async fn times_come_back_as_they_went_in(database: Database) {
    let world = World::build(database.migrated().await).await;
    let odd = at(40) + chrono::TimeDelta::nanoseconds(123_456_789);
    let flow =
        world.write(async |w| flows::create(w, world.acme, &new_flow(world.acme_dc, world.anna, "t"), odd).await).await;
    assert_eq!(flow.created_at, at(40) + chrono::TimeDelta::microseconds(123_456));
    assert_eq!(flows::by_id(world.store.read(), world.acme, flow.summary.id).await.unwrap(), flow);
}
