//! Tests of the rules in `partition.rs`, without any network.

use bytes::Bytes;
use futures_util::FutureExt as _;
use unstale::{GroupKey, Tag};

use super::*;
use crate::live::outbox::{Closing, Next};

const LIMITS: LiveLimits = LiveLimits {
    sockets_per_user_max: 4,
    sockets_max: 10,
    queue_max: 4,
    session_tags_max: 3,
    tags_max: 100,
    sessions_max: 3,
    idle_heartbeats_max: 2,
    recent_records_max: 5,
    inbox_max: 10,
    refetches_per_second: 10,
    jitter_max: std::time::Duration::from_secs(1),
    heartbeat: std::time::Duration::from_secs(25),
    stream_lasts_max: std::time::Duration::from_secs(300),
};

fn position(epoch: u64, sequence: u64) -> Position {
    *format!("0.{epoch:x}.{sequence:x}").parse::<PositionSet>().unwrap().iter().next().unwrap()
}

fn at(sequence: u64) -> Position {
    position(7, sequence)
}

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

fn flow(id: u64) -> TagId {
    Tag::of(&tenant("acme"), "flow", id).id()
}

fn who(session: &str) -> LiveIdentity {
    LiveIdentity { tenant: tenant("acme"), user: format!("user of {session}").into(), session: session.into() }
}

/// A hub of one partition, whose log begins after sequence 0 of epoch 7.
struct Hub {
    state: PartitionState,
    encoder: Encoder,
    sequence: u64,
    sockets: u64,
}

impl Hub {
    fn new() -> Self {
        Self::with(LIMITS)
    }

    fn with(limits: LiveLimits) -> Self {
        let budget = Arc::new(Budget::new(limits.tags_max, limits.sessions_max));
        let state = PartitionState::new(limits, budget, LiveMetrics::default());
        Self { state, encoder: Encoder::new(GroupKey::derive(b"secret")), sequence: 0, sockets: 0 }
    }

