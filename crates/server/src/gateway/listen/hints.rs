//! Early hints (103) on their way to a client, ahead of the answer.
//!
//! They come from wherever a server is asked, which may go on after the client was answered: a load behind an answer that
//! is stale, say. On a connection of HTTP/1.1, what is sent then would stand in the middle of another answer, or be taken for
//! one.
//!
//! # Invariants
//! - A hint goes out ahead of the answer to the request that it was given for, or not at all.
//! - What waits to be sent is bounded; what is too much is dropped: hints help or do not matter.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    task::Waker,
};

use futures_util::task::AtomicWaker;
use http::HeaderMap;
use parking_lot::Mutex;
use unstale_http::wire;

/// How much of interim answers may wait to be sent on a connection of HTTP/1.1, and how much one request over HTTP/2 may be
/// sent in all: what its client has taken of it is not known.
const HINTS_BYTES_MAX: usize = 16 * 1024;
/// What a field takes beside its name and value (RFC 9113, 6.5.2).
const FIELD_BYTES: usize = 32;

/// Those of a connection of HTTP/1.1, which has one request at a time that is not answered.
#[derive(Debug, Default)]
pub(crate) struct ConnectionHints {
    /// The number of the request that is not answered, or of the next.
    asked: AtomicU32,
    waiting: Mutex<Waiting>,
    has_some: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    text: Vec<u8>,
    /// Which request they are for.
    asked: u32,
    /// Its answer has begun since, and goes out behind them.
    precede: bool,
}

impl ConnectionHints {
    /// The number of the request that is not answered.
    pub(crate) fn asked(&self) -> u32 {
        self.asked.load(Relaxed)
    }

    /// Its answer begins. For whoever writes to the connection, before it writes the answer.
    pub(crate) fn answered(&self) {
        if self.has_some.load(Relaxed) {
            let mut waiting = self.waiting.lock();
            waiting.precede |= waiting.asked == self.asked();
        }
        self.asked.fetch_add(1, Relaxed);
    }

    /// Has this sent ahead of the answer to a request, unless that has begun. Says whether it waits to be sent.
    pub(crate) fn push(&self, asked: u32, headers: &HeaderMap) -> bool {
        if self.asked() != asked {
            return false;
        }
        let mut text = b"HTTP/1.1 103 Early Hints\r\n".to_vec();
        for (name, value) in headers {
            wire::write_field(name, value, &mut text);
        }
        text.extend_from_slice(b"\r\n");
        let mut waiting = self.waiting.lock();
        if waiting.asked != asked {
            if waiting.precede {
                // Not even the answer before has gone out.
                return false;
            }
            waiting.text.clear();
            waiting.asked = asked;
        }
        let fits = waiting.text.len() + text.len() <= HINTS_BYTES_MAX;
        if fits {
            waiting.text.extend_from_slice(&text);
            self.has_some.store(true, Relaxed);
        }
        fits
    }

    /// What is to be sent now, ahead of all else. For whoever writes to the connection.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        if !self.has_some.load(Relaxed) {
            return None;
        }
        let mut waiting = self.waiting.lock();
        self.has_some.store(false, Relaxed);
        let text = std::mem::take(&mut waiting.text);
        // Whoever pushed it may have looked just before the answer began.
        let in_time = std::mem::take(&mut waiting.precede) || waiting.asked == self.asked();
        in_time.then_some(text)
    }
}

/// Those of one request over HTTP/2. Shared by its stream and whoever asks a server for it.
#[derive(Debug, Default)]
pub(crate) struct StreamHints {
    waiting: Mutex<Unsent>,
    has_some: AtomicBool,
    /// Of the stream.
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Unsent {
    heads: Vec<HeaderMap>,
    /// Of all that were ever pushed.
    bytes: usize,
    /// The answer has begun, or nobody wants it any more.
    over: bool,
}

impl StreamHints {
    /// Has this sent ahead of the answer, unless that has begun or there were too many.
    pub(crate) fn push(&self, headers: HeaderMap) {
        let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
        let mut waiting = self.waiting.lock();
        if waiting.over || waiting.bytes + length > HINTS_BYTES_MAX {
            return;
        }
        waiting.bytes += length;
        waiting.heads.push(headers);
        drop(waiting);
        self.has_some.store(true, Relaxed);
        self.waker.wake();
    }

