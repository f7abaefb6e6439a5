//! What waits for one socket: bounded, so that a slow socket costs a fixed amount of memory and nobody's time.
//!
//! # Invariants
//! - `hello` is the first message out, whatever else happens.
//! - A resync replaces everything that waits; until it is taken, what is pushed is dropped, because the client will
//!   fetch anew after it has read the resync, and so after the change.
//! - A close goes out before anything that waits, and nothing follows it.

use std::collections::VecDeque;

use axum::extract::ws::Utf8Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use unstale::Position;

use super::message::{self, MissedBefore, ResyncReason};

pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    limit: usize,
}

#[derive(Default)]
struct Waiting {
    hello: Option<Utf8Bytes>,
    messages: VecDeque<Utf8Bytes>,
    /// A resync is among the messages, alone.
    resyncing: bool,
    /// To be sent when nothing waits: the client has then received all that was pushed before.
    receipt: Option<u64>,
    close: Option<Closing>,
}

/// Why a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

/// What to send next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Message(Utf8Bytes),
    /// Ask the client for a sign that it has everything up to here.
    Receipt(u64),
    Close(Closing),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Queued,
    /// There was no room: the client is told to resynchronise.
    Overflowed,
    /// A resync waits that covers it, or the socket is being closed.
    Covered,
}

impl Outbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: Mutex::default(), arrived: Notify::new(), limit }
    }

    pub(super) fn hello(&self, position: &str, missed: MissedBefore) {
        self.waiting.lock().hello = Some(message::hello(position, missed));
        self.arrived.notify_one();
    }

    /// Queues a message that was made when the log was at `head`.
    pub(super) fn push(&self, message: Utf8Bytes, head: Position) -> Pushed {
        let mut waiting = self.waiting.lock();
        let pushed = if waiting.close.is_some() || waiting.resyncing {
            Pushed::Covered
        } else if waiting.messages.len() >= self.limit {
            waiting.resync(ResyncReason::Slow, head);
            Pushed::Overflowed
        } else {
            waiting.messages.push_back(message);
            Pushed::Queued
        };
        drop(waiting);
        self.arrived.notify_one();
        pushed
    }

    /// Tells the client to fetch anew.
    pub(super) fn resync(&self, reason: ResyncReason, head: Position) -> Pushed {
        let mut waiting = self.waiting.lock();
        if waiting.close.is_some() {
            return Pushed::Covered;
        }
        let covered = waiting.resyncing;
        waiting.resync(reason, head);
        drop(waiting);
        self.arrived.notify_one();
        if covered { Pushed::Covered } else { Pushed::Queued }
    }

    /// Asks for a receipt of all that was pushed so far.
    pub(super) fn ask_receipt(&self, number: u64) {
        self.waiting.lock().receipt = Some(number);
        self.arrived.notify_one();
    }

    pub(super) fn close(&self, closing: Closing) {
        self.waiting.lock().close.get_or_insert(closing);
        self.arrived.notify_one();
    }

    /// What to send next. Cancel-safe: what is taken is returned at once.
    pub(super) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.waiting.lock().take() {
                return next;
            }
            self.arrived.notified().await;
        }
    }
}

impl Waiting {
    fn resync(&mut self, reason: ResyncReason, head: Position) {
        self.messages.clear();
        self.messages.push_back(message::resync(reason, head));
        self.resyncing = true;
    }

    fn take(&mut self) -> Option<Next> {
        if let Some(closing) = self.close {
            return Some(Next::Close(closing));
        }
        if let Some(hello) = self.hello.take() {
            return Some(Next::Message(hello));
        }
        if let Some(message) = self.messages.pop_front() {
            self.resyncing = false;
            return Some(Next::Message(message));
        }
        self.receipt.take().map(Next::Receipt)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use unstale::PositionSet;

    use super::*;

    fn head() -> Position {
        *"1.2.3".parse::<PositionSet>().unwrap().iter().next().unwrap()
    }

    fn taken(outbox: &Outbox) -> Vec<String> {
        let mut taken = Vec::new();
        while let Some(next) = outbox.next().now_or_never() {
            match next {
                Next::Message(text) => taken.push(text.as_str().to_owned()),
                Next::Receipt(number) => taken.push(format!("receipt {number}")),
                Next::Close(closing) => {
                    taken.push(format!("close {}", closing.code));
                    break;
                }
            }
        }
        taken
    }

    fn push(outbox: &Outbox, text: &'static str) -> Pushed {
        outbox.push(Utf8Bytes::from_static(text), head())
    }

    const HELLO: &str = r#"{"type":"hello","position":"1.2.0","missed":"replayed"}"#;
    const SLOW: &str = r#"{"type":"resync","reason":"slow","position":"1.2.3"}"#;

    #[test]
    fn hello_first_then_messages_in_order_then_the_receipt() {
        let outbox = Outbox::new(4);
        outbox.ask_receipt(9);
        push(&outbox, "a");
        push(&outbox, "b");
        outbox.hello("1.2.0", MissedBefore::Replayed);
        assert_eq!(taken(&outbox), [HELLO, "a", "b", "receipt 9"]);
    }

    #[test]
    fn an_overflow_becomes_one_resync_and_then_goes_on() {
        let outbox = Outbox::new(2);
        outbox.hello("x", MissedBefore::Nothing);
        assert_eq!([push(&outbox, "a"), push(&outbox, "b")], [Pushed::Queued; 2]);
        assert_eq!(push(&outbox, "c"), Pushed::Overflowed);
        assert_eq!(push(&outbox, "d"), Pushed::Covered);
        assert_eq!(taken(&outbox)[1..], [SLOW]);
        assert_eq!(push(&outbox, "e"), Pushed::Queued);
        assert_eq!(taken(&outbox), ["e"]);
    }

    #[test]
    fn a_close_overtakes_what_waits_and_nothing_follows() {
        let outbox = Outbox::new(2);
        push(&outbox, "a");
        outbox.close(Closing { code: 4401, reason: "" });
        outbox.close(Closing { code: 1001, reason: "" });
        assert_eq!(push(&outbox, "b"), Pushed::Covered);
        assert_eq!(taken(&outbox), ["close 4401"]);
    }
}
