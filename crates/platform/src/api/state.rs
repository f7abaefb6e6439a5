//! What handlers work with.

use std::{ops::Deref, path::PathBuf, sync::Arc};

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use unstale::{Cache, PositionSet, ReadOptions};
use unstale_server::{audit::Audit, flags::Flags, problem::Problem, telemetry::VitalsMetrics};

use super::{answer::Saved, batch::InnerService, import_job::ImportQueue};
use crate::{
    auth::{admissions::Admissions, passwords::Passwords, seen::Seen, sign_in::SignInAttempts, tokens::Tokens},
    coherence::{Views, Write},
    experience::Experience,
    live::Live,
    records::Records,
    settings::Settings,
    store::Store,
    warming::Warmer,
};

/// The running platform. Cheap to clone.
#[derive(Clone)]
pub struct Platform(pub(crate) Arc<Shared>);

/// What all clones of a [`Platform`] share.
pub struct Shared {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) cache: Cache,
    pub(crate) views: Views,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Tokens,
    pub(crate) admissions: Admissions,
    pub(crate) sign_ins: SignInAttempts,
    pub(crate) seen: Seen,
    pub(crate) imports: ImportQueue,
    pub(crate) live: Live,
    pub(crate) warmer: Warmer,
    pub(crate) flags: Flags,
    pub(crate) vitals: VitalsMetrics,
    pub(crate) experience: Experience,
    pub(crate) audit: Audit,
    pub(crate) records: Records,
    /// The signed-in part of the API with its cache, for batches. Set once, when the application is assembled.
    pub(crate) inner: std::sync::OnceLock<InnerService>,
}

impl Deref for Platform {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Shared {
    /// The present: handlers pass it on, so that nothing below them reads a clock.
    #[expect(clippy::unused_self, reason = "the platform owns its time; nothing else may read it")]
    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// The audit trail.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Where uploads wait to be imported.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.settings.common.data_dir.join("uploads")
    }

    /// Begins a write.
    pub(crate) async fn begin(&self) -> Result<Write, Problem> {
        Ok(self.store.begin().await?)
    }

    /// Ends a write and answers with `body`.
    pub(crate) async fn save<T>(&self, write: Write, status: StatusCode, body: T) -> Result<Saved<T>, Problem> {
        let positions = self.commit(write).await?;
        Ok(Saved { status, body: Some(body), positions })
    }

    /// Ends a write and answers without a body.
    pub(crate) async fn save_silently(&self, write: Write) -> Result<Saved<()>, Problem> {
        let positions = self.commit(write).await?;
        Ok(Saved { status: StatusCode::NO_CONTENT, body: None, positions })
    }

    pub(crate) async fn commit(&self, write: Write) -> Result<PositionSet, Problem> {
        Ok(write.commit(&self.cache).await?)
    }
}

/// Reads demand nothing of their own: what a request demands (`Unstale-Position`), the layer around them passes on.
pub(crate) fn anything() -> ReadOptions {
    ReadOptions::default()
}
