//! Who owns which slot of a cluster.
//!
//! *Decides*, does no IO. A key's slot is the CRC-16 of its hash tag modulo 16,384; every key of a partition has the
//! same hash tag.

use redis::Value;

use super::address::Address;

const SLOTS: u16 = 16_384;

/// The slot of a hash tag (the text within the braces).
pub(super) fn slot_of(hash_tag: &str) -> u16 {
    // CRC-16/XMODEM, bit by bit: it is computed once for each partition.
    let crc = hash_tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    });
    crc % SLOTS
}

/// What a node of a cluster thinks of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Views with a higher one are newer.
    pub(super) epoch: u64,
    /// Whether it would serve its slots: not so in a minority.
    pub(super) is_ok: bool,
    ranges: Vec<(u16, u16, Address)>,
}

impl View {
    /// The answers to `CLUSTER INFO` and `CLUSTER SLOTS` of `asked`; none if they are of another form.
    pub(super) fn parse(info: &str, slots: Value, asked: &Address) -> Option<Self> {
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let epoch = field("cluster_current_epoch")?.parse().ok()?;
        let is_ok = field("cluster_state")? == "ok";
        let Value::Array(slots) = slots else { return None };
        let ranges = slots.into_iter().map(|range| range_of(&range, asked)).collect::<Option<_>>()?;
        Some(Self { epoch, is_ok, ranges })
    }

    /// Who owns a slot, if anybody does.
    pub(super) fn owner(&self, slot: u16) -> Option<&Address> {
        self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, address)| address)
    }
}

/// First slot, last slot, the master's host, port and more, and its replicas.
fn range_of(range: &Value, asked: &Address) -> Option<(u16, u16, Address)> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &range[..] else { return None };
    let [host, Value::Int(port), ..] = &master[..] else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => "",
        _ => return None,
    };
    // A node that does not know its own name means the one it was asked by.
    let host = if host.is_empty() || host == "?" { &asked.host } else { host };
    let address = Address { host: host.to_owned(), port: u16::try_from(*port).ok()? };
    Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // The check value of CRC-16/XMODEM is 0x31C3 for "123456789".
        assert_eq!(slot_of("123456789"), 0x31c3);
        assert_eq!((slot_of(""), slot_of("foo"), slot_of("somekey")), (0, 12182, 11058));
    }

    #[test]
    fn a_view_is_read_and_a_missing_host_is_the_one_asked() {
        let text = |text: &str| Value::BulkString(text.into());
        let range = |first, last, host: Value, port| {
            Value::Array(vec![
                Value::Int(first),
                Value::Int(last),
                Value::Array(vec![host, Value::Int(port), text("id")]),
            ])
        };
        let asked = Address { host: "seed".into(), port: 1 };
        let slots = Value::Array(vec![range(0, 99, text("a"), 7), range(200, 300, Value::Nil, 8)]);
        let view = View::parse("cluster_state:ok\r\ncluster_current_epoch:6\r\n", slots.clone(), &asked).unwrap();
        assert_eq!((view.epoch, view.is_ok), (6, true));
        let owner = |slot| view.owner(slot).map(Address::to_string).unwrap_or_default();
        assert_eq!([owner(0), owner(99), owner(100), owner(250)], ["a:7", "a:7", "", "seed:8"]);
        assert_eq!(View::parse("cluster_enabled:0", slots, &asked), None);
        assert_eq!(View::parse("cluster_state:fail\ncluster_current_epoch:1", Value::Nil, &asked), None);
    }

    #[test]
    fn a_host_may_be_a_simple_string_and_nothing_else_is_one() {
        let asked = Address { host: "seed".into(), port: 1 };
        let owner = |host: Value| {
            let range = Value::Array(vec![Value::Int(0), Value::Int(9), Value::Array(vec![host, Value::Int(7)])]);
            let info = "cluster_state:ok\ncluster_current_epoch:6";
            View::parse(info, Value::Array(vec![range]), &asked)?.owner(5).map(Address::to_string)
        };
        assert_eq!(owner(Value::SimpleString("a".into())), Some("a:7".into()));
        assert_eq!(owner(Value::SimpleString("?".into())), Some("seed:7".into()));
        assert_eq!(owner(Value::Int(3)), None);
    }
}
