//! From the cache's observer, which must not wait, to the task that sends out: bounded, and nothing is lost silently.
//!
//! When the inbox is full, what waits of each partition becomes one `Skipped` to its newest position: the sockets of
//! that partition are then resynchronised.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;
use unstale::{Position, Record};

/// What the observer heard.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    Applied(Arc<Record>),
    Skipped(Position),
}

impl Heard {
    fn position(&self) -> Position {
        match self {
            Self::Applied(record) => record.position,
            Self::Skipped(head) => *head,
        }
    }
}

pub(super) struct Inbox {
    waiting: Mutex<VecDeque<Heard>>,
    arrived: Notify,
    limit: usize,
}

impl Inbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: Mutex::default(), arrived: Notify::new(), limit }
    }

    pub(super) fn push(&self, heard: Heard) {
        let mut waiting = self.waiting.lock();
        waiting.push_back(heard);
        if waiting.len() > self.limit {
            compact(&mut waiting);
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// The next one. Cancel-safe: what is taken is returned at once.
    pub(super) async fn next(&self) -> Heard {
        loop {
            if let Some(heard) = self.waiting.lock().pop_front() {
                return heard;
            }
            self.arrived.notified().await;
        }
    }
}

fn compact(waiting: &mut VecDeque<Heard>) {
    let mut heads: Vec<Position> = Vec::new();
    for position in waiting.drain(..).map(|heard| heard.position()) {
        match heads.iter_mut().find(|head| head.partition == position.partition) {
            // Later in the queue is later in the log.
            Some(head) => *head = position,
            None => heads.push(position),
        }
    }
    waiting.extend(heads.into_iter().map(Heard::Skipped));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use unstale::PositionSet;

    use super::*;

    fn position(text: &str) -> Position {
        *text.parse::<PositionSet>().unwrap().iter().next().unwrap()
    }

    fn applied(text: &str) -> Heard {
        Heard::Applied(Arc::new(Record { position: position(text), tags: Vec::new(), note: Bytes::new() }))
    }

    #[tokio::test]
    async fn keeps_the_order() {
        let inbox = Inbox::new(4);
        inbox.push(applied("1.7.1"));
        inbox.push(applied("1.7.2"));
        assert_eq!(inbox.next().await.position(), position("1.7.1"));
        assert_eq!(inbox.next().await.position(), position("1.7.2"));
    }

    #[tokio::test]
    async fn when_full_each_partition_is_skipped_to_its_newest_position() {
        let inbox = Inbox::new(3);
        for text in ["1.7.1", "2.7.1", "1.7.2", "1.8.0"] {
            inbox.push(applied(text));
        }
        let mut heads = Vec::new();
        for _ in 0..2 {
            let heard = inbox.next().await;
            assert!(matches!(heard, Heard::Skipped(_)));
            heads.push(heard.position());
        }
        assert_eq!(heads, [position("1.8.0"), position("2.7.1")]);
        inbox.push(applied("1.8.1"));
        assert!(matches!(inbox.next().await, Heard::Applied(_)));
    }
}
