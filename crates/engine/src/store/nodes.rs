//! How nodes that share a store ask each other something.
//!
//! Rarely, and for people: nothing of a read or a write depends on it. What is asked and what is answered is opaque here;
//! whoever can read the store reads it, so it has to be sealed.

use std::{fmt, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

use super::StoreError;
use crate::time::Timestamp;

/// Longest answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Which node it is: random, new whenever a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u64);

impl NodeId {
    /// From its number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// As a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Which question it is: random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuestionId(u128);

impl QuestionId {
    /// From its number.
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// As a number.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// What another node wants to know.
#[derive(Clone, Debug)]
pub struct Question {
    /// What an answer has to name.
    pub id: QuestionId,
    /// What is asked.
    pub content: Bytes,
}

/// A node that did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingNode {
    /// Which.
    pub id: NodeId,
    /// When it was heard of last, by the store's clock, to some seconds.
    pub heard_of: Timestamp,
}

/// What came of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Answers, and who is said to have given them. Nothing of it is verified: one node may seem to have given several.
    pub given: Vec<(NodeId, Bytes)>,
    /// Nodes that are known and have not answered.
    pub missing: Vec<MissingNode>,
    /// Nodes more that are connected, at the least, and have not answered: of a version that does not know of questions,
    /// or one that does not follow. Also 1 if it is not known how many there are.
    pub uncounted: usize,
}

/// The other nodes.
pub trait Nodes: Send + Sync {
    /// Who this is.
    fn id(&self) -> NodeId;

    /// Takes part from now on: hears what others ask, and is missed if it does not answer, for `remembered_for` after it
    /// was heard of last. Until what is returned is dropped. Needs a Tokio runtime.
    fn join(&self, remembered_for: Duration) -> Questions;

    /// Is missed by nobody from now on: this process ends.
    fn leave(&self) -> BoxFuture<'_, ()>;

    /// Asks all others, and waits at most `patience` for their answers.
    fn ask(&self, question: Question, patience: Duration) -> BoxFuture<'_, Result<Answers, StoreError>>;

    /// Answers another's question, with at most [`ANSWER_BYTES_MAX`].
    fn answer(&self, id: QuestionId, content: Bytes) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Questions of others.
pub struct Questions {
    heard: broadcast::Receiver<Question>,
    /// Takes part for as long as it lives.
    _membership: Box<dyn Send + Sync>,
}

impl Questions {
    /// Those that `heard` tells, while `membership` lives.
    pub fn new(heard: broadcast::Receiver<Question>, membership: impl Send + Sync + 'static) -> Self {
        Self { heard, _membership: Box::new(membership) }
    }

    /// The next one. Too many at once are not all heard: then this node is missed.
    pub async fn next(&mut self) -> Option<Question> {
        loop {
            match self.heard.recv().await {
                Ok(question) => return Some(question),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
