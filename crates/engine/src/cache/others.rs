//! What other nodes' memories hold about a person: they are asked over the store, and answer beside their reads.
//!
//! Keys of entries may be personal, so question and answers are sealed under the master key: who has it not can neither ask
//! nor read. Without sealing nobody is asked; that there are others is known all the same.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Cache, Census, Shared};
use crate::{
    entry::Entry,
    sealing::Sealing,
    store::{ANSWER_BYTES_MAX, Answers, MissingNode, NodeId, Nodes, Question, QuestionId, StoreError},
    tag::TagId,
    time::Timestamp,
};

/// What a copy takes of an answer besides its key, at most; and what is left for everything else.
const COPY_BYTES: usize = 96;
const REST_BYTES: usize = 1024;

/// The other nodes that share the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherNodes {
    /// How many have answered.
    pub answered: usize,
    /// Those that have not. One that was killed is among them until nothing that it held can be left.
    pub missing: Vec<MissingNode>,
    /// How many more have not, at the least: of a version that does not know of questions, with another master key, or not
    /// following. Without sealing nobody is asked, and connected nodes are here or among the missing.
    pub uncounted: usize,
}

/// What a node answers. With names, and what is missing is nothing: nodes of two versions may understand each other.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub(super) looked_at: usize,
    pub(super) is_complete: bool,
    pub(super) copies: Vec<ToldCopy>,
}

/// A copy in a node's memory.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ToldCopy {
    pub(super) key: String,
    loaded_at: u64,
    expires_at: u64,
    pub(super) bytes: usize,
    pub(super) is_valid: bool,
}

impl ToldCopy {
    pub(super) fn loaded_at(&self) -> Timestamp {
        Timestamp::from_millis(self.loaded_at)
    }

    pub(super) fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.expires_at)
    }
}

impl Cache {
    /// Says to the other nodes that this one holds nothing any more, so that none of them misses its answer: the process
    /// ends.
    pub async fn leave(&self) {
        if let Some(nodes) = self.shared.store.nodes() {
            nodes.leave().await;
        }
    }

    /// Answers what other nodes ask, one question after the other, for as long as it is polled.
    pub(super) async fn answer_others(&self, nodes: &dyn Nodes) {
        tracing::info!(node = %nodes.id(), "this node tells others what it holds about people, if they ask");
        let mut questions = nodes.join(self.shared.limits.subject_lifetime_max);
        while let Some(question) = questions.next().await {
            if let Err(error) = self.answer_one(nodes, &question).await {
                tracing::warn!(%error, "another node was not told what this one holds about a person");
            }
        }
    }

    async fn answer_one(&self, nodes: &dyn Nodes, question: &Question) -> Result<(), StoreError> {
        let id = question.id;
        // Somebody else's, or nobody's: there is nothing to say.
        let Some(sealing) = &self.shared.sealing else { return Ok(()) };
        let Some((subject, looks_max)) = opened_question(sealing, question) else { return Ok(()) };
        let cache = self.clone();
        let looking = tokio::task::spawn_blocking(move || cache.told(subject, looks_max));
        // Not joined only if the runtime ends.
        let Ok(told) = looking.await else { return Ok(()) };
        let text = rmp_serde::to_vec_named(&told).expect("numbers and texts can be written");
        let answer = sealing.seal_message(&about_answer(id, nodes.id()), text);
        nodes.answer(id, answer.into()).await
    }

    /// What memory holds about a person, as much as an answer may hold.
    fn told(&self, subject: TagId, looks_max: usize) -> Told {
        let (Census { looked_at, mut is_complete, .. }, found) = self.find_tagged(&[subject], looks_max);
        let (mut copies, mut room) = (Vec::new(), ANSWER_BYTES_MAX - REST_BYTES);
        for entry in found {
            let copy = self.shared.told_copy(&entry);
            let Some(left) = room.checked_sub(copy.key.len() + COPY_BYTES) else {
                is_complete = false;
                break;
            };
            room = left;
            copies.push(copy);
        }
        Told { looked_at, is_complete, copies }
    }
}

impl Shared {
    fn told_copy(&self, entry: &Entry) -> ToldCopy {
        ToldCopy {
            key: entry.text(),
            loaded_at: entry.loaded_at().as_millis(),
            expires_at: entry.expires_at.as_millis(),
            bytes: entry.memory_bytes(),
            is_valid: self.is_valid(entry),
        }
    }

    /// Asks the other nodes what they hold about a person.
    pub(super) async fn ask_others(
        &self,
        subject: TagId,
        looks_max: usize,
    ) -> Result<(Vec<Told>, OtherNodes), StoreError> {
        let Some(nodes) = self.store.nodes() else { return Ok((Vec::new(), OtherNodes::default())) };
        let id = QuestionId::from_u128(rand::random());
        let (content, patience) = match &self.sealing {
            Some(sealing) => {
                (sealing.seal_message(&about_question(id), question(subject, looks_max)), self.answer_wait_max)
            }
            None => (Vec::new(), Duration::ZERO),
        };
        let Answers { given, missing, mut uncounted } =
            nodes.ask(Question { id, content: content.into() }, patience).await?;
        // Of each node the first answer that it gave: what does not open is somebody else's.
        let mut told: HashMap<NodeId, Option<Told>> = HashMap::new();
        for (node, answer) in given {
            let told = told.entry(node).or_default();
            if told.is_none() {
                *told = self.opened_answer(&about_answer(id, node), &answer);
            }
        }
        let told_by = told.len();
        let told: Vec<Told> = told.into_values().flatten().collect();
        uncounted += told_by - told.len();
        let others = OtherNodes { answered: told.len(), missing, uncounted };
        Ok((told, others))
    }

    fn opened_answer(&self, about: &[u8], answer: &[u8]) -> Option<Told> {
        let text = self.sealing.as_ref()?.open_message(about, answer)?;
        rmp_serde::from_slice(&text).ok()
    }
}

fn question(subject: TagId, looks_max: usize) -> Vec<u8> {
    let looks_max = u64::try_from(looks_max).unwrap_or(u64::MAX);
    [subject.as_u64().to_be_bytes(), looks_max.to_be_bytes()].concat()
}

/// Whom a question is about, and how many entries are to be looked at, if it was sealed by a node with the same key.
fn opened_question(sealing: &Sealing, question: &Question) -> Option<(TagId, usize)> {
    let text = sealing.open_message(&about_question(question.id), &question.content)?;
    let [subject, looks_max] = *text.as_chunks::<8>().0 else { return None };
    let looks_max = usize::try_from(u64::from_be_bytes(looks_max)).unwrap_or(usize::MAX);
    Some((TagId(u64::from_be_bytes(subject)), looks_max))
}

fn about_question(id: QuestionId) -> Vec<u8> {
    [b"question", &id.as_u128().to_be_bytes()[..]].concat()
}

fn about_answer(id: QuestionId, by: NodeId) -> Vec<u8> {
    [b"answer", &id.as_u128().to_be_bytes()[..], &by.as_u64().to_be_bytes()].concat()
}
