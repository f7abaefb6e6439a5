//! How values become bytes, and how a value of another schema is recognised.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

pub use crate::footprint::footprint;

/// The shape of a type, as a hash: values written under another shape are misses (rolling deploys).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub(crate) u64);

impl Fingerprint {
    /// Of any text that changes with the type's shape: its generated schema, or a name with a version.
    pub fn of(schema: &str) -> Self {
        Self(crate::hash::fields(&[b"schema", schema.as_bytes()]))
    }

    /// As a number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// A value that did not become bytes, or bytes that did not become a value.
#[derive(Debug, thiserror::Error)]
#[error("a value of schema {schema:?} could not be {action}: {reason}")]
pub struct CodecError {
    /// The schema involved.
    pub schema: Fingerprint,
    /// `encoded` or `decoded`.
    pub action: &'static str,
    /// What the format said.
    pub reason: String,
}

/// A type whose values can be cached.
///
/// Most types implement it through [`cacheable!`](crate::cacheable): `MessagePack` with field names.
pub trait Cacheable: Sized + Send + Sync + 'static {
    /// The type's shape. Called once per store access; keep it cheap (a `OnceLock`).
    fn fingerprint() -> Fingerprint;

    /// Writes the value behind what is already in `out`.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a value that [`encode`](Cacheable::encode) wrote under the same fingerprint.
    fn decode(bytes: &Bytes) -> Result<Self, CodecError>;

    /// Bytes of memory that the value takes, itself included, when its encoding has `encoded` bytes: what the limits of L1
    /// count of it, from when it comes until it goes. As many as its encoding, unless the type knows better;
    /// [`cacheable!`](crate::cacheable) estimates it ([`footprint`]).
    fn memory_bytes(&self, encoded: usize) -> usize {
        encoded
    }
}

/// Encodes with `MessagePack`, field names included, so that optional fields may be left out.
pub fn to_msgpack<V: Serialize>(value: &V, schema: Fingerprint, out: &mut Vec<u8>) -> Result<(), CodecError> {
    rmp_serde::encode::write_named(out, value).map_err(|error| CodecError {
        schema,
        action: "encoded",
        reason: error.to_string(),
    })
}

/// Decodes what [`to_msgpack`] wrote.
pub fn from_msgpack<V: DeserializeOwned>(bytes: &[u8], schema: Fingerprint) -> Result<V, CodecError> {
    rmp_serde::from_slice(bytes).map_err(|error| CodecError { schema, action: "decoded", reason: error.to_string() })
}

/// Implements [`Cacheable`](crate::Cacheable) for serde types by an expression that gives the schema's text.
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Flow { id: u64, name: String }
///
/// unstale::cacheable!(Flow, "Flow v1");
/// ```
#[macro_export]
macro_rules! cacheable {
    ($type:ty, $schema:expr) => {
        impl $crate::Cacheable for $type {
            fn fingerprint() -> $crate::Fingerprint {
                static FINGERPRINT: ::std::sync::OnceLock<$crate::Fingerprint> = ::std::sync::OnceLock::new();
                *FINGERPRINT.get_or_init(|| $crate::Fingerprint::of(::std::convert::AsRef::<str>::as_ref(&$schema)))
            }

            fn encode(&self, out: &mut ::std::vec::Vec<u8>) -> ::std::result::Result<(), $crate::CodecError> {
                $crate::codec::to_msgpack(self, <Self as $crate::Cacheable>::fingerprint(), out)
            }

            fn decode(bytes: &$crate::Bytes) -> ::std::result::Result<Self, $crate::CodecError> {
                $crate::codec::from_msgpack(bytes, <Self as $crate::Cacheable>::fingerprint())
            }

            fn memory_bytes(&self, encoded: usize) -> usize {
                $crate::codec::footprint(self).unwrap_or(encoded)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    // What tests keep where the value does not matter.
    crate::cacheable!(u8, "u8");

    struct Unwritable;

    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it is a handle"))
        }
    }

    /// It has an encoding of its own, and so no shape that could be looked at.
    struct Raw;

    impl Cacheable for Raw {
        fn fingerprint() -> Fingerprint {
            Fingerprint::of("Raw v1")
        }

        fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
            out.extend([7; 300]);
            Ok(())
        }

        fn decode(_: &Bytes) -> Result<Self, CodecError> {
            Ok(Self)
        }
    }

    #[test]
    fn a_value_of_an_encoding_of_its_own_takes_as_much_memory_as_that() {
        let mut encoded = Vec::new();
        Raw.encode(&mut encoded).unwrap();
        assert_eq!(Raw::decode(&encoded.into()).unwrap().memory_bytes(300), 300);
        assert_ne!(Raw::fingerprint(), u8::fingerprint());
    }

    #[test]
    fn what_cannot_be_written_or_read_is_told_with_its_schema() {
        let schema = Fingerprint::of("Page v1");
        assert_eq!(schema.as_u64(), Fingerprint::of("Page v1").as_u64());
        assert_ne!(schema.as_u64(), Fingerprint::of("Page v2").as_u64());
        let unwritten = to_msgpack(&Unwritable, schema, &mut Vec::new()).unwrap_err();
        assert_eq!((unwritten.schema, unwritten.action), (schema, "encoded"));
        assert!(unwritten.reason.contains("it is a handle"), "{unwritten}");
        let unread = from_msgpack::<u64>(b"\xc1", schema).unwrap_err();
        assert_eq!((unread.schema, unread.action), (schema, "decoded"));
    }
}
