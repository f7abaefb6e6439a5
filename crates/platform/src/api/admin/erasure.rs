//! Erasing a person, and what the cache holds about one.

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use unstale::{Erasure, OtherNodes, PositionSet, SubjectCopy, Timestamp};
use unstale_server::audit::{Actor, Class, Entry, Operation, Outcome};

use crate::{
    api::prelude::*,
    coherence::{platform_tenant, tags},
    store::repositories::users,
};

/// Entries of this server's memory that a report looks at, and of the shared store.
const LOOKS_MAX: usize = 4_000_000;
/// What the audit trail calls the record that proves an erasure.
const PROOF: &str = "erasure_proof";

/// Proof that a user was erased. Holds nothing personal.
#[derive(Serialize, ToSchema)]
pub struct ErasureProof {
    /// Who: a keyed hash, preceded by the id of the key; null if cached values are not sealed.
    #[schema(required)]
    pub subject: Option<String>,
    pub erased_at: DateTime<Utc>,
    /// Keys that were destroyed: what was sealed with them can never be read again, wherever it was written.
    pub keys_destroyed: u64,
    /// Copies that were removed from this server's memory; the others remove theirs.
    pub copies_removed: usize,
    /// Of those, copies that were removed from the shared store too.
    pub stored_copies_removed: usize,
    /// Rows about keys with the user's id that were removed from `cache_metadata`. What other servers had not written yet
    /// goes half a minute later.
    pub rows_removed: u64,
}

/// What the cache holds about a user.
#[derive(Serialize, ToSchema)]
pub struct CacheReport {
    pub user_id: Uuid,
    /// Copies in servers' memories and in the shared store.
    pub copies: Vec<CachedCopy>,
    /// Entries that were looked at, in servers' memories and in the shared store.
    pub looked_at: usize,
    /// Whether that was all of them: the store and every server have answered.
    pub is_complete: bool,
    pub other_servers: OtherServers,
}

/// What became of asking the other servers.
#[derive(Serialize, ToSchema)]
pub struct OtherServers {
    /// How many have answered.
    pub answered: usize,
    /// Those that have not. One that was killed is among them until nothing that it held can be left.
    pub missing: Vec<MissingServer>,
    /// How many more have not, at the least: of an older version, or with another sealing key. Without sealing nobody is asked.
    pub uncounted: usize,
}

/// A server that did not answer.
#[derive(Serialize, ToSchema)]
pub struct MissingServer {
    /// As it calls itself in its log.
    pub id: String,
    /// When it was heard of last, to some seconds.
    pub heard_of: DateTime<Utc>,
}

/// A cached value that shows something about a user.
#[derive(Serialize, ToSchema)]
pub struct CachedCopy {
    pub key: String,
    /// Whether this server's memory has it.
    pub in_memory: bool,
    /// How many other servers' memories have it.
    pub in_other_memories: usize,
    /// Whether the shared store has it; null if it did not answer.
    #[schema(required)]
    pub in_store: Option<bool>,
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub bytes: usize,
    /// Whether nothing that it shows has changed since.
    pub is_valid: bool,
}

/// Erase a user (platform admins): their name and address in the database, and every cached copy of them on every server.
/// What they made stays, by nobody. Erasing again does no harm, and is what to do if this fails half-way.
#[utoipa::path(post, path = "/admin/users/{user_id}/erase", tag = "admin", params(("user_id" = Uuid, Path)),
    responses((status = 200, body = ErasureProof)))]
pub(crate) async fn erase_user(
    State(platform): State<Platform>,
    caller: Caller,
    Path(user): Path<Uuid>,
) -> WriteAnswer<ErasureProof> {
    require_platform_admin(&caller)?;
    if user == caller.id() {
        return Err(Problem::conflict("You cannot erase yourself. Ask another platform administrator."));
    }
    let (tenant, by) = (platform_tenant(), Actor::current());
    let entry = Entry {
        entity: "user",
        subject: Some(platform.audit.subject(&user.to_string())),
        ..by.entry(tenant.as_str(), Operation::ERASE, Outcome::Unknown)
    };
    // Also where it fails half-way: then nobody can say that nothing was done.
    let intents = platform.audit.begin(Class::Mutation, &[entry]).await;
    let intents = intents.map_err(|refused| Problem::from_refused_audit(&refused))?;
    let done = erase(&platform, user).await;
    let (outcome, status, position) = match &done {
        Ok(Erased { positions, .. }) => (Outcome::Done, StatusCode::OK, positions.to_string()),
        Err(problem) if problem.status().is_client_error() => (Outcome::Failed, problem.status(), String::new()),
        Err(problem) => (Outcome::Unknown, problem.status(), String::new()),
    };
    intents.end_synced(outcome, status.as_u16(), &position).await;
    let Erased { cache: erased, rows_removed, positions } = done?;
    let proof = Entry {
        entity: PROOF,
        key: erased.subject.as_deref().unwrap_or_default(),
        detail: &format!(
            "{} keys destroyed, {} copies removed from memory here, {} of them from the store, {rows_removed} rows about keys",
            erased.keys_destroyed, erased.memory_removed, erased.store_removed
        ),
        status: status.as_u16(),
        position: &position,
        ..Entry { outcome: Outcome::Done, ..entry }
    };
    if let Err(refused) = platform.audit.record(Class::Mutation, &proof).await {
        // It is done, and on record; only its proof is in nothing but this answer.
        tracing::error!(error = %refused, "the proof of an erasure is not in the audit trail");
    }
    let proof = ErasureProof {
        subject: erased.subject,
        erased_at: time(erased.at),
        keys_destroyed: erased.keys_destroyed,
        copies_removed: erased.memory_removed,
        stored_copies_removed: erased.store_removed,
        rows_removed,
    };
    Ok(Saved { status: StatusCode::OK, body: Some(proof), positions })
}

