//! Which client a request acts for. Pure.

use uuid::Uuid;

use crate::views::{ClientRole, Role};

/// The header that names the client.
pub const HEADER: &str = "x-client-account-id";

/// Who asks for which client.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The header (or the socket's query), as sent.
    pub named: Option<&'a str>,
    /// The client the user starts in.
    pub default_client: Option<Uuid>,
    /// In the order in which the user got them.
    pub roles: &'a [ClientRole],
    pub is_platform_admin: bool,
}

/// Whom a request acts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acting {
    /// A client the user is a member of.
    Member(Uuid, Role),
    /// A client that a platform admin named: it must still be looked up.
    Visitor(Uuid),
    /// No client: the platform itself.
    Platform,
    /// No client at all: the user has none.
    Nobody,
}

/// The client was named and there is no such client for this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownClient;

/// Decides for whom a request acts. What a user may not see does not exist.
pub fn decide(asked: &Asked<'_>) -> Result<Acting, UnknownClient> {
    let role_in = |client: Uuid| asked.roles.iter().find(|held| held.client_account_id == client).map(|held| held.role);
    if let Some(named) = asked.named {
        let client = Uuid::parse_str(named).map_err(|_| UnknownClient)?;
        return match role_in(client) {
            _ if asked.is_platform_admin => Ok(Acting::Visitor(client)),
            Some(role) => Ok(Acting::Member(client, role)),
            None => Err(UnknownClient),
        };
    }
    if asked.is_platform_admin {
        return Ok(Acting::Platform);
    }
    let member_of = |client| role_in(client).map(|role| Acting::Member(client, role));
    let first = asked.roles.first().map(|held| held.client_account_id);
    Ok(asked.default_client.and_then(member_of).or_else(|| first.and_then(member_of)).unwrap_or(Acting::Nobody))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: Uuid = Uuid::from_u128(1);
    const GLOBEX: Uuid = Uuid::from_u128(2);
    const OTHER: Uuid = Uuid::from_u128(3);

    fn check(named: Option<Uuid>, default_client: Option<Uuid>, admin: bool, expected: Result<Acting, UnknownClient>) {
        let role_in = |client_account_id, role| ClientRole { client_account_id, role };
        let roles = [role_in(ACME, Role::Analyst), role_in(GLOBEX, Role::ClientAdmin)];
        let named = named.map(|client| client.to_string());
        let asked = Asked { named: named.as_deref(), default_client, roles: &roles, is_platform_admin: admin };
        assert_eq!(decide(&asked), expected, "{asked:?}");
    }

    #[test]
    fn the_named_client_then_the_default_then_the_first() {
        check(Some(GLOBEX), Some(ACME), false, Ok(Acting::Member(GLOBEX, Role::ClientAdmin)));
        check(None, Some(GLOBEX), false, Ok(Acting::Member(GLOBEX, Role::ClientAdmin)));
        check(None, None, false, Ok(Acting::Member(ACME, Role::Analyst)));
        check(None, Some(OTHER), false, Ok(Acting::Member(ACME, Role::Analyst)));
    }

    #[test]
    fn a_client_one_may_not_see_does_not_exist() {
        check(Some(OTHER), Some(ACME), false, Err(UnknownClient));
    }

    #[test]
    fn a_platform_admin_acts_for_any_client_or_for_none() {
        check(Some(OTHER), None, true, Ok(Acting::Visitor(OTHER)));
        check(None, None, true, Ok(Acting::Platform));
    }

    #[test]
    fn without_any_client_there_is_nobody_to_act_for() {
        let asked = Asked { named: None, default_client: None, roles: &[], is_platform_admin: false };
        assert_eq!(decide(&asked), Ok(Acting::Nobody));
        assert_eq!(decide(&Asked { named: Some("x"), is_platform_admin: true, ..asked }), Err(UnknownClient));
    }
}
