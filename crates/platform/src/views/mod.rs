//! Views: what the platform shows of its data. Read models, wire types and cached values in one.
//!
//! Repositories return them, the cache keeps them, the API serialises them, and the OpenAPI document (from which the
//! browser's types come) is generated from them. Times are UTC, RFC 3339 on the wire.
//!
//! What people are called and how they are reached is [`Sensitive`]: it is not printed, and no copy of it leaves this process
//! for the cache's store in clear.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use unstale::Sensitive;
use utoipa::ToSchema;
use uuid::Uuid;

/// Declares a view: serialisable, documented, comparable in tests.
macro_rules! view {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
        $(#[$meta])*
        pub struct $name { $($(#[$field_meta])* pub $field: $type),* }
    };
}

/// Declares a closed set of words, the same in the database and on the wire.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $(#[doc = concat!("`", $word, "`")] $variant),* }

        impl $name {
            /// Every word of the set.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word, as in the database and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The value of a word; none if it is not of the set.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }
    };
}

mod quality;

pub use self::quality::{AttributeQuality, DataQuality, IssueKind, QualityIssue, ValueCorrection};

words!(
    /// What a user may do within a client.
    Role { ClientAdmin = "client_admin", Analyst = "analyst", PlatformAdmin = "platform_admin" }
);
words!(
    /// Whether a user may sign in.
    UserStatus { Active = "active", Pending = "pending", Disabled = "disabled" }
);
words!(
    /// Where an engagement stands.
    EngagementStatus { Planned = "planned", Active = "active", Completed = "completed" }
);
words!(
    /// Where a discovery flow stands.
    FlowStatus {
        Draft = "draft",
        Running = "running",
        AwaitingReview = "awaiting_review",
        Completed = "completed",
        Cancelled = "cancelled",
    }
);
words!(
    /// What a discovery flow is at.
    FlowPhase {
        DataImport = "data_import",
        FieldMapping = "field_mapping",
        DataCleansing = "data_cleansing",
        AssetInventory = "asset_inventory",
    }
);
words!(
    /// Whether a phase of a flow is over.
    StepStatus { Pending = "pending", Active = "active", Done = "done" }
);
words!(
    /// Where an import stands.
    ImportStatus {
        Queued = "queued",
        Reading = "reading",
        Mapping = "mapping",
        Completed = "completed",
        Failed = "failed",
    }
);
words!(
    /// Whose export a file is, as far as its columns tell.
    ImportFormat { AzureMigrate = "azure_migrate", AwsMigrationHub = "aws_migration_hub", Unknown = "unknown" }
);
words!(
    /// What the values of an attribute are.
    DataType {
        Text = "text",
        Integer = "integer",
        Decimal = "decimal",
        Boolean = "boolean",
        Date = "date",
        Ip = "ip",
        Mac = "mac",
        List = "list",
    }
);
words!(
    /// What became of a suggested mapping.
    MappingStatus { Suggested = "suggested", Approved = "approved", Rejected = "rejected" }
);

view!(
    /// A user.
    User {
        id: Uuid,
        #[schema(value_type = String)]
        email: Sensitive<String>,
        #[schema(value_type = String)]
        name: Sensitive<String>,
        status: UserStatus,
        is_platform_admin: bool,
        created_at: DateTime<Utc>,
    }
);
view!(
    /// A user's part in a client.
    Membership { client_account_id: Uuid, client_name: String, role: Role }
);
view!(
    /// A client as its users see it in a list.
    ClientSummary {
        id: Uuid,
        name: String,
        slug: String,
        industry: Option<String>,
        /// The reader's role in it.
        role: Option<Role>,
        engagement_count: u64,
    }
);
view!(
    /// A client account: a tenant.
    Client {
        id: Uuid,
        name: String,
        slug: String,
        industry: Option<String>,
        description: Option<String>,
        created_at: DateTime<Utc>,
        updated_at: DateTime<Utc>,
        engagement_count: u64,
        user_count: u64,
    }
);
view!(
    /// A piece of work for a client.
    Engagement {
        id: Uuid,
        client_account_id: Uuid,
        client_name: String,
        name: String,
        description: Option<String>,
        status: EngagementStatus,
        starts_on: Option<NaiveDate>,
        ends_on: Option<NaiveDate>,
        created_at: DateTime<Utc>,
        updated_at: DateTime<Utc>,
        flow_count: u64,
    }
);
view!(
    /// A discovery flow in a list.
    FlowSummary {
        id: Uuid,
        client_account_id: Uuid,
        engagement_id: Uuid,
        engagement_name: String,
        owner_id: Uuid,
        #[schema(value_type = String)]
        owner_name: Sensitive<String>,
        name: String,
        status: FlowStatus,
        phase: FlowPhase,
        /// 0 to 100.
        progress_percent: u8,
        import_id: Option<Uuid>,
        updated_at: DateTime<Utc>,
    }
);
view!(
    /// A discovery flow, complete.
    Flow {
        #[serde(flatten)]
        summary: FlowSummary,
        created_at: DateTime<Utc>,
        #[schema(value_type = Object)]
        metadata: serde_json::Value,
    }
);
view!(
    /// What clients of the API keep with a flow; opaque to the platform.
    #[serde(transparent)]
    FlowMetadata {
        #[schema(value_type = Object)]
        metadata: serde_json::Value,
    }
);
view!(
    /// One phase of a flow.
    FlowStep { phase: FlowPhase, status: StepStatus, detail: Option<String> }
);
view!(
    /// How far a flow has come.
    FlowState {
        flow_id: Uuid,
        status: FlowStatus,
        phase: FlowPhase,
        /// 0 to 100.
        progress_percent: u8,
        steps: Vec<FlowStep>,
        updated_at: DateTime<Utc>,
    }
);
view!(
    /// Why an import failed.
    ImportError {
        /// A stable word, such as `ragged_row`.
        code: String,
        /// What is wrong and what to do.
        message: String,
        /// The record in the file, counted from 1; the header is 1.
        row: Option<u64>,
        column: Option<String>,
    }
);
view!(
    /// An import of a CSV file.
    Import {
        id: Uuid,
        client_account_id: Uuid,
        engagement_id: Uuid,
        flow_id: Uuid,
        file_name: String,
        size_bytes: u64,
        status: ImportStatus,
        rows_total: Option<u64>,
        rows_done: u64,
        columns: Option<u64>,
        encoding: Option<String>,
        /// The delimiter itself: `,`, `;`, tab or `|`.
        delimiter: Option<String>,
        /// Whose export it is.
        #[schema(value_type = Option<ImportFormat>)]
        format: Option<String>,
        error: Option<ImportError>,
        created_by: Uuid,
        created_at: DateTime<Utc>,
        finished_at: Option<DateTime<Utc>>,
    }
);
view!(
    /// What a source column means.
    FieldMapping {
        id: Uuid,
        import_id: Uuid,
        /// The column's place in the file, from 0.
        position: u32,
        source_column: String,
        target_attribute: Option<String>,
        /// 0 to 1.
        confidence: f64,
        reason: String,
        status: MappingStatus,
        /// At most five.
        sample_values: Vec<String>,
        reviewed_by: Option<Uuid>,
        reviewed_at: Option<DateTime<Utc>>,
        updated_at: DateTime<Utc>,
    }
);
view!(
    /// The mappings of an import.
    FieldMappings { import_id: Uuid, file_name: String, engagement_id: Uuid, items: Vec<FieldMapping> }
);
view!(
    /// A column whose meaning was approved.
    ApprovedMapping { position: u32, source_column: String, target_attribute: String }
);
view!(
    /// The approved mappings of an import, as asset lists apply them.
    ImportMappings { import_id: Uuid, columns: Vec<String>, approved: Vec<ApprovedMapping> }
);
view!(
    /// How far the review of an import's mappings has come.
    MappingStatistics {
        import_id: Uuid,
        total: u64,
        suggested: u64,
        approved: u64,
        rejected: u64,
        unmapped: u64,
        /// 0 to 1.
        average_confidence: f64,
        /// 0 to 100.
        approved_percent: f64,
    }
);
view!(
    /// How far the review of an engagement's newest import has come.
    LatestStatistics {
        /// None as long as no import is completed.
        statistics: Option<MappingStatistics>,
    }
);
view!(
    /// An attribute of assets that columns can be mapped to.
    TargetAttribute {
        name: String,
        label: String,
        #[schema(value_type = DataType)]
        data_type: String,
        description: String,
        required: bool,
    }
);
view!(
    /// An asset: a row of an import, seen through the approved mappings.
    Asset {
        id: Uuid,
        engagement_id: Uuid,
        import_id: Uuid,
        row_number: u64,
        name: Option<String>,
        attributes: std::collections::BTreeMap<String, String>,
        /// Values of columns without an approved mapping.
        unmapped: std::collections::BTreeMap<String, String>,
    }
);
view!(
    /// A column of the asset list.
    AssetColumn { name: String, label: String }
);
view!(
    /// A page of assets.
    AssetPage { items: Vec<Asset>, columns: Vec<AssetColumn>, total: u64, page: u64, page_size: u64 }
);
view!(
    /// A user who was seen lately.
    ActiveUser {
        id: Uuid,
        #[schema(value_type = String)]
        email: Sensitive<String>,
        #[schema(value_type = String)]
        name: Sensitive<String>,
        memberships: Vec<Membership>,
        is_platform_admin: bool,
        last_seen_at: Option<DateTime<Utc>>,
    }
);
view!(
    /// A user as administrators see them.
    AdminUser {
        id: Uuid,
        #[schema(value_type = String)]
        email: Sensitive<String>,
        #[schema(value_type = String)]
        name: Sensitive<String>,
        status: UserStatus,
        is_platform_admin: bool,
        memberships: Vec<Membership>,
        /// Where the user starts, if the reader may know of that client.
        default_client_account_id: Option<Uuid>,
        default_engagement_id: Option<Uuid>,
        created_at: DateTime<Utc>,
        last_seen_at: Option<DateTime<Utc>>,
    }
);
view!(
    /// Somebody who asked for access.
    PendingApproval {
        user_id: Uuid,
        #[schema(value_type = String)]
        email: Sensitive<String>,
        #[schema(value_type = String)]
        name: Sensitive<String>,
        requested_client: Option<String>,
        #[schema(value_type = Option<String>)]
        reason: Option<Sensitive<String>>,
        requested_at: DateTime<Utc>,
    }
);
view!(
    /// Where a user starts.
    UserDefaults { user_id: Uuid, client_account_id: Option<Uuid>, engagement_id: Option<Uuid> }
);
view!(
    /// Who the reader is and where they stand.
    ContextMe {
        user: User,
        client: Option<ClientSummary>,
        engagement: Option<Engagement>,
        active_flows: Vec<FlowSummary>,
        role: Option<Role>,
        permissions: Vec<String>,
    }
);
view!(
    /// Who the reader is and what they may do: what every page begins with, and nothing of what changes while people work.
    Standing {
        user: User,
        client: Option<ClientSummary>,
        role: Option<Role>,
        permissions: Vec<String>,
    }
);
view!(
    /// Where the reader starts.
    Start {
        /// If it is one of the client they act for.
        engagement_id: Option<Uuid>,
    }
);
view!(
    /// [`ContextMe`] with everything there is to choose from.
    ContextFull {
        #[serde(flatten)]
        me: ContextMe,
        clients: Vec<ClientSummary>,
        engagements: Vec<Engagement>,
    }
);

view!(
    /// A user's role in a client, without the client's name.
    ClientRole { client_account_id: Uuid, role: Role }
);
view!(
    /// Whom a session belongs to, and what they may do: what every request's authorisation is decided from.
    SessionPrincipal {
        session_id: Uuid,
        user: User,
        /// In the order in which the user got them.
        roles: Vec<ClientRole>,
        default_client_account_id: Option<Uuid>,
        expires_at: DateTime<Utc>,
    }
);
view!(
    /// What an agent made of its input.
    AgentResult {
        agent_type: String,
        subject: String,
        #[schema(value_type = Object)]
        result: serde_json::Value,
        computed_at: DateTime<Utc>,
    }
);

/// A list on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Items<T> {
    /// The things.
    pub items: Vec<T>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::SourceFormat;

    #[test]
    fn words_are_the_same_in_the_database_and_on_the_wire() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
            assert_eq!(Role::parse(role.as_str()), Some(*role));
        }
        for status in FlowStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for phase in FlowPhase::ALL {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
        for target in crate::imports::target_attributes() {
            assert!(DataType::parse(target.data_type.as_str()).is_some(), "{} is of no documented type", target.name);
        }
        for format in [SourceFormat::AzureMigrate, SourceFormat::AwsMigrationHub, SourceFormat::Unknown] {
            assert!(ImportFormat::parse(format.as_str()).is_some(), "{format:?} is not documented");
        }
        assert_eq!(Role::parse("owner"), None);
    }
}