    fn invalidate(&mut self, tags: &[TagId]) {
        self.sequence += 1;
        let note = format!(r#"{{"n":{}}}"#, self.sequence);
        let record = Record { position: at(self.sequence), tags: tags.to_vec(), note: Bytes::from(note) };
        self.state.apply(&Arc::new(record), &self.encoder);
    }

    fn served(&mut self, who: &LiveIdentity, tags: &[TagId], base: u64) {
        self.state.served(who, tags, at(base), &self.encoder);
    }

    fn connect(&mut self, who: &LiveIdentity, since: Since) -> (u64, Arc<Outbox>) {
        self.sockets += 1;
        let outbox = Arc::new(Outbox::new(LIMITS.queue_max));
        let frontier = at(self.sequence);
        self.state.connect(who, self.sockets, &outbox, &since, || frontier, &self.encoder);
        (self.sockets, outbox)
    }

    /// Connects for the first time and takes the hello.
    fn listen(&mut self, who: &LiveIdentity) -> Arc<Outbox> {
        let (_, outbox) = self.connect(who, Since::FirstTime);
        assert_eq!(taken(&outbox).len(), 1);
        outbox
    }
}

/// What was sent, shortened: `hello@3`, `event@4 n=4 groups=1`, `resync@5 slow`.
fn taken(outbox: &Outbox) -> Vec<String> {
    taken_until_receipt(outbox).0
}

fn taken_until_receipt(outbox: &Outbox) -> (Vec<String>, Option<u64>) {
    let (mut taken, mut receipt) = (Vec::new(), None);
    while let Some(next) = outbox.next().now_or_never() {
        match next {
            Next::Message(text) => taken.push(short(text.as_str())),
            Next::Receipt(number) => receipt = Some(number),
            Next::Close(closing) => panic!("{closing:?}"),
        }
    }
    (taken, receipt)
}

/// Whether the next thing that it is told, and so the last one, is that it may ask again.
fn is_closed(outbox: &Outbox) -> bool {
    matches!(outbox.next().now_or_never(), Some(Next::Close(Closing { code: 4401, .. })))
}

fn short(text: &str) -> String {
    let message: serde_json::Value = serde_json::from_str(text).unwrap();
    let position = message["position"].as_str().unwrap();
    let sequence = position.rsplit('.').next().unwrap();
    match message["type"].as_str().unwrap() {
        "hello" => format!("hello@{sequence}"),
        "resync" => format!("resync@{sequence} {}", message["reason"].as_str().unwrap()),
        "cache_invalidation" => {
            format!(
                "event@{sequence} n={} groups={}",
                message["data"]["n"],
                message["groups"].as_array().unwrap().len()
            )
        }
        other => panic!("{other}"),
    }
}

#[test]
fn only_sessions_that_hold_a_tag_hear_of_it_with_the_groups_they_hold() {
    let mut hub = Hub::new();
    hub.served(&who("ada"), &[flow(1), flow(2)], 0);
    hub.served(&who("bob"), &[flow(3)], 0);
    let (ada, bob, eve) = (hub.listen(&who("ada")), hub.listen(&who("bob")), hub.listen(&who("eve")));
    hub.invalidate(&[flow(1), flow(3)]);
    hub.invalidate(&[flow(1), flow(2), flow(9)]);
    assert_eq!(taken(&ada), ["event@1 n=1 groups=1", "event@2 n=2 groups=2"]);
    assert_eq!(taken(&bob), ["event@1 n=1 groups=1"]);
    assert!(taken(&eve).is_empty());
}

#[test]
fn one_session_in_two_tenants_hears_each_on_its_own_socket() {
    let mut hub = Hub::new();
    let in_globex = LiveIdentity { tenant: tenant("globex"), ..who("ada") };
    let user = Tag::shared("user", 1).id();
    hub.served(&who("ada"), &[flow(1)], 0);
    hub.served(&in_globex, &[user], 0);
    let (acme, globex) = (hub.listen(&who("ada")), hub.listen(&in_globex));
    hub.invalidate(&[flow(1)]);
    hub.invalidate(&[user]);
    assert_eq!(taken(&acme), ["event@1 n=1 groups=1"]);
    assert_eq!(taken(&globex), ["event@2 n=2 groups=1"]);
}

#[test]
fn a_record_told_before_its_reader_was_registered_comes_late() {
    let mut hub = Hub::new();
    let ada = hub.listen(&who("ada"));
    hub.invalidate(&[flow(1)]);
    hub.invalidate(&[flow(2)]);
    // Loaded before both, registered after both.
    hub.served(&who("ada"), &[flow(1)], 0);
    // At the head's position, as positions do not go back.
    assert_eq!(taken(&ada), ["event@2 n=1 groups=1"]);
    // Loaded after the first.
    hub.served(&who("ada"), &[flow(1)], 1);
    assert!(taken(&ada).is_empty());
}

#[test]
fn what_came_while_no_socket_was_open_follows_the_hello() {
    let mut hub = Hub::new();
    hub.served(&who("ada"), &[flow(1)], 0);
    hub.invalidate(&[flow(1)]);
    hub.invalidate(&[flow(9)]);
    let (_, ada) = hub.connect(&who("ada"), Since::FirstTime);
    assert_eq!(taken(&ada), ["hello@0", "event@1 n=1 groups=1"]);
    hub.invalidate(&[flow(1)]);
    assert_eq!(taken(&ada), ["event@3 n=3 groups=1"]);
}

#[test]
fn who_comes_back_hears_what_was_missed_or_that_it_cannot_be_known() {
    let mut hub = Hub::new();
    hub.served(&who("ada"), &[flow(1)], 0);
    let (socket, ada) = hub.connect(&who("ada"), Since::FirstTime);
    let (_, receipt) = taken_until_receipt(&ada);
    hub.state.received(&who("ada"), receipt.unwrap());
    hub.state.disconnect(&who("ada"), socket);
    hub.invalidate(&[flow(9)]);
    // Nothing of its own: the hello says so by the newest position.
    let (socket, ada) = hub.connect(&who("ada"), Since::Position(at(0)));
    assert_eq!(taken(&ada), ["hello@1"]);
    hub.state.disconnect(&who("ada"), socket);
    hub.invalidate(&[flow(1)]);
    let (socket, ada) = hub.connect(&who("ada"), Since::Position(at(1)));
    assert_eq!(taken(&ada), ["hello@1", "event@2 n=2 groups=1"]);
    hub.state.disconnect(&who("ada"), socket);
    // Further back than the last records, of another epoch, or not to be read.
    (0..6).for_each(|_| hub.invalidate(&[flow(9)]));
    for since in [Since::Position(at(1)), Since::Position(position(6, 8)), Since::Unknown] {
        let (socket, ada) = hub.connect(&who("ada"), since);
        let told = taken(&ada);
        assert_eq!(told[1..], ["resync@8 unknown"], "{since:?}");
        hub.state.disconnect(&who("ada"), socket);
    }
}

#[test]
fn what_was_sent_late_is_sent_again_until_it_was_provably_received() {
    let mut hub = Hub::new();
    let (socket, ada) = hub.connect(&who("ada"), Since::FirstTime);
    hub.invalidate(&[flow(1)]);
    hub.served(&who("ada"), &[flow(1)], 0);
    let (told, receipt) = taken_until_receipt(&ada);
    assert_eq!(told, ["hello@0", "event@1 n=1 groups=1"]);
    // The connection broke and the client has only the hello; its token says nothing of the late event.
    hub.state.disconnect(&who("ada"), socket);
    let (socket, ada) = hub.connect(&who("ada"), Since::Position(at(1)));
    let (told, again) = taken_until_receipt(&ada);
    assert_eq!(told, ["hello@0", "event@1 n=1 groups=1"]);
    // A receipt of the first connection proves nothing of the second.
    hub.state.received(&who("ada"), receipt.unwrap());
    assert!(hub.state.sessions.values().any(|session| session.unheard.is_some()));
    hub.state.received(&who("ada"), again.unwrap());
    hub.state.disconnect(&who("ada"), socket);
    let (_, ada) = hub.connect(&who("ada"), Since::Position(at(1)));
    assert_eq!(taken(&ada), ["hello@1"]);
}

#[test]
fn a_client_whose_hello_was_lost_comes_back_without_a_token_and_misses_nothing() {
    let mut hub = Hub::new();
    let (socket, _unread) = hub.connect(&who("ada"), Since::FirstTime);
    hub.served(&who("ada"), &[flow(2)], 0);
    hub.state.beat();
    hub.invalidate(&[flow(2)]);
    hub.state.beat();
    hub.state.disconnect(&who("ada"), socket);
    let (_, ada) = hub.connect(&who("ada"), Since::FirstTime);
    assert_eq!(taken(&ada), ["hello@0", "event@1 n=1 groups=1"]);
}

#[test]
fn a_hit_on_an_old_entry_is_no_reason_to_resynchronise() {
    let mut hub = Hub::new();
    (0..50).for_each(|_| hub.invalidate(&[flow(9)]));
    // Its base is far behind the last records kept, but no tag of it has moved.
    hub.served(&who("ada"), &[flow(1)], 0);
    let (_, ada) = hub.connect(&who("ada"), Since::FirstTime);
    assert_eq!(taken(&ada), ["hello@32"]);
    hub.served(&who("ada"), &[flow(2)], 0);
    assert!(taken(&ada).is_empty());
    // One that has moved, too long ago to say how.
    hub.served(&who("ada"), &[flow(9)], 0);
    assert_eq!(taken(&ada), ["resync@32 unknown"]);
}

#[test]
fn a_page_that_opens_while_an_older_socket_seems_alive_hears_what_it_may_have_missed() {
    let mut hub = Hub::new();
    let _asleep = hub.listen(&who("ada"));
    hub.served(&who("ada"), &[flow(1)], 0);
    hub.invalidate(&[flow(1)]);
    let (_, page) = hub.connect(&who("ada"), Since::FirstTime);
    assert_eq!(taken(&page), ["hello@0", "event@1 n=1 groups=1"]);
    hub.state.beat();
    hub.state.beat();
    let (_, page) = hub.connect(&who("ada"), Since::FirstTime);
    assert_eq!(taken(&page).len(), 2, "unheard until a receipt");
}

#[test]
fn a_lost_part_of_the_log_or_a_new_epoch_resynchronises_everybody() {
    let mut hub = Hub::new();
    let ada = hub.listen(&who("ada"));
    hub.served(&who("away"), &[flow(1)], 0);
    hub.state.skip(position(8, 3));
    assert_eq!(taken(&ada), ["resync@3 unknown"]);
    let (_, away) = hub.connect(&who("away"), Since::FirstTime);
    assert_eq!(taken(&away), ["hello@", "resync@3 unknown"].map(str::to_owned));
    // A response from before the new epoch that is registered after it.
    hub.served(&who("ada"), &[flow(1)], 0);
    assert_eq!(taken(&ada), ["resync@3 unknown"]);
}

#[test]
fn a_gap_that_nobody_told_of_loses_nothing() {
    let mut hub = Hub::new();
    let ada = hub.listen(&who("ada"));
    hub.invalidate(&[flow(9)]);
    hub.sequence += 5;
    hub.invalidate(&[flow(9)]);
    assert_eq!(taken(&ada), ["resync@6 unknown"]);
}

#[test]
fn more_facts_than_the_limit_become_a_resync_without_groups() {
    let mut hub = Hub::new();
    let ada = hub.listen(&who("ada"));
    let bob = hub.listen(&who("bob"));
    hub.served(&who("ada"), &(1..=5).map(flow).collect::<Vec<_>>(), 0);
    hub.invalidate(&[flow(1)]);
    assert_eq!(taken(&ada), ["event@1 n=1 groups=1"]);
    hub.invalidate(&[flow(5)]);
    assert_eq!(taken(&ada), ["resync@2 many"]);
    hub.invalidate(&[flow(99)]);
    assert!(taken(&ada).is_empty() && taken(&bob).is_empty());
}

#[test]
fn the_node_has_a_limit_of_facts_and_gets_them_back() {
    let mut hub = Hub::with(LiveLimits { tags_max: 2, ..LIMITS });
    hub.served(&who("ada"), &[flow(1), flow(2)], 0);
    hub.served(&who("bob"), &[flow(3)], 0);
    let bob = hub.listen(&who("bob"));
    hub.invalidate(&[flow(3)]);
    assert_eq!(taken(&bob), ["resync@1 many"]);
    hub.state.forget_session("ada");
    assert_eq!(hub.state.budget.tags.load(Relaxed), 0);
    assert!(hub.state.index.is_empty());
}

#[test]
fn sessions_beyond_the_limit_are_told_to_resynchronise_when_they_connect() {
    let mut hub = Hub::new();
    ["a", "b", "c", "d"].iter().for_each(|session| hub.served(&who(session), &[flow(1)], 0));
    assert_eq!(hub.state.sessions.len(), 3);
    let (_, late) = hub.connect(&who("d"), Since::FirstTime);
    assert_eq!(taken(&late)[1..], ["resync@0 unknown"]);
}

#[test]
fn a_session_without_a_socket_is_forgotten_after_a_while_and_told_so() {
    let mut hub = Hub::new();
    hub.served(&who("ada"), &[flow(1)], 0);
    hub.listen(&who("bob"));
    (0..3).for_each(|_| hub.state.beat());
    assert_eq!(hub.state.sessions.len(), 1, "one with a socket stays");
    assert_eq!(hub.state.budget.sessions.load(Relaxed), 1);
    let (_, ada) = hub.connect(&who("ada"), Since::FirstTime);
    assert_eq!(taken(&ada)[1..], ["resync@0 unknown"]);
}

#[test]
fn what_a_user_was_served_under_other_rights_is_forgotten() {
    let mut hub = Hub::new();
    hub.served(&who("ada"), &[flow(1)], 0);
    let ada = hub.listen(&who("ada"));
    hub.state.lose_user("user of ada");
    hub.invalidate(&[flow(1)]);
    assert!(is_closed(&ada), "it heard of the change, or goes on");
    let (_, again) = hub.connect(&who("ada"), Since::Position(at(0)));
    assert_eq!(taken(&again)[1..], ["resync@1 unknown"]);
}

#[test]
fn a_session_that_is_lost_leaves_no_socket_behind_that_would_hear_nothing() {
    let mut hub = Hub::new();
    let ada = who("a");
    hub.served(&ada, &[flow(1)], 0);
    let outboxes = [hub.listen(&ada), hub.listen(&ada)];
    // What one of them was let in by is over; the other was let in later.
    hub.state.lose(&ada);
    assert!(outboxes.iter().all(|outbox| is_closed(outbox)));
}

#[test]
fn a_slow_socket_gets_one_resync_and_the_others_everything() {
    let mut hub = Hub::new();
    let (slow, quick) = (hub.listen(&who("slow")), hub.listen(&who("quick")));
    hub.served(&who("slow"), &[flow(1)], 0);
    hub.served(&who("quick"), &[flow(1)], 0);
    let mut heard = Vec::new();
    for _ in 0..10 {
        hub.invalidate(&[flow(1)]);
        heard.extend(taken(&quick));
    }
    let expected: Vec<String> = (1..=10).map(|n| format!("event@{n:x} n={n} groups=1")).collect();
    assert_eq!(heard, expected);
    assert_eq!(taken(&slow), ["resync@5 slow"]);
    hub.invalidate(&[flow(1)]);
    assert_eq!(taken(&slow), ["event@b n=11 groups=1"]);
}

#[path = "partition_interleavings.rs"]
mod whatever_happens;

#[test]
fn what_many_hear_at_once_tells_them_to_spread_out() {
    let mut hub = Hub::with(LiveLimits { sessions_max: 40, ..LIMITS });
    let readers: Vec<_> = (0..20).map(|n| who(&format!("reader {n}"))).collect();
    let mut outboxes = Vec::new();
    for (at, reader) in readers.iter().enumerate() {
        let some = if at < 5 { flow(1) } else { flow(2) };
        hub.served(reader, &[some, flow(3)], 0);
        outboxes.push(hub.listen(reader));
    }
    hub.served(&who("alone"), &[flow(4)], 0);
    let alone = hub.listen(&who("alone"));
    let jitter = |outbox: &Outbox| {
        let Some(Next::Message(text)) = outbox.next().now_or_never() else { panic!("nothing came") };
        serde_json::from_str::<serde_json::Value>(text.as_str()).unwrap()["jitter_ms"].as_u64()
    };
    hub.invalidate(&[flow(1), flow(4)]);
    // Six readers at ten refetches a second.
    hub.invalidate(&[flow(3)]);
    let told: Vec<_> = (0..2).map(|_| jitter(&outboxes[0])).collect();
    assert_eq!(told, [Some(600), Some(1000)], "twenty readers would need two seconds, and the limit is one");
    assert_eq!(jitter(&alone), Some(600));
    hub.invalidate(&[flow(4)]);
    assert_eq!(jitter(&alone), Some(100), "it was alone");
}

#[test]
fn the_hello_says_what_is_about_to_be_told_of_the_past() {
    let mut hub = Hub::new();
    let missed = |outbox: &Outbox| {
        let Some(Next::Message(text)) = outbox.next().now_or_never() else { panic!("no hello") };
        serde_json::from_str::<serde_json::Value>(text.as_str()).unwrap()["missed"].as_str().unwrap().to_owned()
    };
    hub.served(&who("ada"), &[flow(1)], 0);
    let (first, outbox) = hub.connect(&who("ada"), Since::FirstTime);
    assert_eq!(missed(&outbox), "nothing");
    hub.state.disconnect(&who("ada"), first);
    hub.invalidate(&[flow(1)]);
    assert_eq!(missed(&hub.connect(&who("ada"), Since::Position(at(0))).1), "replayed");
    assert_eq!(missed(&hub.connect(&who("ada"), Since::Unknown).1), "unknown");
}
