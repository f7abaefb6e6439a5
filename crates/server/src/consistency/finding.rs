//! What was found, and why it was served.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use unstale::{Explanation, Position};
use utoipa::ToSchema;
use uuid::Uuid;

use super::watch::Served;

/// How a hit was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It was not what is true, and the cache took it for valid: a change was not declared, or a base is wrong.
    Value,
    /// It was known to be wrong before its read began: the rule was not applied.
    Rule,
}

/// A hit that was incorrect, and what this node knew of it. Holds no values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Its own.
    pub id: Uuid,
    /// When it was found.
    pub found_at: DateTime<Utc>,
    /// After how many seconds of the read.
    pub after_seconds: f64,
    /// How it was wrong.
    pub kind: Kind,
    /// The kind of entry.
    pub entity: String,
    /// The tenant.
    pub client_account_id: String,
    /// Under what it was kept.
    pub key: String,
    /// `memory`, or `store`.
    pub tier: String,
    /// How long before its read it was loaded, as far as that is known.
    pub age_ms: Option<u64>,
    /// Where the truth differs; of a broken rule nothing.
    pub differs: Vec<String>,
    /// What it reflected: `partition.epoch.sequence`.
    pub base: String,
    /// How far this node's view was when the read began.
    pub frontier_at_read: String,
    /// How far it was when it was judged.
    pub frontier: String,
    /// Below it, clocks are not known.
    pub floor: u64,
    /// The tags that it was loaded from.
    pub tags: Vec<ClockOf>,
}

/// A tag of an entry, and its clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockOf {
    /// The tag's id.
    pub tag: String,
    /// When it was last invalidated, if that is known.
    pub clock: Option<u64>,
}

impl Finding {
    pub(super) fn new(
        kind: Kind,
        served: &Served,
        frontier_at_read: Position,
        known: &Explanation,
        after_seconds: f64,
        differs: Vec<String>,
    ) -> Self {
        let clock = |tag| known.clocks.iter().find(|(known, _)| *known == tag).map(|(_, clock)| clock.as_u64());
        Self {
            id: Uuid::now_v7(),
            found_at: Utc::now(),
            after_seconds,
            kind,
            entity: served.entity.clone(),
            client_account_id: served.tenant.as_str().to_owned(),
            key: served.key.clone(),
            tier: served.tier.to_owned(),
            age_ms: served.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            differs,
            base: text(served.base),
            frontier_at_read: text(frontier_at_read),
            frontier: text(known.frontier),
            floor: known.floor.as_u64(),
            tags: served
                .tags
                .iter()
                .map(|tag| ClockOf { tag: format!("{:016x}", tag.as_u64()), clock: clock(*tag) })
                .collect(),
        }
    }
}

fn text(position: Position) -> String {
    let Position { partition, epoch, sequence } = position;
    format!("{}.{:016x}.{}", partition.index(), epoch.as_u64(), sequence.as_u64())
}
