//! States that differ only in the names of nodes and loads are one.

use super::{
    explore::fingerprint,
    protocol::Protocol,
    state::{LOADS_MAX, NODES_MAX, Owner, State, Waits},
};

/// Every order of as many nodes.
const ORDERS: [&[[u8; NODES_MAX]]; NODES_MAX + 1] = [
    &[[0, 1, 2]],
    &[[0, 1, 2]],
    &[[0, 1, 2], [1, 0, 2]],
    &[[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]],
];

impl Protocol {
    /// The smallest fingerprint that the state has under any names.
    pub(super) fn nameless(&self, state: &State) -> u64 {
        let orders = ORDERS[self.scenario.nodes].iter();
        orders.map(|names| fingerprint(&renamed(state, *names))).min().expect("there is an order")
    }
}

/// The same state where node `n` is called `names[n]`, and loads are in the order of what they are.
fn renamed(state: &State, names: [u8; NODES_MAX]) -> State {
    let mut renamed = state.clone();
    let name = |node: &mut u8| *node = names[usize::from(*node)];
    for (node, new) in names.into_iter().enumerate() {
        let new = usize::from(new);
        renamed.nodes[new].clone_from(&state.nodes[node]);
        renamed.acknowledged_by[new] = state.acknowledged_by[node];
    }
    renamed.loads.iter_mut().flatten().for_each(|load| name(&mut load.node));
    renamed.writers.iter_mut().flatten().for_each(|writer| name(&mut writer.node));
    renamed.reader.iter_mut().for_each(|reader| name(&mut reader.node));

    let mut order: [u8; LOADS_MAX] = std::array::from_fn(|at| u8::try_from(at).expect("there are few loads"));
    order.sort_by_key(|at| renamed.loads[usize::from(*at)]);
    renamed.loads = order.map(|at| renamed.loads[usize::from(at)]);
    let name = |load: &mut u8| {
        let new = order.iter().position(|old| old == load).expect("every load has a place");
        *load = u8::try_from(new).expect("there are few loads");
    };
    if let Some(reader) = &mut renamed.reader
        && let Waits::ForOwnLoad { load } | Waits::ForOthersLoad { load, .. } = &mut reader.waits
    {
        name(load);
    }
    for owner in renamed.store.leases.iter_mut().flatten() {
        if let Owner::Load(load) = owner {
            name(load);
        }
    }
    renamed
}
