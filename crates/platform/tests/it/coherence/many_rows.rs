//! Lists of more rows than are recorded singly.

use platform::{
    coherence::{Views, Write},
    store::repositories::{
        Scope,
        assets::AssetQuery,
        clients::{self, ClientsOf},
        engagements,
        flows::{self, FlowFilter},
        mappings, memberships, users,
    },
    views::{Role, UserStatus},
};
use unstale::ReadOptions;

use super::seen;
use crate::{
    repositories::VOCABULARY,
    support::{
        database::Database,
        world::{World, at, client_data, engagement_data, import_file, new_flow, new_user},
    },
};

/// They carry a tag that covers them all.
#[tokio::test]
async fn many_rows_are_covered() {
    let database = Database::sqlite();
    let world = World::build(database.migrated().await).await;
    let (acme, many) = (world.acme, platform::coherence::tags::ROWS_TAGGED_MAX + 2);
    let build = async |w: &mut Write| {
        let (mut last_client, mut last_engagement, mut last_owner) = (world.acme.0, world.acme_dc, world.carl);
        let mut last_import = world.acme_import;
        for number in 0..many {
            last_client = clients::create(w, &client_data(&format!("Client {number}")), at(40)).await?.id;
            memberships::grant(w, world.anna, last_client, Role::ClientAdmin, at(40)).await?;
            last_owner = users::create_active(w, &new_user(&format!("owner{number}")), false, at(40)).await?.id;
            last_engagement = engagements::create(w, acme, &engagement_data(&format!("E{number}")), at(40)).await?.id;
            let flow = flows::create(w, acme, &new_flow(last_engagement, last_owner, "f"), at(40)).await?.summary.id;
            last_import = import_file(w, acme, last_engagement, Some(flow), last_owner, 1).await?;
        }
        Ok((last_client, last_engagement, last_owner, last_import))
    };
    let (client, engagement, owner, import) = world.write(build).await;
    let mapping = world.mapping(acme, import, "Machine").await;
    let views = Views::new(world.store.clone(), world.cache.clone());
    let page = AssetQuery { engagement: None, import: None, search: None, page: 1, page_size: 100 };
    let options = ReadOptions::default();
    let texts = async || {
        [
            seen(views.flows(acme, FlowFilter::default(), &options).await).text,
            seen(views.user_clients(Some(acme), world.anna, &options).await).text,
            seen(views.user_memberships(Scope::All, world.anna, &options).await).text,
            seen(views.admin_clients(None, ClientsOf::Administrator(world.anna), &options).await).text,
            seen(views.asset_page(acme, page.clone(), VOCABULARY, &options).await).text,
            seen(views.user_context_full(Some(acme), world.anna, &options).await).text,
        ]
    };
    let [flows, of_anna, roles, administered, assets, full] = texts().await;
    let changed = async |change: &[&String; 6]| {
        let now = texts().await;
        now.iter().zip(change).map(|(now, before)| now != *before).collect::<Vec<_>>()
    };
    let before = [&flows, &of_anna, &roles, &administered, &assets, &full];
    assert_eq!(changed(&before).await, [false; 6]);
    world.write(async |w| engagements::update(w, Scope::All, engagement, &engagement_data("New"), at(41)).await).await;
    assert_eq!(changed(&before).await, [true, false, false, false, false, true]);
    let before = texts().await;
    let before = before.each_ref();
    world.write(async |w| users::set_status(w, owner, UserStatus::Disabled, at(42)).await).await;
    assert_eq!(changed(&before).await, [false; 6], "a status is not shown there");
    world.write(async |w| clients::update(w, client, &client_data("New"), at(43)).await).await;
    assert_eq!(changed(&before).await, [false, true, true, true, false, true]);
    let before = texts().await;
    let before = before.each_ref();
    world.write(async |w| engagements::create(w, client.into(), &engagement_data("E"), at(44)).await).await;
    assert_eq!(changed(&before).await, [false, true, false, true, false, true]);
    let before = texts().await;
    let before = before.each_ref();
    world.write(async |w| memberships::grant(w, world.gus, client, Role::Analyst, at(45)).await).await;
    assert_eq!(changed(&before).await, [false, false, false, true, false, false]);
    world.write(async |w| mappings::approve(w, acme, import, &[mapping], world.carl, at(46)).await).await;
    assert_eq!(changed(&before).await, [false, false, false, true, true, false]);
}
