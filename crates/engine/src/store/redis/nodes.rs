//! Asking the other nodes on this Redis.
//!
//! All of it stands in the first partition's slot: a channel on which questions are told, the nodes with the time when
//! each was heard of last (by the server's clock), and for each question a list of answers, which expires soon. Whoever
//! hears of the log's moves is connected, so Redis also says how many nodes there are that know of no questions.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::future::{BoxFuture, FutureExt as _};
use redis::{Cmd, FromRedisValue};
use tokio::{
    runtime::Handle,
    sync::{Mutex, broadcast},
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::{RedisStore, Shared};
use crate::{
    position::Partition,
    store::{
        Answers, MissingNode, NodeId, Nodes, Question, QuestionId, Questions, StoreError, nodes::ANSWER_BYTES_MAX,
    },
    time::Timestamp,
};

/// Where it stands.
pub(super) const PARTITION: Partition = Partition(0);
/// Most nodes that are remembered; of more, the ones that were not heard of for the longest are forgotten.
const NODES_MAX: usize = 1024;
/// Questions that wait for a node which answers another.
const WAITING_MAX: usize = 16;
/// How often a node is heard of.
const BEAT_EVERY: Duration = Duration::from_secs(10);
/// After which silence its answer is not waited for; it is missed all the same.
const SILENCE_MAX_SECONDS: u64 = 30;
/// How long answers stand if nobody takes them.
const ANSWERS_FOR: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Heard of, also where memory is full: as the log's records are.
const BEAT: &str = "#!lua flags=allow-oom
local now = redis.call('TIME')[1]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -(ARGV[3] + 1))
redis.call('EXPIRE', KEYS[1], ARGV[2])";

const ANSWER: &str = "#!lua
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// What this node knows of the others.
pub(super) struct Neighbours {
    me: NodeId,
    asked: broadcast::Sender<Question>,
    /// Whether it has left. Held while it is said that it is there, so that the last word is that it is not.
    left: Mutex<bool>,
}

impl Default for Neighbours {
    fn default() -> Self {
        Self { me: NodeId::from_u64(rand::random()), asked: broadcast::channel(WAITING_MAX).0, left: Mutex::new(false) }
    }
}

impl Neighbours {
    /// A message of the channel of questions.
    pub(super) fn hear(&self, mut message: Bytes) {
        let (Ok(id), Ok(by)) = (message.try_get_u128(), message.try_get_u64()) else { return };
        if NodeId::from_u64(by) != self.me {
            // Nobody listens: who does not follow does not answer.
            let _ = self.asked.send(Question { id: QuestionId::from_u128(id), content: message });
        }
    }
}

/// Takes part for as long as it lives.
struct Membership {
    shared: Arc<Shared>,
    beating: AbortHandle,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.beating.abort();
        if let Ok(runtime) = Handle::try_current() {
            let shared = self.shared.clone();
            runtime.spawn(async move { shared.forget_me().await });
        }
    }
}

impl Nodes for RedisStore {
    fn id(&self) -> NodeId {
        self.shared.neighbours.me
    }

    fn join(&self, remembered_for: Duration) -> Questions {
        let shared = self.shared.clone();
        let heard = shared.neighbours.asked.subscribe();
        let beats = shared.clone();
        let beating = tokio::spawn(async move {
            loop {
                if let Err(error) = beats.beat(remembered_for).await {
                    tracing::debug!(%error, "the cache's other nodes do not hear that this one is there");
                }
                sleep(BEAT_EVERY).await;
            }
        });
        Questions::new(heard, Membership { shared, beating: beating.abort_handle() })
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        async {
            *self.shared.neighbours.left.lock().await = true;
            self.shared.forget_me().await;
        }
        .boxed()
    }

