//! For each change: which responses change, which are merely loaded again, and that all others stay cached and right.
//!
//! Every view of a small world is read into a real cache. After a write each is read again; a view that is still a
//! hit must equal what the database says now, and the views that are not must be exactly those that the test names.

mod asset_pages;
mod changes;
mod many_rows;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use platform::{
    coherence::{Answer, ClientId, Views, Write},
    store::{
        StoreError,
        repositories::{Scope, assets::AssetQuery, clients::ClientsOf, flows::FlowFilter},
    },
    views::FlowStatus,
};
use unstale::{Cache, Cacheable, MemoryStore, MissReason, NotStored, ReadOptions, Verdict};

use crate::{repositories::VOCABULARY, support::world::World};

/// What a read of a view was answered with.
pub struct Seen {
    pub verdict: Verdict,
    pub not_stored: Option<NotStored>,
    /// The value, or that there is none.
    pub text: String,
}

pub type Read = Box<dyn Fn(Views) -> BoxFuture<'static, Seen>>;

fn seen<V: Cacheable + std::fmt::Debug>(answer: Answer<V>) -> Seen {
    match answer {
        Ok(fetched) => {
            Seen { verdict: fetched.verdict, not_stored: fetched.not_stored, text: format!("{:?}", fetched.value()) }
        }
        // What is not there is not kept: it is loaded each time.
        Err(error) => Seen { verdict: Verdict::Miss(MissReason::Absent), not_stored: None, text: error.to_string() },
    }
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
/// Every view of the world under a short name: tenant, view, what of.
pub fn reads(world: &World) -> BTreeMap<&'static str, Read> {
    let mut reads: BTreeMap<&'static str, Read> = BTreeMap::new();
    macro_rules! read {
        ($($name:literal => $view:ident($($argument:expr),*);)*) => {
            $(reads.insert($name, Box::new({
                let arguments = ($($argument.clone(),)*);
                move |views: Views| {
                    let arguments = arguments.clone();
                    Box::pin(async move { seen(read!(@call views $view arguments, $($argument),*)) })
                }
            }));)*
        };
        (@call $views:ident $view:ident $arguments:ident, $a:expr) => {
            $views.$view($arguments.0, &ReadOptions::default()).await
        };
        (@call $views:ident $view:ident $arguments:ident, $a:expr, $b:expr) => {
            $views.$view($arguments.0, $arguments.1, &ReadOptions::default()).await
        };
        (@call $views:ident $view:ident $arguments:ident, $a:expr, $b:expr, $c:expr) => {
            $views.$view($arguments.0, $arguments.1, $arguments.2, &ReadOptions::default()).await
        };
    }
    let &World { acme, globex, ada, carl, anna, gus, acme_dc, acme_apps, globex_dc, .. } = world;
    let &World { acme_flow, apps_flow, globex_flow, acme_import, globex_import, .. } = world;
    let (in_acme, in_globex, nowhere) = (Some(acme), Some(globex), None::<ClientId>);
    let (of_acme, of_globex) = (Scope::Client(acme), Scope::Client(globex));
    let flows_in = |engagement| FlowFilter { engagement, status: None };
    let reviewed = FlowFilter { engagement: None, status: Some(FlowStatus::AwaitingReview) };
    let assets = |engagement, import| AssetQuery { engagement, import, search: None, page: 1, page_size: 3 };
    let counted = |engagement| AssetQuery { engagement, import: None, search: None, page: 1, page_size: 0 };
    read! {
        "platform/context ada" => user_context(nowhere, ada);
        "platform/full ada" => user_context_full(nowhere, ada);
        "platform/standing ada" => user_standing(nowhere, ada);
        "platform/clients ada" => user_clients(nowhere, ada);
        "platform/roles anna" => user_memberships(Scope::All, anna);
        "platform/defaults carl" => user_defaults(nowhere, carl);
        "platform/client acme" => client(nowhere, acme.0);
        "platform/client globex" => client(nowhere, globex.0);
        "platform/engagements acme" => client_engagements(nowhere, acme);
        "platform/client users acme" => client_users(nowhere, acme);
        "platform/engagement dc" => engagement(Scope::All, acme_dc);
        "platform/engagement users dc" => engagement_users(Scope::All, acme_dc);
        "platform/admin clients" => admin_clients(nowhere, ClientsOf::Everybody);
        "platform/admin engagements" => admin_engagements(Scope::All);
        "platform/admin users" => admin_users(Scope::All);
        "platform/active users" => admin_active_users(Scope::All);
        "platform/pending approvals" => admin_pending_approvals(nowhere);
        "platform/session carl" => session(world.carl_session);
        "platform/session anna" => session(world.anna_session);
        "platform/session gus" => session(world.gus_session);
        "acme/context carl" => user_context(in_acme, carl);
        "acme/context anna" => user_context(in_acme, anna);
        "acme/full carl" => user_context_full(in_acme, carl);
        "acme/standing carl" => user_standing(in_acme, carl);
        "acme/standing anna" => user_standing(in_acme, anna);
        "acme/clients carl" => user_clients(in_acme, carl);
        "acme/clients anna" => user_clients(in_acme, anna);
        "acme/roles anna" => user_memberships(of_acme, anna);
        "acme/defaults carl" => user_defaults(in_acme, carl);
        "acme/defaults anna" => user_defaults(in_acme, anna);
        "acme/active flows carl" => user_active_flows(acme, carl);
        "acme/active flows anna" => user_active_flows(acme, anna);
        "acme/client" => client(in_acme, acme.0);
        "acme/engagements" => client_engagements(in_acme, acme);
        "acme/engagement dc" => engagement(of_acme, acme_dc);
        "acme/engagement apps" => engagement(of_acme, acme_apps);
        "acme/engagement users dc" => engagement_users(of_acme, acme_dc);
        "acme/engagement users apps" => engagement_users(of_acme, acme_apps);
        "acme/client users" => client_users(in_acme, acme);
        "acme/flows" => flows(acme, flows_in(None));
        "acme/flows reviewed" => flows(acme, reviewed);
        "acme/flows dc" => flows(acme, flows_in(Some(acme_dc)));
        "acme/flows apps" => flows(acme, flows_in(Some(acme_apps)));
        "acme/flow servers" => flow(acme, acme_flow);
        "acme/flow apps" => flow(acme, apps_flow);
        "acme/state servers" => flow_state(acme, acme_flow);
        "acme/state apps" => flow_state(acme, apps_flow);
        "acme/metadata servers" => flow_metadata(acme, acme_flow);
        "acme/metadata apps" => flow_metadata(acme, apps_flow);
        "acme/imports" => imports(acme, None);
        "acme/imports dc" => imports(acme, Some(acme_dc));
        "acme/imports apps" => imports(acme, Some(acme_apps));
        "acme/import" => import(acme, acme_import);
        "acme/field mappings" => field_mappings(acme, acme_import);
        // In the order of their names it comes before the pages of assets, which it is a part of.
        "acme/applied mappings" => import_mappings(acme, acme_import);
        "acme/statistics" => mapping_statistics(acme, acme_import);
        "acme/data quality" => data_quality(acme, acme_import);
        "globex/data quality" => data_quality(globex, globex_import);
        "acme/assets" => asset_page(acme, assets(None, None), VOCABULARY);
        "acme/assets dc" => asset_page(acme, assets(Some(acme_dc), None), VOCABULARY);
        "acme/asset count dc" => asset_page(acme, counted(Some(acme_dc)), VOCABULARY);
        "acme/assets apps" => asset_page(acme, assets(Some(acme_apps), None), VOCABULARY);
        "acme/assets import" => asset_page(acme, assets(None, Some(acme_import)), VOCABULARY);
        "acme/admin clients carl" => admin_clients(in_acme, ClientsOf::Administrator(carl));
        "acme/admin engagements" => admin_engagements(of_acme);
        "acme/admin users" => admin_users(of_acme);
        "acme/active users" => admin_active_users(of_acme);
        "acme/pending approvals" => admin_pending_approvals(in_acme);
        "globex/pending approvals" => admin_pending_approvals(in_globex);
        "globex/context anna" => user_context(in_globex, anna);
        "globex/context gus" => user_context(in_globex, gus);
        "globex/clients gus" => user_clients(in_globex, gus);
        "globex/client" => client(in_globex, globex.0);
        "globex/engagements" => client_engagements(in_globex, globex);
        "globex/engagement users" => engagement_users(of_globex, globex_dc);
        "globex/client users" => client_users(in_globex, globex);
        "globex/flows" => flows(globex, flows_in(None));
        "globex/flow" => flow(globex, globex_flow);
        "globex/state" => flow_state(globex, globex_flow);
        "globex/imports" => imports(globex, None);
        "globex/import" => import(globex, globex_import);
        "globex/field mappings" => field_mappings(globex, globex_import);
        "globex/statistics" => mapping_statistics(globex, globex_import);
        "globex/assets" => asset_page(globex, assets(None, None), VOCABULARY);
        "globex/admin users" => admin_users(of_globex);
    }
    reads
}

