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
    views::DataQuality,
    views::Engagement,
    views::FieldMappings,
    views::Flow,
    views::FlowMetadata,
    views::FlowState,
    views::Import,
    views::ImportMappings,
    views::LatestStatistics,
    views::MappingStatistics,
    views::SessionPrincipal,
    views::Standing,
    views::Start,
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use unstale::{Bytes, Cacheable};
    use uuid::Uuid;

    use super::*;
    use crate::views::{
        ContextFull, ContextMe, Flow, FlowMetadata, FlowPhase, FlowStatus, FlowSummary, Items, User, UserDefaults,
        UserStatus,
    };

    mod older {
        #[derive(utoipa::ToSchema)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        pub(super) struct Outer {
            inner: Inner,
        }
        #[derive(utoipa::ToSchema)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        pub(super) struct Inner {
            number: u64,
        }
    }

    mod newer {
        #[derive(utoipa::ToSchema)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        pub(super) struct Outer {
            inner: Inner,
        }
        #[derive(utoipa::ToSchema)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        pub(super) struct Inner {
            number: Option<u64>,
        }
    }

    #[test]
    fn a_shape_that_changes_deep_inside_is_another_shape() {
        let (older, newer) = (schema_text::<older::Outer>(), schema_text::<newer::Outer>());
        assert!(older.contains("Outer") && older.contains("Inner"));
        assert_ne!(older, newer);
        assert_eq!(older, schema_text::<older::Outer>());
    }

    #[test]
    fn lists_of_different_things_have_different_shapes() {
        let shapes = [
            Items::<views::Client>::fingerprint(),
            Items::<views::ClientSummary>::fingerprint(),
            Items::<views::Engagement>::fingerprint(),
            Items::<views::AdminUser>::fingerprint(),
            Items::<views::ActiveUser>::fingerprint(),
            views::Client::fingerprint(),
            UserDefaults::fingerprint(),
        ];
        for (at, shape) in shapes.iter().enumerate() {
            assert!(!shapes[..at].contains(shape));
        }
    }

    #[track_caller]
    fn comes_back<V: Cacheable + PartialEq + std::fmt::Debug>(value: &V) {
        let mut bytes = Vec::new();
        value.encode(&mut bytes).unwrap();
        assert_eq!(V::decode(&Bytes::from(bytes)).unwrap(), *value);
    }

    /// Views that hold other views flat, or free JSON, are the ones that a binary format may not bring back.
    #[test]
    fn flat_views_and_free_json_come_back_from_bytes() {
        let (id, time) = (Uuid::now_v7(), DateTime::from_timestamp(1_795_000_000, 123_456_000).unwrap());
        let summary = FlowSummary {
            id,
            client_account_id: id,
            engagement_id: id,
            engagement_name: "ä".to_owned(),
            owner_id: id,
            owner_name: String::new().into(),
            name: "x".to_owned(),
            status: FlowStatus::AwaitingReview,
            phase: FlowPhase::FieldMapping,
            progress_percent: 40,
            import_id: Some(id),
            updated_at: time,
        };
        let metadata = serde_json::json!({"list": [1, -2.5, null, true], "text": "ä", "deep": {"a": {}}});
        comes_back(&Flow { summary: summary.clone(), created_at: time, metadata: metadata.clone() });
        comes_back(&FlowMetadata { metadata });
        let user = User {
            id,
            email: "a@b".into(),
            name: "a".into(),
            status: UserStatus::Active,
            is_platform_admin: true,
            created_at: time,
        };
        let me = ContextMe {
            user,
            client: None,
            engagement: None,
            active_flows: vec![summary],
            role: None,
            permissions: vec!["x".to_owned()],
        };
        comes_back(&ContextFull { me, clients: Vec::new(), engagements: Vec::new() });
    }
}
