//! What a listener knows of one of its connections, and what it tells it.
//!
//! Time is counted in ticks of the listener, which one task counts for all connections: a connection has no timer of its
//! own, and noting "since when" costs one load and one store. What is due is decided in [`due`], which is pure.
//!
//! # Invariants
//! - A connection is unused, or reads a head, or runs requests; it is unused only when nothing of an answer is unsent.
//! - A command is never taken back: a connection that is told to end ends.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use http::HeaderMap;
use parking_lot::Mutex;

use super::{hints::ConnectionHints, registry::Place};
use crate::gateway::{
    identity::LastToken,
    proxy::forwarded::{Hop, HopText},
};

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Command {
    /// Nothing.
    Go,
    /// Give back the memory that only a connection in use needs.
    Rest,
    /// End after what runs.
    Finish,
    /// End now.
    Close,
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing.
    Unused,
    /// It has sent some of a request's head.
    Head,
    /// Requests run.
    Busy,
    /// Another protocol is spoken.
    Switched,
}

/// What [`due`] looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) phase: Phase,
    /// When the phase began.
    pub(crate) since: u32,
    /// Since when the client takes nothing of what is sent to it.
    pub(crate) blocked_since: Option<u32>,
    /// Whether it holds memory that it can give back.
    pub(crate) awake: bool,
}

/// How many ticks things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TickLimits {
    pub(crate) head: u32,
    pub(crate) idle: u32,
    pub(crate) write: u32,
    pub(crate) rest: u32,
}