    /// What is to be sent now; when there is more, this is woken.
    pub(crate) fn take(&self, waker: &Waker) -> Vec<HeaderMap> {
        self.waker.register(waker);
        if !self.has_some.swap(false, Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut self.waiting.lock().heads)
    }

    /// None is sent any more.
    pub(crate) fn end(&self) {
        let mut waiting = self.waiting.lock();
        waiting.over = true;
        waiting.heads = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    fn hint(link: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::LINK, HeaderValue::from_static(link))])
    }

    fn taken(hints: &ConnectionHints) -> String {
        hints.take().map(|text| String::from_utf8(text).unwrap()).unwrap_or_default()
    }

    #[test]
    fn they_go_out_in_their_order_and_once() {
        let hints = ConnectionHints::default();
        assert!(hints.push(hints.asked(), &hint("</a>")) && hints.push(hints.asked(), &hint("</b>")));
        let begin = "HTTP/1.1 103 Early Hints\r\nlink: ";
        assert_eq!(taken(&hints), format!("{begin}</a>\r\n\r\n{begin}</b>\r\n\r\n"));
        assert_eq!(taken(&hints), "");
    }

    #[test]
    fn what_came_before_the_answer_precedes_it() {
        let hints = ConnectionHints::default();
        hints.push(hints.asked(), &hint("</a>"));
        hints.answered();
        assert!(taken(&hints).contains("</a>"));
    }

    #[test]
    fn what_comes_after_the_answer_is_dropped() {
        let hints = ConnectionHints::default();
        let asked = hints.asked();
        hints.answered();
        assert!(!hints.push(asked, &hint("</a>")));
        assert_eq!(taken(&hints), "");
        // Neither does it go ahead of the next answer.
        hints.push(hints.asked(), &hint("</b>"));
        assert!(!hints.push(asked, &hint("</a>")));
        assert!(!taken(&hints).contains("</a>"));
    }

    #[test]
    fn what_was_pushed_while_the_answer_began_is_dropped() {
        let hints = ConnectionHints::default();
        // As if it had looked at the number before, and pushed after the answer had begun.
        hints.asked.store(1, Relaxed);
        hints.push(1, &hint("</a>"));
        hints.asked.store(2, Relaxed);
        assert_eq!(taken(&hints), "");
    }

    #[test]
    fn a_stream_is_sent_them_until_its_answer_begins() {
        let hints = StreamHints::default();
        let taken = || hints.take(Waker::noop());
        hints.push(hint("</a>"));
        hints.push(hint("</b>"));
        assert_eq!(taken(), [hint("</a>"), hint("</b>")]);
        assert!(taken().is_empty());
        hints.push(hint("</c>"));
        hints.end();
        hints.push(hint("</d>"));
        assert!(taken().is_empty());
    }

    #[test]
    fn a_stream_is_sent_so_many_in_all() {
        let hints = StreamHints::default();
        let push = |_| {
            hints.push(hint("</a.css>; rel=preload"));
            hints.take(Waker::noop()).len()
        };
        let sent: usize = (0..1000).map(push).sum();
        assert!((100..1000).contains(&sent), "{sent}");
    }

    #[test]
    fn what_waits_is_bounded() {
        let hints = ConnectionHints::default();
        let pushed = (0..1000).filter(|_| hints.push(0, &hint("</a.css>; rel=preload"))).count();
        assert!((100..1000).contains(&pushed), "{pushed}");
        assert!(taken(&hints).len() <= HINTS_BYTES_MAX);
    }
}
