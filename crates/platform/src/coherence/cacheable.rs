//! The views as cached values. Their fingerprints are hashes of their OpenAPI schemas with everything these refer to,
//! so that any change of shape makes older entries misses, without anybody having to think of a version.

use utoipa::ToSchema;

use crate::views;

/// The schema of a view and of every type in it, as text.
pub fn schema_text<V: ToSchema>() -> String {
    let mut schemas = vec![(V::name().into_owned(), V::schema())];
    V::schemas(&mut schemas);
    // Sorted, so that the order in which fields refer to types does not count; types are named once each.
    schemas.sort_by(|(one, _), (other, _)| one.cmp(other));
    schemas.dedup_by(|(one, _), (other, _)| one == other);
    serde_json::to_string(&schemas).expect("an OpenAPI schema is JSON")
}

macro_rules! cacheable_views {
    ($($view:ty),* $(,)?) => { $(unstale::cacheable!($view, schema_text::<$view>());)* };
}

cacheable_views!(
    views::AgentResult,
    views::AssetPage,
    views::Client,
    views::ContextFull,
    views::ContextMe,
    views::Engagement,
    views::FieldMappings,
    views::Flow,
    views::FlowMetadata,
    views::FlowState,
    views::Import,
    views::ImportMappings,
    views::MappingStatistics,
    views::SessionPrincipal,
    views::UserDefaults,
    views::Items<views::ActiveUser>,
    views::Items<views::AdminUser>,
    views::Items<views::Client>,
    views::Items<views::ClientSummary>,
    views::Items<views::Engagement>,
    views::Items<views::FlowSummary>,
    views::Items<views::Import>,
    views::Items<views::Membership>,
    views::Items<views::PendingApproval>,
);
