//! Every tag of the platform: the facts that responses are loaded from. Nothing else makes tags.
//!
//! A fact that readers of several tenants see (a user, a client, an engagement in the list of a platform
//! administrator) is shared; flows, imports, mappings and assets belong to their tenant.
//!
//! A row read records the row's tag; a list read records one tag for the list. Three kinds of list tag exist because
//! responses read lists in three ways:
//! - *the rows*, such as [`engagements_of`]: moves whenever a row comes, goes or changes;
//! - *which rows there are*, such as [`engagement_set`]: moves when one comes or goes, for those who only count;
//! - *what lies beneath*, such as [`under_engagement`]: moves when all of it goes at once.
//!
//! Names that are joined in (the owner of a flow) record a tag for each row up to [`ROWS_TAGGED_MAX`], and the tag of
//! a list that covers them all beyond that: see [`record_rows`].

use unstale::{SUBJECTS_MAX, Tag, record, record_subject};
/// A client's name as it is compared with what people call it.
pub use unstale_server::outbox::comparable;
use uuid::Uuid;

use super::ClientId;

/// The same tags made of a row's columns, for triggers: one for each function below, of the same name.
pub mod columns {
    use unstale_server::outbox::triggers::{Column, TagColumns};

    pub use super::{rows_of_tenants::*, shared_rows::*};

    /// Who waits to be let in by the client that they call by the text in a column.
    pub fn pending_for(named: Column) -> TagColumns {
        TagColumns::shared(super::PENDING_FOR, Some(named))
    }
}

/// Most rows of one kind that one read records singly. An entry carries 64 tags at most, and a full context joins
/// rows of four kinds.
pub const ROWS_TAGGED_MAX: usize = 10;

/// Records each of `rows` by itself, or `covering`, a tag that moves whenever one of them does, if they are many.
pub fn record_rows(rows: impl IntoIterator<Item = Uuid>, row: impl Fn(Uuid) -> Tag, covering: impl FnOnce() -> Tag) {
    let mut seen: Vec<Uuid> = Vec::with_capacity(ROWS_TAGGED_MAX);
    for id in rows {
        if seen.contains(&id) {
            continue;
        }
        if seen.len() == ROWS_TAGGED_MAX {
            record(&covering());
            return;
        }
        seen.push(id);
    }
    for id in seen {
        record(&row(id));
    }
}

/// Records that something about these people was read, so that the value is sealed with their keys and goes when one of
/// them is erased.
pub fn record_people(people: impl IntoIterator<Item = Uuid>) {
    let mut seen: Vec<Uuid> = Vec::new();
    for id in people {
        if !seen.contains(&id) {
            record_subject(&user(id));
            seen.push(id);
        }
        if seen.len() > SUBJECTS_MAX {
            // One too many is as good as all.
            return;
        }
    }
}

