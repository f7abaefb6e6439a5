//! The one catalogue of the platform's cache keys.
//!
//! Every key stands under a tenant: the client that the reader acts for, or the
//! [platform tenant](super::platform_tenant). What differs between readers of one tenant carries the user.

use crate::views::{
    ActiveUser, AdminUser, AgentResult, AssetPage, Client, ClientSummary, ContextFull, ContextMe, DataQuality,
    Engagement, FieldMappings, Flow, FlowMetadata, FlowState, FlowSummary, Import, ImportMappings, Items,
    MappingStatistics, Membership, PendingApproval, SessionPrincipal, Standing, UserDefaults,
};

unstale::catalogue! {
    /// Every key pattern of the platform.
    pub const PATTERNS;

    /// Who a user is and where they stand.
    pub fn user_context(user) -> ContextMe = "user:context";
    /// The same with everything there is to choose from.
    pub fn user_context_full(user) -> ContextFull = "user:context_full";
    /// Who a user is and what they may do.
    pub fn user_standing(user) -> Standing = "user:standing";
    /// The clients that a user may choose from.
    pub fn user_clients(user) -> Items<ClientSummary> = "user:clients";
    /// A user's roles in clients, as the tenant may see them.
    pub fn user_memberships(user) -> Items<Membership> = "user:memberships";
    /// Where a user starts.
    pub fn user_defaults(user) -> UserDefaults = "user:defaults";
    /// The flows of a user that are not over.
    pub fn user_active_flows(user) -> Items<FlowSummary> = "user:active_flows";

    /// A client.
    pub fn client(client) -> Client = "client:detail";
    /// The engagements of a client.
    pub fn client_engagements(client) -> Items<Engagement> = "client:engagements";
    /// The users of a client.
    pub fn client_users(client) -> Items<AdminUser> = "client:users";
    /// The flows of a client; `status` is a flow status or `any`.
    pub fn client_flows(client, status) -> Items<FlowSummary> = "client:flows";
    /// The imports of a client.
    pub fn client_imports(client) -> Items<Import> = "client:imports";

    /// An engagement.
    pub fn engagement(engagement) -> Engagement = "engagement:detail";
    /// The flows of an engagement; `status` is a flow status or `any`.
    pub fn engagement_flows(engagement, status) -> Items<FlowSummary> = "engagement:flows";
    /// The users who start in an engagement.
    pub fn engagement_users(engagement) -> Items<AdminUser> = "engagement:users";
    /// The imports of an engagement.
    pub fn engagement_imports(engagement) -> Items<Import> = "engagement:imports";

    /// A flow, complete.
    pub fn flow_complete(flow) -> Flow = "flow:complete";
    /// How far a flow has come.
    pub fn flow_state(flow) -> FlowState = "flow:state";
    /// What clients of the API keep with a flow.
    pub fn flow_metadata(flow) -> FlowMetadata = "flow:metadata";

    /// An import.
    pub fn import(import) -> Import = "import:detail";
    /// The mappings of an import, for review.
    pub fn field_mappings(import) -> FieldMappings = "import:field_mappings";
    /// The approved mappings of an import, as asset lists apply them.
    pub fn import_mappings(import) -> ImportMappings = "import:mappings";
    /// How far the review of an import's mappings has come.
    pub fn mapping_statistics(import) -> MappingStatistics = "import:mapping_statistics";
    /// How good the values of an import are.
    pub fn data_quality(import) -> DataQuality = "import:data_quality";
    /// A page of assets; `engagement` and `import` are ids or `any`.
    pub fn asset_page(engagement, import, search, page, page_size) -> AssetPage = "assets:page";

    /// The clients that an administrator sees; `administrator` is a client administrator, or `any` for all clients.
    pub fn admin_clients(administrator) -> Items<Client> = "admin:clients";
    /// The engagements that administrators of the tenant see.
    pub fn admin_engagements() -> Items<Engagement> = "admin:engagements";
    /// The users that administrators of the tenant see.
    pub fn admin_users() -> Items<AdminUser> = "admin:users";
    /// The users of the tenant and when they were last seen.
    pub fn admin_active_users() -> Items<ActiveUser> = "admin:active_users";
    /// Who waits to be let in.
    pub fn admin_pending_approvals() -> Items<PendingApproval> = "admin:pending_approvals";

    /// Whom a session belongs to; in the platform tenant, because it is asked before a tenant is known.
    pub fn session(session) -> SessionPrincipal = "session:principal";

    /// What an agent made of a subject.
    pub fn agent_results(agent_type, subject) -> AgentResult = "agent:results";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_pattern_that_was_asked_for_is_there_once() {
        let names: Vec<&str> = PATTERNS.iter().map(|pattern| pattern.name).collect();
        for asked_for in [
            "user:context",
            "user:clients",
            "user:defaults",
            "user:active_flows",
            "client:engagements",
            "client:users",
            "client:flows",
            "engagement:flows",
            "engagement:users",
            "flow:complete",
            "flow:state",
            "flow:metadata",
            "import:field_mappings",
            "import:mappings",
            "import:mapping_statistics",
            "admin:active_users",
            "admin:pending_approvals",
            "agent:results",
        ] {
            assert!(names.contains(&asked_for), "{asked_for} is missing");
        }
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }

    #[test]
    fn what_belongs_to_a_user_carries_the_user() {
        for pattern in PATTERNS.iter().filter(|pattern| pattern.name.starts_with("user:")) {
            assert_eq!(pattern.parts.first(), Some(&"user"), "{}", pattern.name);
        }
    }
}