/// What a connection is to be told at this tick.
pub(crate) fn due(view: &View, now: u32, limits: &TickLimits) -> Command {
    let over = |since: u32, limit: u32| now.wrapping_sub(since) > limit;
    match view {
        View { phase: Phase::Switched, .. } => Command::Go,
        View { blocked_since: Some(since), .. } if over(*since, limits.write) => Command::Close,
        View { phase: Phase::Head, since, .. } if over(*since, limits.head) => Command::Close,
        // Over HTTP/2 a client has a say in how it ends. One that says nothing is not waited for.
        View { phase: Phase::Unused, since, .. } if over(*since, limits.idle.saturating_add(limits.write)) => {
            Command::Close
        }
        View { phase: Phase::Unused, since, .. } if over(*since, limits.idle) => Command::Finish,
        View { phase: Phase::Unused, since, awake: true, .. } if over(*since, limits.rest) => Command::Rest,
        _ => Command::Go,
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    ticks: Arc<AtomicU32>,
    tls: bool,
    running: AtomicU32,
    reads_head: AtomicBool,
    switched: AtomicBool,
    since: AtomicU32,
    awake: AtomicBool,
    /// Whether the last exchange was such that it needed no library.
    plain: AtomicBool,
    /// One more than the tick; 0: not blocked.
    blocked: AtomicU32,
    /// How often it began and ceased to be blocked.
    blocked_turns: AtomicU32,
    command: AtomicU8,
    waker: AtomicWaker,
    hints: ConnectionHints,
    /// How it was last told to a server.
    hop: Mutex<Option<HopText>>,
    last_token: LastToken,
    /// Where it is counted as open until it is dropped.
    _place: Option<Place>,
}

impl ConnectionState {
    pub(crate) fn new(ticks: Arc<AtomicU32>, tls: bool, place: Option<Place>) -> Self {
        let since = AtomicU32::new(ticks.load(Relaxed));
        Self {
            ticks,
            tls,
            running: AtomicU32::new(0),
            reads_head: AtomicBool::new(false),
            switched: AtomicBool::new(false),
            since,
            awake: AtomicBool::new(false),
            plain: AtomicBool::new(false),
            blocked: AtomicU32::new(0),
            blocked_turns: AtomicU32::new(0),
            command: AtomicU8::new(Command::Go as u8),
            waker: AtomicWaker::new(),
            hints: ConnectionHints::default(),
            hop: Mutex::default(),
            last_token: LastToken::default(),
            _place: place,
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    fn now(&self) -> u32 {
        self.ticks.load(Relaxed)
    }

    fn note(&self) {
        self.since.store(self.now(), Relaxed);
    }

    /// Bytes came. Between requests they begin a head.
    pub(crate) fn bytes_came(&self) {
        if self.running.load(Relaxed) == 0 && !self.reads_head.load(Relaxed) {
            self.reads_head.store(true, Relaxed);
            self.note();
        }
    }

    /// It speaks HTTP/2, where bytes come between requests that are none of a head.
    pub(crate) fn head_is_whole(&self) {
        self.reads_head.store(false, Relaxed);
    }

    pub(crate) fn request_began(&self) {
        self.running.fetch_add(1, Relaxed);
        self.reads_head.store(false, Relaxed);
    }

    pub(crate) fn request_ended(&self) {
        self.note();
        self.running.fetch_sub(1, Relaxed);
    }

    pub(crate) fn switched(&self) {
        self.switched.store(true, Relaxed);
    }

    pub(crate) fn wrote(&self, blocked: bool) {
        if blocked {
            if self.blocked.load(Relaxed) == 0 {
                self.blocked.store(self.now().wrapping_add(1).max(1), Relaxed);
                self.blocked_turns.fetch_add(1, Relaxed);
            }
        } else if self.blocked.load(Relaxed) != 0 {
            self.blocked.store(0, Relaxed);
            self.blocked_turns.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed) != 0
    }

    /// How often it began and ceased to be blocked: the same at two times, if it did neither in between.
    pub(crate) fn blocked_turns(&self) -> u32 {
        self.blocked_turns.load(Relaxed)
    }

    pub(crate) fn set_awake(&self, awake: bool) {
        self.awake.store(awake, Relaxed);
        if !awake {
            self.last_token.forget();
        }
    }

    pub(crate) fn note_plain(&self, plain: bool) {
        self.plain.store(plain, Relaxed);
    }

    /// Whether nothing is under way, and the last exchange needed no library.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.load(Relaxed) && self.phase() == Phase::Unused && !self.is_blocked()
    }

    pub(crate) fn last_token(&self) -> &LastToken {
        &self.last_token
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.switched.load(Relaxed) {
            Phase::Switched
        } else if self.running.load(Relaxed) > 0 {
            Phase::Busy
        } else if self.reads_head.load(Relaxed) {
            Phase::Head
        } else {
            Phase::Unused
        }
    }

    pub(crate) fn view(&self) -> View {
        let blocked = self.blocked.load(Relaxed);
        View {
            phase: self.phase(),
            since: self.since.load(Relaxed),
            blocked_since: (blocked != 0).then(|| blocked.wrapping_sub(1)),
            awake: self.awake.load(Relaxed),
        }
    }

    /// Tells the connection something. What was told before and weighs more stays.
    pub(crate) fn tell(&self, command: Command) {
        if self.command.fetch_max(command as u8, SeqCst) < command as u8 {
            self.waker.wake();
        }
    }

    /// What was told; [`Command::Rest`] only once.
    pub(crate) fn told(&self, cx: &mut Context<'_>) -> Command {
        self.waker.register(cx.waker());
        match self.command.load(SeqCst) {
            told if told == Command::Close as u8 => Command::Close,
            told if told == Command::Finish as u8 => Command::Finish,
            told if told == Command::Rest as u8 => {
                let _ = self.command.compare_exchange(told, Command::Go as u8, SeqCst, SeqCst);
                Command::Rest
            }
            _ => Command::Go,
        }
    }

    /// How this hop is told to servers.
    pub(crate) fn hop_text(&self, hop: &Hop<'_>) -> HopText {
        let mut last = self.hop.lock();
        match &*last {
            Some(text) if text.is_for(hop.host) => text.clone(),
            _ => last.insert(HopText::of(hop)).clone(),
        }
    }

    /// Is over when the connection is told to end now.
    pub(crate) async fn closed(&self) {
        poll_fn(|cx| if self.told(cx) == Command::Close { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// What is to be sent ahead of answers, where HTTP/1.1 is spoken.
    pub(crate) fn hints(&self) -> &ConnectionHints {
        &self.hints
    }

    /// Has an interim answer sent, ahead of the answer to this request. If the client takes nothing, or too many wait, it is
    /// dropped.
    pub(crate) fn hint(&self, asked: u32, headers: &HeaderMap) {
        if !self.is_blocked() && self.hints.push(asked, headers) {
            self.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TickLimits = TickLimits { head: 4, idle: 20, write: 10, rest: 2 };
    const UNUSED: View = View { phase: Phase::Unused, since: 100, blocked_since: None, awake: true };

    fn check(view: View, now: u32, expected: Command) {
        assert_eq!(due(&view, now, &LIMITS), expected, "{view:?} at {now}");
    }

    #[test]
    fn an_unused_connection_rests_and_then_ends() {
        check(UNUSED, 102, Command::Go);
        check(UNUSED, 103, Command::Rest);
        check(View { awake: false, ..UNUSED }, 103, Command::Go);
        check(UNUSED, 121, Command::Finish);
        check(UNUSED, 130, Command::Finish);
        check(UNUSED, 131, Command::Close);
    }

    #[test]
    fn a_head_may_not_take_long_and_a_request_may() {
        let head = View { phase: Phase::Head, ..UNUSED };
        check(head, 104, Command::Go);
        check(head, 105, Command::Close);
        check(View { phase: Phase::Busy, ..UNUSED }, 10_000, Command::Go);
    }

    #[test]
    fn who_takes_nothing_is_cut_off_unless_another_protocol_is_spoken() {
        let blocked = View { phase: Phase::Busy, blocked_since: Some(100), ..UNUSED };
        check(blocked, 110, Command::Go);
        check(blocked, 111, Command::Close);
        check(View { phase: Phase::Switched, ..blocked }, 9_999, Command::Go);
    }

    #[test]
    fn the_ticks_may_wrap() {
        check(View { since: u32::MAX - 1, ..UNUSED }, 0, Command::Go);
        check(View { since: u32::MAX - 1, ..UNUSED }, 1, Command::Rest);
    }

    #[test]
    fn phases_follow_bytes_and_requests() {
        let state = ConnectionState::new(Arc::default(), false, None);
        assert_eq!(state.phase(), Phase::Unused);
        state.bytes_came();
        assert_eq!(state.phase(), Phase::Head);
        state.request_began();
        state.bytes_came();
        assert_eq!(state.phase(), Phase::Busy);
        state.request_ended();
        assert_eq!(state.phase(), Phase::Unused);
    }

    #[test]
    fn a_connection_is_plain_again_when_nothing_is_under_way() {
        let state = ConnectionState::new(Arc::default(), false, None);
        assert!(!state.is_plain(), "nothing was plain yet");
        state.note_plain(true);
        assert!(state.is_plain());
        state.bytes_came();
        assert!(!state.is_plain(), "a head has begun");
        state.request_began();
        assert!(!state.is_plain(), "a request runs");
        state.request_ended();
        state.wrote(true);
        assert!(!state.is_plain(), "something is unsent");
        state.wrote(false);
        assert!(state.is_plain());
        state.note_plain(false);
        assert!(!state.is_plain());
    }

    #[test]
    fn a_command_that_weighs_more_stays() {
        let state = ConnectionState::new(Arc::default(), false, None);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        state.tell(Command::Rest);
        assert_eq!((state.told(&mut cx), state.told(&mut cx)), (Command::Rest, Command::Go));
        state.tell(Command::Close);
        state.tell(Command::Finish);
        assert_eq!((state.told(&mut cx), state.told(&mut cx)), (Command::Close, Command::Close));
    }
}