macro_rules! shared {
    ($($(#[$meta:meta])* $name:ident($($id:ident)?);)*) => {
        $($(#[$meta])* pub fn $name($($id: Uuid)?) -> Tag {
            shared!(@tag stringify!($name) $(, $id)?)
        })*

        mod shared_rows {
            use unstale_server::outbox::triggers::{Column, TagColumns};

            $($(#[$meta])* pub fn $name($($id: Column)?) -> TagColumns {
                shared!(@columns stringify!($name) $(, $id)?)
            })*
        }
    };
    (@columns $kind:expr) => { TagColumns::shared($kind, None) };
    (@columns $kind:expr, $id:ident) => { TagColumns::shared($kind, Some($id)) };
    (@tag $kind:expr) => { Tag::shared($kind, "") };
    (@tag $kind:expr, $id:ident) => { Tag::shared($kind, $id) };
}

macro_rules! of_tenant {
    ($($(#[$meta:meta])* $name:ident($($id:ident)?);)*) => {
        $($(#[$meta])* pub fn $name(client: ClientId $(, $id: Uuid)?) -> Tag {
            of_tenant!(@tag client, stringify!($name) $(, $id)?)
        })*

        mod rows_of_tenants {
            use unstale_server::outbox::triggers::{Column, TagColumns};

            $($(#[$meta])* pub fn $name(client: Column $(, $id: Column)?) -> TagColumns {
                of_tenant!(@columns client, stringify!($name) $(, $id)?)
            })*
        }
    };
    (@columns $client:ident, $kind:expr) => { TagColumns::of($client, $kind, None) };
    (@columns $client:ident, $kind:expr, $id:ident) => { TagColumns::of($client, $kind, Some($id)) };
    (@tag $client:ident, $kind:expr) => { Tag::of(&$client.tenant(), $kind, "") };
    (@tag $client:ident, $kind:expr, $id:ident) => { Tag::of(&$client.tenant(), $kind, $id) };
}

/// Who waits to be let in by the client that they call `named`: moves when one of them asks, or is decided on.
///
/// A tag for each name, because what waits for one client is none of another's business: not even that it changed.
pub fn pending_for(named: &str) -> Tag {
    Tag::shared(PENDING_FOR, comparable(named))
}

const PENDING_FOR: &str = "pending_for";

shared! {
    /// The rules of the feature flags.
    flags();
    /// A user's row.
    user(user);
    /// The rows of all users, with their memberships and defaults.
    users();
    /// Where a user starts.
    user_defaults(user);
    /// A user's roles in clients.
    memberships_of(user);
    /// The members of a client: their rows, their roles, where in it they start.
    members_of(client);
    /// Which members a client has.
    member_set(client);
    /// A client's row.
    client(client);
    /// The rows of all clients: moves when one changes or goes.
    clients();
    /// Which clients there are.
    client_set();
    /// How many engagements and members each client has.
    client_counts();
    /// An engagement's row.
    engagement(engagement);
    /// The rows of a client's engagements.
    engagements_of(client);
    /// Which engagements a client has.
    engagement_set(client);
    /// The rows of all engagements.
    engagements();
    /// Which flows an engagement has.
    flow_set(engagement);
    /// How many flows each engagement of a client has.
    flow_counts_of(client);
    /// How many flows each engagement has.
    flow_counts();
    /// Who waits to be let in.
    pending_approvals();
    /// A session's row.
    session(session);
    /// That a session stands: moves when it may be over, and not when it goes on for longer.
    session_standing(session);
    /// All sessions of a user.
    sessions_of(user);
}

of_tenant! {
    /// Everything within a client; moves when the client is deleted.
    under_client();
    /// Everything within an engagement; moves when the engagement is deleted.
    under_engagement(engagement);
    /// Everything within an import; moves when the import is deleted.
    under_import(import);
    /// A flow's row.
    flow(flow);
    /// The rows of all flows.
    flows();
    /// The rows of an engagement's flows.
    flows_in(engagement);
    /// The rows of a user's flows.
    flows_by(owner);
    /// An import's row.
    import(import);
    /// The rows of all imports.
    imports();
    /// The rows of an engagement's imports.
    imports_in(engagement);
    /// The mappings of an import.
    mappings_of(import);
    /// The mappings of all imports.
    mappings();
    /// The assets of an import.
    assets_of(import);
    /// The assets of an engagement.
    assets_in(engagement);
    /// All assets.
    assets();
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use unstale::{Cache, Loaded, MemoryStore, Policy, ReadOptions, TagId};

    use super::*;
    use crate::coherence::catalogue;

    /// The tags of an entry whose load joins these rows.
    async fn recorded(rows: Vec<u128>) -> Vec<TagId> {
        let cache = Cache::builder(Arc::new(MemoryStore::default())).build().await.unwrap();
        let key = catalogue::flow_metadata(&crate::coherence::platform_tenant(), 1);
        let load = move || async move {
            record_rows(rows.into_iter().map(Uuid::from_u128), user, users);
            let metadata = serde_json::Value::Null;
            Ok::<_, ()>(Loaded::value(crate::views::FlowMetadata { metadata }))
        };
        let policy = Policy::ttl(Duration::from_secs(1));
        cache.fetch(&key, &policy, &ReadOptions::default(), load).await.unwrap().tags().to_vec()
    }

    #[tokio::test]
    async fn few_rows_are_recorded_singly_and_many_by_what_covers_them() {
        let id = |number| user(Uuid::from_u128(number)).id();
        assert_eq!(recorded(vec![1, 2, 1, 2]).await, [id(1), id(2)]);
        let most: Vec<u128> = (0..ROWS_TAGGED_MAX as u128).collect();
        assert_eq!(recorded(most.clone()).await.len(), ROWS_TAGGED_MAX);
        assert_eq!(recorded(most.into_iter().chain([99]).collect()).await, [users().id()]);
    }

    #[test]
    fn kinds_and_ids_and_tenants_keep_tags_apart() {
        let id = Uuid::from_u128(1);
        let (acme, globex) = (ClientId(Uuid::from_u128(1)), ClientId(Uuid::from_u128(2)));
        let tags = [user(id), client(id), users(), clients(), flow(acme, id), flow(globex, id), flows(acme)];
        for (at, tag) in tags.iter().enumerate() {
            assert!(!tags[..at].contains(tag));
        }
    }
}
