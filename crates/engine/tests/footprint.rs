//! The estimate of a value's memory against what its decoded form is given by the allocator. A program of its own, because
//! its allocator counts.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use unstale::{
    Bytes, Cacheable,
    codec::{footprint, from_msgpack, to_msgpack},
};

#[derive(Serialize, Deserialize)]
struct Asset {
    id: u64,
    name: Option<String>,
    attributes: BTreeMap<String, String>,
    unmapped: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Mapping {
    position: u32,
    source: String,
    target: Option<String>,
    confidence: f64,
    is_approved: bool,
    status: Status,
    samples: Vec<String>,
    outcome: Outcome,
}

/// Bytes in place, as a UUID is.
struct Id([u8; 16]);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(!serializer.is_human_readable(), "the estimate would be of another form than the encoding");
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        bytes.try_into().map(Self).map_err(|_| serde::de::Error::custom("no id"))
    }
}

/// A number that is shown as a text, as a time is.
struct Moment(u64);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{} seconds after the beginning", self.0))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        let seconds = text.split(' ').next().and_then(|number| number.parse().ok());
        seconds.map(Self).ok_or_else(|| serde::de::Error::custom("no moment"))
    }
}

/// A blob: bytes that are no list of numbers to serde.
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(|bytes| Self(bytes.to_vec()))
    }
}

#[derive(Serialize, Deserialize)]
enum Status {
    Suggested,
    Approved,
}

#[derive(Serialize, Deserialize)]
enum Outcome {
    Named { reason: String, rank: u64 },
    Alone(String),
    Both(u64, String),
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Page<T> {
    items: Vec<T>,
    total: u64,
}

fn asset(number: u64, columns: usize) -> Asset {
    let map = |prefix: &str| {
        (0..columns).map(|column| (format!("{prefix} column {column:03}"), format!("value {number}"))).collect()
    };
    Asset { id: number, name: Some(format!("server-{number}")), attributes: map("known"), unmapped: map("other") }
}

fn mapping(position: u32) -> Mapping {
    let outcome = match position % 4 {
        0 => Outcome::Named { reason: "it is called so".into(), rank: 1 },
        1 => Outcome::Alone("it is the only one".into()),
        2 => Outcome::Both(2, "two are alike".into()),
        _ => Outcome::Unknown,
    };
    Mapping {
        position,
        source: format!("Column {position}"),
        target: position.is_multiple_of(2).then(|| "operating_system".into()),
        confidence: 0.5,
        is_approved: false,
        status: if position.is_multiple_of(2) { Status::Suggested } else { Status::Approved },
        samples: (0..5).map(|sample| format!("a sample value {sample}")).collect(),
        outcome,
    }
}

fn page<T>(items: Vec<T>) -> Page<T> {
    Page { items, total: 7 }
}

#[track_caller]
fn check<V: Serialize + DeserializeOwned>(what: &str, value: &V) {
    let schema = unstale::Fingerprint::of("of this test");
    let mut bytes = Vec::new();
    to_msgpack(value, schema, &mut bytes).unwrap();
    let mut decoded = None;
    let counted = allocation_counter::measure(|| decoded = Some(from_msgpack::<V>(&bytes, schema).unwrap()));
    let taken = size_of::<V>() + usize::try_from(counted.bytes_current).unwrap();
    let estimated = footprint(decoded.as_ref().unwrap()).unwrap();
    // What is small differs by what stands between fields.
    let allowed = 48 + taken / 5;
    assert!(estimated.abs_diff(taken) <= allowed, "{what} takes {taken} bytes of memory, estimated as {estimated}");
}

#[test]
fn estimates_what_a_decoded_value_takes() {
    check("nothing", &());
    check("a number", &7u64);
    check("a text", &"x".repeat(1000));
    check("numbers", &(0..1000).collect::<Vec<u64>>());
    check("numbers in place", &[[7u16; 16]; 16]);
    check("ids and moments", &(0..100).map(|n| (Id([7; 16]), Moment(n), Id([8; 16]))).collect::<Vec<_>>());
    check("blobs", &(0..100).map(|n| Blob(vec![7; 100 + n])).collect::<Vec<_>>());
    check("a pair", &('x', "text".to_owned()));
    check("texts that are mostly absent", &(0..100).map(|n| (n == 0).then(|| "x".to_owned())).collect::<Vec<_>>());
    check("mappings", &page((0..200).map(mapping).collect()));
    // Below, at and above what a node holds, and with a third level.
    for columns in [0, 1, 11, 12, 18, 19, 200, 3000] {
        check(&format!("an asset of {columns} columns"), &asset(1, columns));
    }
    check("a page of assets", &page((0..50).map(|number| asset(number, 15)).collect()));
}

#[test]
fn cached_types_say_it_by_themselves() {
    #[derive(Serialize, Deserialize)]
    struct Assets(Vec<Asset>);
    unstale::cacheable!(Assets, "Assets v1");

    let assets = Assets((0..50).map(|number| asset(number, 15)).collect());
    let mut encoded = Vec::new();
    assets.encode(&mut encoded).unwrap();
    assert_eq!(assets.memory_bytes(encoded.len()), footprint(&assets).unwrap());
    assert!(assets.memory_bytes(encoded.len()) > 4 * encoded.len(), "the case that the estimate is for");
}

#[test]
fn a_value_that_cannot_be_shown_takes_as_much_as_its_encoding() {
    struct Handle;

    impl Serialize for Handle {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it is a handle"))
        }
    }

    impl<'de> Deserialize<'de> for Handle {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }

    unstale::cacheable!(Handle, "Handle v1");
    assert!(footprint(&Handle).is_none());
    assert_eq!(Handle.memory_bytes(100), 100);
    assert!(Handle::decode(&Bytes::new()).is_ok());
}
