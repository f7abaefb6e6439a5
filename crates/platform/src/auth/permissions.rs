//! Roles and what they may do. Pure.

use crate::views::Role;

/// Something a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Create and delete clients.
    ManageClients,
    /// Create, change and delete engagements; change the client.
    ManageEngagements,
    /// Roles, access and approvals.
    ManageUsers,
    /// Create and change discovery flows.
    WriteFlows,
    /// Import files.
    WriteImports,
    /// Review field mappings.
    ReviewMappings,
}

impl Permission {
    /// Every permission.
    pub const ALL: &[Self] = &[
        Self::ManageClients,
        Self::ManageEngagements,
        Self::ManageUsers,
        Self::WriteFlows,
        Self::WriteImports,
        Self::ReviewMappings,
    ];

    /// As it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ManageClients => "clients:manage",
            Self::ManageEngagements => "engagements:manage",
            Self::ManageUsers => "users:manage",
            Self::WriteFlows => "flows:write",
            Self::WriteImports => "imports:write",
            Self::ReviewMappings => "mappings:review",
        }
    }

    /// Whether `role` has it.
    pub fn is_of(self, role: Role) -> bool {
        match self {
            Self::ManageClients => role == Role::PlatformAdmin,
            Self::ManageEngagements | Self::ManageUsers => role != Role::Analyst,
            Self::WriteFlows | Self::WriteImports | Self::ReviewMappings => true,
        }
    }
}

/// What a role may do, as on the wire. Nobody without a role may do anything.
pub fn of(role: Option<Role>) -> Vec<String> {
    let Some(role) = role else { return Vec::new() };
    Permission::ALL
        .iter()
        .filter(|permission| permission.is_of(role))
        .map(|permission| permission.as_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_what_the_contract_says() {
        assert!(of(None).is_empty());
        assert_eq!(of(Some(Role::Analyst)), ["flows:write", "imports:write", "mappings:review"]);
        assert_eq!(
            of(Some(Role::ClientAdmin)),
            ["engagements:manage", "users:manage", "flows:write", "imports:write", "mappings:review"]
        );
        assert_eq!(of(Some(Role::PlatformAdmin)).len(), Permission::ALL.len());
    }
}
