//! Feature flags, for platform administrators: for whom each is on, and who changed it when.

use chrono::{DateTime, Utc};
use unstale_server::flags::{self, Rule};

use crate::{
    api::{policies, prelude::*},
    coherence::Change,
    flags::FLAGS,
    store::StoreError,
};

/// Changes of one answer.
const HISTORY_MAX: u32 = 100;

/// A flag and its rule.
#[derive(Serialize, ToSchema)]
pub struct FeatureFlag {
    pub key: String,
    pub description: String,
    /// For whom it is on.
    pub rule: Rule,
    /// The endpoints that a rule can tell apart.
    pub endpoints: Vec<String>,
}

/// A rule that was given to a flag.
#[derive(Serialize, ToSchema)]
pub struct FeatureFlagChange {
    pub rule: Rule,
    /// The user who did it.
    pub changed_by: String,
    pub changed_at: DateTime<Utc>,
}

/// The flags and their rules (platform admins).
#[utoipa::path(get, path = "/admin/cache/flags", tag = "cache", responses((status = 200, body = Items<FeatureFlag>)))]
pub(crate) async fn admin_list_flags(
    State(platform): State<Platform>,
    caller: Caller,
) -> Result<Json<Items<FeatureFlag>>, Problem> {
    caller.require_platform_admin()?;
    let items = platform.flags.current().rules().map(|(flag, rule)| wire(flag, rule)).collect();
    Ok(Json(Items { items }))
}

/// Give a flag another rule: every node and every open page has it within a second (platform admins).
#[utoipa::path(put, path = "/admin/cache/flags/{key}", tag = "cache", params(("key" = String, Path)),
    request_body = Rule, responses((status = 200, body = FeatureFlag)))]
pub(crate) async fn admin_put_flag(
    State(platform): State<Platform>,
    caller: Caller,
    Path(key): Path<String>,
    Json(rule): Json<Rule>,
) -> WriteAnswer<FeatureFlag> {
    caller.require_platform_admin()?;
    let flag = FLAGS.iter().find(|flag| flag.key == key).ok_or_else(Problem::not_found)?;
    let mut faults = Faults::default();
    for fault in rule.faults(&policies::endpoints()) {
        faults.add("rule", fault.to_string());
    }
    faults.finish()?;
    let mut write = platform.begin().await?;
    let by = caller.id().to_string();
    let connection = write.changing(Change::FlagUpdated { flag: flag.key });
    flags::save(connection, flag.key, &rule, &by, platform.now()).await.map_err(StoreError::from)?;
    let positions = platform.commit(write).await?;
    // This node's own word of it may be a moment late; its next answer must not be.
    if let Err(error) = platform.flags.read(platform.cache.frontiers()).await {
        tracing::warn!(%error, "a flag was changed, and is read a little later");
    }
    Ok(Saved { status: StatusCode::OK, body: Some(wire(flag, rule)), positions })
}

/// The newest changes of a flag (platform admins).
#[utoipa::path(get, path = "/admin/cache/flags/{key}/history", tag = "cache", params(("key" = String, Path)),
    responses((status = 200, body = Items<FeatureFlagChange>)))]
pub(crate) async fn admin_list_flag_changes(
    State(platform): State<Platform>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<Items<FeatureFlagChange>>, Problem> {
    caller.require_platform_admin()?;
    let changes = flags::history(&platform.store.read(), &key, HISTORY_MAX).await.map_err(StoreError::from)?;
    let wire = |change: flags::Change| {
        let rule = Rule::read(&change.rule).ok()?;
        Some(FeatureFlagChange { rule, changed_by: change.changed_by, changed_at: change.changed_at })
    };
    Ok(Json(Items { items: changes.into_iter().filter_map(wire).collect() }))
}

fn wire(flag: &flags::Definition, rule: Rule) -> FeatureFlag {
    FeatureFlag {
        key: flag.key.to_owned(),
        description: flag.description.to_owned(),
        rule,
        endpoints: policies::endpoints(),
    }
}