    fn ask(&self, question: Question, patience: Duration) -> BoxFuture<'_, Result<Answers, StoreError>> {
        async move { self.shared.ask(question, Instant::now() + patience).await }.boxed()
    }

    fn answer(&self, id: QuestionId, content: Bytes) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            if content.len() > ANSWER_BYTES_MAX {
                return Err(StoreError::Unavailable(format!("an answer of {} bytes is too long", content.len())));
            }
            let shared = &*self.shared;
            let answer = [&shared.neighbours.me.as_u64().to_be_bytes()[..], &content].concat();
            let mut command = redis::cmd("EVAL");
            command.arg(ANSWER).arg(1).arg(shared.names.answers(id)).arg(answer);
            shared.asked(command.arg(millis(ANSWERS_FOR))).await
        }
        .boxed()
    }
}

impl Shared {
    async fn beat(&self, remembered_for: Duration) -> Result<(), StoreError> {
        let has_left = self.neighbours.left.lock().await;
        if *has_left {
            return Ok(());
        }
        let mut command = redis::cmd("EVAL");
        command.arg(BEAT).arg(1).arg(self.names.nodes()).arg(self.neighbours.me.to_string());
        self.asked(command.arg(remembered_for.as_secs().max(1)).arg(NODES_MAX)).await
    }

    async fn forget_me(&self) {
        let mut command = redis::cmd("ZREM");
        command.arg(self.names.nodes()).arg(self.neighbours.me.to_string());
        if let Err(error) = self.asked::<()>(&command).await {
            tracing::debug!(%error, "the cache's other nodes miss this one although it ends");
        }
    }

    async fn ask(&self, question: Question, until: Instant) -> Result<Answers, StoreError> {
        let answers = self.names.answers(question.id);
        let mut said = Vec::with_capacity(24 + question.content.len());
        said.put_u128(question.id.as_u128());
        said.put_u64(self.neighbours.me.as_u64());
        said.put_slice(&question.content);
        self.asked::<()>(redis::cmd("SPUBLISH").arg(self.names.asked()).arg(said)).await?;
        let known = self.known().await?;
        let connected = self.connected().await;
        let mut given = Vec::new();
        loop {
            let mut more = redis::cmd("LRANGE");
            more.arg(&answers).arg(given.len()).arg(NODES_MAX);
            let more: Vec<Vec<u8>> = self.asked(&more).await?;
            given.extend(more.into_iter().map(answer));
            let who: HashSet<NodeId> = given.iter().map(|(id, _)| *id).collect();
            let all_known = known.iter().filter(|node| node.is_awaited).all(|node| who.contains(&node.id));
            let all_connected = connected.is_none_or(|connected| who.len() + 1 >= connected);
            if (all_known && all_connected) || Instant::now() >= until || given.len() > NODES_MAX {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        // It expires anyway.
        let _ = self.asked::<()>(redis::cmd("DEL").arg(&answers)).await;
        Ok(tally(known, connected, given))
    }

    /// The others that were heard of.
    async fn known(&self) -> Result<Vec<Known>, StoreError> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(self.names.nodes()).arg(0).arg(-1).arg("WITHSCORES");
        Ok(known(self.neighbours.me, self.asked(&command).await?))
    }

    /// How many nodes hear of the log's moves, this one included; none if that is not known.
    async fn connected(&self) -> Option<usize> {
        let channel = &self.names.of(PARTITION).channel;
        let mut command = redis::cmd("PUBSUB");
        command.arg("SHARDNUMSUB").arg(channel);
        let told: Vec<(String, usize)> = self.asked(&command).await.ok()?;
        // Nobody: then not even this node hears anything at this moment.
        told.first().map(|(_, count)| *count).filter(|count| *count > 0)
    }

    async fn asked<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.answered(self.connection.send(PARTITION, command)).await
    }
}

/// Another node that was heard of.
struct Known {
    id: NodeId,
    heard_of: Timestamp,
    is_awaited: bool,
}