/// A user who is erased.
struct Erased {
    cache: Erasure,
    rows_removed: u64,
    positions: PositionSet,
}

/// In the database, then in the cache: what is loaded from there on shows nobody. Then from what is noted of keys.
async fn erase(platform: &Platform, user: Uuid) -> Result<Erased, Problem> {
    let mut write = platform.begin().await?;
    users::erase(&mut write, user, platform.now()).await?;
    let mut positions = platform.commit(write).await?;
    let cache = platform.cache.erase(&tags::user(user)).await.map_err(|error| {
        tracing::error!(%error, "a user is erased from the database, and not from everywhere in the cache");
        Problem::unavailable("The user is erased from the database, but not from every copy in the cache. Erase again.")
    })?;
    positions.extend(&cache.positions);
    let rows_removed = platform.records.forget(user).await.map_err(|error| {
        tracing::error!(%error, "a user is erased, and not from the rows about keys");
        Problem::unavailable(
            "The user is erased from database and cache, but not from the rows about its keys. Erase again.",
        )
    })?;
    Ok(Erased { cache, rows_removed, positions })
}

/// What the cache holds about a user (platform admins).
#[utoipa::path(get, path = "/admin/users/{user_id}/cache-report", tag = "admin", params(("user_id" = Uuid, Path)),
    responses((status = 200, body = CacheReport)))]
pub(crate) async fn get_cache_report(
    State(platform): State<Platform>,
    caller: Caller,
    headers: HeaderMap,
    Path(user): Path<Uuid>,
) -> Result<Response, Problem> {
    require_platform_admin(&caller)?;
    users::by_id(platform.store.read(), user).await?;
    let (tenant, by) = (platform_tenant(), Actor::new(caller.id().to_string()).by(&headers));
    let entry = Entry {
        entity: "user",
        subject: Some(platform.audit.subject(&user.to_string())),
        ..by.entry(tenant.as_str(), Operation::REPORT, Outcome::Done)
    };
    // As of a change: who asks what is known about somebody is on record, or is not told.
    let recorded = platform.audit.record(Class::Mutation, &entry).await;
    recorded.map_err(|refused| Problem::from_refused_audit(&refused))?;
    let report = platform.cache.report(&tags::user(user), LOOKS_MAX).await;
    let copy = |copy: SubjectCopy| CachedCopy {
        key: copy.key,
        in_memory: copy.in_memory,
        in_other_memories: copy.other_nodes,
        in_store: copy.in_store,
        since: time(copy.loaded_at),
        until: time(copy.expires_at),
        bytes: copy.bytes,
        is_valid: copy.is_valid,
    };
    let report = CacheReport {
        user_id: user,
        copies: report.copies.into_iter().map(copy).collect(),
        looked_at: report.looked_at,
        is_complete: report.is_complete,
        other_servers: report.others.into(),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(report)).into_response())
}

impl From<OtherNodes> for OtherServers {
    fn from(OtherNodes { answered, missing, uncounted }: OtherNodes) -> Self {
        let missing =
            missing.into_iter().map(|node| MissingServer { id: node.id.to_string(), heard_of: time(node.heard_of) });
        Self { answered, missing: missing.collect(), uncounted }
    }
}

/// The platform's administrators, whichever client they act for. To everybody else a user whom they may not know does not
/// exist, and they learn nothing of those whom they do.
fn require_platform_admin(caller: &Caller) -> Result<(), Problem> {
    if caller.is_platform_admin() { Ok(()) } else { Err(Problem::not_found()) }
}

fn time(at: Timestamp) -> DateTime<Utc> {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
