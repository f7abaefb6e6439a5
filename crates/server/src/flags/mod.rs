//! Feature flags: switches that change while the system runs, for everybody, for some users, or for a share of them.
//!
//! An application declares its flags ([`Definition`]); an administrator gives one a [`Rule`]; every node evaluates them
//! in memory, and browsers ask by the `OpenFeature` remote evaluation protocol ([`ofrep`]). Rules are kept in the
//! database; a change is a write like any other: it invalidates the flags' tag, by which other nodes read them anew
//! ([`Flags::observer`]) and browsers that hold them are told.
//!
//! # Invariants
//! - Who is in a share stays in it while the share grows ([`rule::evaluate`]).
//! - A rule that is wrong is never saved; one that cannot be read (of a newer build, by hand) leaves its flag at its
//!   default and is said in the log.
//! - Evaluating asks nobody and waits for nothing.
//!
//! # What it does not do
//! It does not know what a flag is for, nor who may change one.

pub mod ofrep;
pub mod rule;

mod store;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use sea_orm::{DatabaseConnection, DbErr};
use tokio::{sync::Notify, time::MissedTickBehavior};
use unstale::{Cache, Event, Observer, PositionSet, TagId};

pub use self::{
    rule::{Asking, Definition, Evaluation, Fault, Reason, Rule},
    store::{Change, history, save},
};

/// How often rules are read without any word of a change: what a node did not hear of is late by so much.
pub const READ_EVERY: Duration = Duration::from_secs(30);

/// The flags of an application on this node. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Flags {
    shared: Arc<Shared>,
}

struct Shared {
    definitions: &'static [Definition],
    pool: DatabaseConnection,
    tag: TagId,
    current: ArcSwap<Snapshot>,
    moved: Notify,
}

/// All rules at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    definitions: &'static [Definition],
    rules: BTreeMap<&'static str, Rule>,
    /// The cache's positions, captured before they were read.
    read_since: PositionSet,
    is_default: bool,
}

impl Flags {
    /// Of `definitions`, kept in `pool`; `tag` is what a change invalidates. All are at their defaults until
    /// [`read`](Self::read) has been awaited.
    pub fn new(definitions: &'static [Definition], pool: DatabaseConnection, tag: TagId) -> Self {
        let current = ArcSwap::from_pointee(Snapshot { definitions, is_default: true, ..Snapshot::default() });
        Self { shared: Arc::new(Shared { definitions, pool, tag, current, moved: Notify::new() }) }
    }

    /// The rules as they are known here.
    pub fn current(&self) -> Arc<Snapshot> {
        self.shared.current.load_full()
    }

    /// Whether every flag is at its default: then nothing need be evaluated.
    pub fn are_default(&self) -> bool {
        self.shared.current.load().is_default
    }

    /// Reads the rules. `read_since`: the cache's positions, captured before.
    pub async fn read(&self, read_since: PositionSet) -> Result<(), DbErr> {
        let saved = store::all(&self.shared.pool).await?;
        let mut rules = BTreeMap::new();
        for definition in self.shared.definitions {
            let Some(text) = saved.get(definition.key) else { continue };
            match Rule::read(text) {
                Ok(rule) => drop(rules.insert(definition.key, rule)),
                Err(error) => {
                    tracing::warn!(flag = definition.key, %error, "a flag's rule cannot be read; it stays at its default");
                }
            }
        }
        let is_default = rules.iter().all(|(key, rule)| {
            let definition = self.shared.definitions.iter().find(|definition| definition.key == *key);
            definition.is_some_and(|definition| *rule == definition.default_rule())
        });
        let snapshot = Snapshot { definitions: self.shared.definitions, rules, read_since, is_default };
        self.shared.current.store(Arc::new(snapshot));
        Ok(())
    }

    /// What hears of changes: give it to the cache's builder.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Hearing(self.shared.clone()))
    }

    /// Reads the rules whenever they changed, for as long as the returned future is polled: spawn it.
    pub fn run(&self, cache: &Cache) -> impl Future<Output = ()> + Send + use<> {
        let (this, cache) = (self.clone(), cache.clone());
        async move {
            let mut beat = tokio::time::interval(READ_EVERY);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = this.shared.moved.notified() => {}
                    _ = beat.tick() => {}
                }
                if let Err(error) = this.read(cache.frontiers()).await {
                    tracing::warn!(%error, "the flags' rules could not be read; those known before stay");
                }
            }
        }
    }
}

impl Snapshot {
    /// Evaluates one flag; none if there is no such flag.
    pub fn evaluate(&self, key: &str, asking: &Asking<'_>) -> Option<Evaluation> {
        let definition = self.definitions.iter().find(|definition| definition.key == key)?;
        Some(self.evaluate_as(definition, asking))
    }

    /// Whether a flag is on; one that does not exist is off.
    pub fn is_on(&self, key: &str, asking: &Asking<'_>) -> bool {
        self.evaluate(key, asking).is_some_and(|evaluation| evaluation.value)
    }

    /// Whether a flag is on for nobody, whoever asks for whatever.
    pub fn is_off_for_all(&self, key: &str) -> bool {
        let definition = self.definitions.iter().find(|definition| definition.key == key);
        definition.is_none_or(|definition| self.rule(definition).is_off_for_all())
    }

    /// Evaluates all flags, in the order of their definitions.
    pub fn evaluate_all(&self, asking: &Asking<'_>) -> Vec<(&'static Definition, Evaluation)> {
        self.definitions.iter().map(|definition| (definition, self.evaluate_as(definition, asking))).collect()
    }

    /// Every flag and its rule.
    pub fn rules(&self) -> impl Iterator<Item = (&'static Definition, Rule)> {
        self.definitions.iter().map(|definition| (definition, self.rule(definition)))
    }

    /// What a change that these rules do not hold comes after.
    pub fn read_since(&self) -> &PositionSet {
        &self.read_since
    }

    fn rule(&self, definition: &Definition) -> Rule {
        self.rules.get(definition.key).cloned().unwrap_or_else(|| definition.default_rule())
    }

    fn evaluate_as(&self, definition: &Definition, asking: &Asking<'_>) -> Evaluation {
        match self.rules.get(definition.key) {
            Some(rule) => rule::evaluate(definition.key, rule, asking),
            None => Evaluation { value: definition.default, reason: Reason::Default },
        }
    }
}

struct Hearing(Arc<Shared>);

impl Observer for Hearing {
    fn on_event(&self, event: &Event<'_>) {
        let moved = match event {
            Event::Applied { record } => record.tags.contains(&self.0.tag),
            Event::Skipped { .. } => true,
            _ => false,
        };
        if moved {
            self.0.moved.notify_one();
        }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags").field("current", &self.current()).finish_non_exhaustive()
    }
}