/// The others among the nodes that a store remembers, with the seconds at which they were heard of.
fn known(me: NodeId, remembered: Vec<(String, f64)>) -> Vec<Known> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds since 1970; what is not is 0")]
    let seconds = |score: f64| score as u64;
    let newest = remembered.iter().map(|(_, score)| seconds(*score)).max().unwrap_or_default();
    let others = remembered.into_iter().filter_map(|(name, score)| {
        let (id, heard_of) = (NodeId::from_u64(u64::from_str_radix(&name, 16).ok()?), seconds(score));
        Some(Known {
            id,
            heard_of: Timestamp::from_millis(heard_of.saturating_mul(1000)),
            is_awaited: newest - heard_of <= SILENCE_MAX_SECONDS,
        })
    });
    others.filter(|node| node.id != me).collect()
}

fn answer(bytes: Vec<u8>) -> (NodeId, Bytes) {
    let mut bytes = Bytes::from(bytes);
    // What is nobody's stays: where it began is how far the answers were taken.
    (NodeId::from_u64(bytes.try_get_u64().unwrap_or_default()), bytes)
}

fn tally(known: Vec<Known>, connected: Option<usize>, given: Vec<(NodeId, Bytes)>) -> Answers {
    let who: HashSet<NodeId> = given.iter().map(|(id, _)| *id).collect();
    let is_full = known.len() + 1 >= NODES_MAX;
    let missing = known.into_iter().filter(|node| !who.contains(&node.id));
    let missing: Vec<_> = missing.map(|Known { id, heard_of, .. }| MissingNode { id, heard_of }).collect();
    // With this node itself.
    let counted = who.len() + missing.len() + 1;
    let uncounted = match connected {
        Some(connected) => connected.saturating_sub(counted).max(usize::from(is_full)),
        None => 1,
    };
    Answers { given, missing, uncounted }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId::from_u64(1);

    fn remembered(nodes: &[(u64, u32)]) -> Vec<Known> {
        let name = |(id, seconds): &(u64, u32)| (NodeId::from_u64(*id).to_string(), f64::from(*seconds));
        known(ME, nodes.iter().map(name).collect())
    }

    #[test]
    fn who_was_not_heard_of_for_long_is_missed_and_not_waited_for() {
        let nodes = remembered(&[(1, 1_000), (2, 970), (3, 969)]);
        let told: Vec<_> = nodes.iter().map(|node| (node.id.as_u64(), node.is_awaited)).collect();
        assert_eq!(told, [(2, true), (3, false)], "without the one who asks");
        let Answers { missing, uncounted, .. } = tally(nodes, Some(1), vec![(NodeId::from_u64(2), Bytes::new())]);
        let heard_of = Timestamp::from_millis(969_000);
        assert_eq!((missing, uncounted), (vec![MissingNode { id: NodeId::from_u64(3), heard_of }], 0));
    }

    #[test]
    fn who_is_connected_and_known_to_nobody_is_counted() {
        let answers = || vec![(NodeId::from_u64(2), Bytes::new())];
        let uncounted = |connected| tally(remembered(&[(1, 9), (2, 9), (3, 9)]), connected, answers()).uncounted;
        assert_eq!(uncounted(Some(3)), 0, "one is missing by name");
        assert_eq!(uncounted(Some(5)), 2);
        assert_eq!(uncounted(None), 1, "it is not known");
        assert_eq!(tally(Vec::new(), Some(2), answers()).uncounted, 0, "one that answers need not be remembered");
        let many: Vec<_> = (1..=NODES_MAX as u64).map(|id| (id, 9)).collect();
        let all = many.iter().map(|(id, _)| (NodeId::from_u64(*id), Bytes::new())).collect();
        assert_eq!(tally(remembered(&many), Some(2), all).uncounted, 1, "some may have been forgotten");
    }

    #[test]
    fn a_message_that_is_no_question_is_not_heard() {
        let neighbours = Neighbours::default();
        let mut heard = neighbours.asked.subscribe();
        neighbours.hear(Bytes::from_static(b"short"));
        neighbours.hear([&[0; 16][..], &neighbours.me.as_u64().to_be_bytes()].concat().into());
        assert!(heard.try_recv().is_err(), "nor one's own");
        neighbours.hear([&[0; 24][..], b"what"].concat().into());
        assert_eq!(heard.try_recv().unwrap().content, "what");
    }
}
