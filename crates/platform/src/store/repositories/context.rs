//! Contexts: who a user is and where they stand, put together from everything else.

use tracing::instrument;
use uuid::Uuid;

use super::{Scope, engagements, flows, memberships, users};
use crate::{
    coherence::ClientId,
    store::{Reading, StoreError},
    views::{ContextFull, ContextMe, Engagement, Role, Standing, User},
};

/// What a role allows.
pub fn permissions(role: Option<Role>) -> &'static [&'static str] {
    match role {
        None => &[],
        Some(Role::Analyst) => &["flows:write", "imports:write", "mappings:review"],
        Some(Role::ClientAdmin) => {
            &["engagements:manage", "users:manage", "flows:write", "imports:write", "mappings:review"]
        }
        Some(Role::PlatformAdmin) => {
            &["clients:manage", "engagements:manage", "users:manage", "flows:write", "imports:write", "mappings:review"]
        }
    }
}

/// The context of `user` acting for `client`, which they have access to; or, as a platform administrator, for none.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "context.me"))]
pub async fn me(db: Reading<'_>, client: Option<ClientId>, user: Uuid) -> Result<ContextMe, StoreError> {
    let user = users::by_id(db, user).await?;
    of_user(db, client, user).await
}

/// [`me`] with the clients to choose from and the engagements of `client`.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "context.full"))]
pub async fn full(db: Reading<'_>, client: Option<ClientId>, user: Uuid) -> Result<ContextFull, StoreError> {
    let user = users::by_id(db, user).await?;
    let clients = memberships::clients_for(db, &user).await?.items;
    let engagements = match client {
        Some(client) => engagements::list(db, Scope::Client(client)).await?.items,
        None => Vec::new(),
    };
    Ok(ContextFull { me: of_user(db, client, user).await?, clients, engagements })
}

/// What `user` may do for `client`, which they have access to; or, as a platform administrator, for none.
#[instrument(level = "debug", name = "db.query", skip_all, fields(db.operation = "context.standing"))]
pub async fn standing(db: Reading<'_>, client: Option<ClientId>, user: Uuid) -> Result<Standing, StoreError> {
    let user = users::by_id(db, user).await?;
    let (client, role) = match client {
        None => (None, user.is_platform_admin.then_some(Role::PlatformAdmin)),
        Some(client) => {
            let summary = memberships::summary(db, &user, client.0).await?.ok_or(StoreError::not_found("client"))?;
            let role = summary.role;
            (Some(summary), role)
        }
    };
    let permissions = permissions(role).iter().map(|&word| word.to_owned()).collect();
    Ok(Standing { user, client, role, permissions })
}

async fn of_user(db: Reading<'_>, client: Option<ClientId>, user: User) -> Result<ContextMe, StoreError> {
    let Some(client) = client else {
        let role = user.is_platform_admin.then_some(Role::PlatformAdmin);
        let permissions = permissions(role).iter().map(|&word| word.to_owned()).collect();
        return Ok(ContextMe { user, client: None, engagement: None, active_flows: Vec::new(), role, permissions });
    };
    let summary = memberships::summary(db, &user, client.0).await?.ok_or(StoreError::not_found("client"))?;
    let role = summary.role;
    Ok(ContextMe {
        engagement: default_engagement(db, client, user.id).await?,
        active_flows: flows::active_of(db, client, user.id).await?.items,
        client: Some(summary),
        user,
        role,
        permissions: permissions(role).iter().map(|&word| word.to_owned()).collect(),
    })
}

/// The engagement that the user starts in, if it is one of `client`.
async fn default_engagement(db: Reading<'_>, client: ClientId, user: Uuid) -> Result<Option<Engagement>, StoreError> {
    let Some(engagement) = users::defaults(db, user).await?.engagement_id else { return Ok(None) };
    match engagements::by_id(db, Scope::Client(client), engagement).await {
        Ok(engagement) => Ok(Some(engagement)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_may_do_what_the_role_below_may() {
        let sets = [None, Some(Role::Analyst), Some(Role::ClientAdmin), Some(Role::PlatformAdmin)].map(permissions);
        for pair in sets.windows(2) {
            assert!(pair[0].iter().all(|permission| pair[1].contains(permission)));
            assert!(pair[0].len() < pair[1].len());
        }
    }
}