/// What a write did to the views that had been read.
#[derive(Debug, Default, PartialEq)]
struct Effect {
    /// Loaded anew, with another answer.
    changed: Vec<&'static str>,
    /// Loaded anew, with the same answer: the price of a coarse tag.
    reloaded: Vec<&'static str>,
}

/// Reads every view, writes, and reads every view again.
async fn effect_of<T>(world: &World, change: impl AsyncFnOnce(&mut Write) -> Result<T, StoreError>) -> Effect {
    let reads = reads(world);
    let views = Views::new(world.store.clone(), world.cache.clone());
    let mut before = BTreeMap::new();
    for (name, read) in &reads {
        let loaded = read(views.clone()).await;
        assert_eq!(loaded.not_stored, None, "{name} was not kept");
        before.insert(*name, loaded.text);
    }
    for (name, read) in &reads {
        assert_eq!(read(views.clone()).await.verdict, Verdict::Hit, "{name} is not there without any write");
    }
    world.write(change).await;
    // What code declares and what triggers see are the same, or one of them is wrong.
    assert_eq!(world.store.outbox().omissions_total(), 0, "{:?}", world.store.outbox().omissions());

    let nothing_kept = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
    let truth = Views::new(world.store.clone(), nothing_kept);
    let mut effect = Effect::default();
    for (name, read) in &reads {
        let after = read(views.clone()).await;
        assert_eq!(after.text, read(truth.clone()).await.text, "{name} is out of date ({})", after.verdict);
        match (after.verdict, after.text == before[name]) {
            (Verdict::Hit, true) => {}
            (Verdict::Hit, false) => unreachable!("{name} is a hit and differs from what was kept"),
            (_, true) => effect.reloaded.push(name),
            (_, false) => effect.changed.push(name),
        }
    }
    effect
}
