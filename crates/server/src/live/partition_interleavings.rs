//! Any interleaving of loads, invalidations, registrations, connections and losses: in the end each page knows of
//! every change of what it holds, or was told to resynchronise.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Invalidate(u64),
    Load(u64),
    Register,
    Connect,
    /// The client reads what was sent; `true`: its pong arrives.
    Read(bool),
    /// The connection breaks; what was not read is lost.
    Break,
    Beat,
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..6u64).prop_map(Step::Invalidate),
        4 => (0..6u64).prop_map(Step::Load),
        4 => Just(Step::Register),
        2 => Just(Step::Connect),
        3 => any::<bool>().prop_map(Step::Read),
        1 => Just(Step::Break),
        1 => Just(Step::Beat),
        1 => Just(Step::Lose),
    ]
}

/// A browser: what it holds, with the sequence that each value reflects.
#[derive(Default)]
struct Page {
    loading: Vec<(u64, u64)>,
    held: Vec<(u64, u64)>,
    socket: Option<(u64, Arc<Outbox>)>,
    token: Option<String>,
}

impl Page {
    fn read(&mut self, hub: &mut Hub, pong: bool) {
        let Some((_, outbox)) = &self.socket else { return };
        while let Some(next) = outbox.next().now_or_never() {
            match next {
                Next::Message(text) => {
                    let message: serde_json::Value = serde_json::from_str(text.as_str()).unwrap();
                    self.token = Some(message["position"].as_str().unwrap().to_owned());
                    if message["type"] == "resync" {
                        self.held.clear();
                    }
                    for group in message["groups"].as_array().into_iter().flatten() {
                        let key = GroupKey::derive(b"secret");
                        self.held.retain(|(id, _)| key.group(&tenant("acme"), flow(*id)) != group.as_str().unwrap());
                    }
                }
                Next::Receipt(number) if pong => hub.state.received(&who("ada"), number),
                Next::Receipt(_) => {}
                Next::Close(closing) => panic!("{closing:?}"),
            }
        }
    }

    fn connect(&mut self, hub: &mut Hub) {
        if self.socket.is_none() {
            let since = self.token.as_deref().map_or(Since::FirstTime, |token| Since::read(token, at(0).partition));
            self.socket = Some(hub.connect(&who("ada"), since));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_page_keeps_a_value_that_changed(steps in proptest::collection::vec(step(), 1..60)) {
        let mut hub = Hub::with(LiveLimits { idle_heartbeats_max: 1, ..LIMITS });
        let mut page = Page::default();
        let mut changed = [0u64; 6];
        for step in steps {
            match step {
                Step::Invalidate(id) => {
                    hub.invalidate(&[flow(id)]);
                    changed[usize::try_from(id).unwrap()] = hub.sequence;
                }
                Step::Load(id) => page.loading.push((id, hub.sequence)),
                Step::Register => if let Some((id, base)) = page.loading.pop() {
                    hub.served(&who("ada"), &[flow(id)], base);
                    page.held.push((id, base));
                },
                Step::Connect => page.connect(&mut hub),
                Step::Read(pong) => page.read(&mut hub, pong),
                Step::Break => if let Some((socket, _)) = page.socket.take() {
                    hub.state.disconnect(&who("ada"), socket);
                },
                Step::Beat => hub.state.beat(),
                Step::Lose => {
                    hub.sequence += 2;
                    let head = at(hub.sequence);
                    hub.state.skip(head);
                    // Whatever changed in between: everything.
                    changed = [hub.sequence; 6];
                }
            }
        }
        page.connect(&mut hub);
        page.read(&mut hub, true);
        for (id, base) in &page.held {
            let changed = changed[usize::try_from(*id).unwrap()];
            prop_assert!(changed <= *base, "flow {id} of {base} changed at {changed} and the page was not told");
        }
    }
}
