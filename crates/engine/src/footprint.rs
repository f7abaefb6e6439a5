//! How much memory a value takes, estimated from the shape that serde shows of it.
//!
//! A limit in bytes of encoded values says little of memory: a page of fifty assets with two maps each is 35 KB of
//! `MessagePack`, and 200 KB as the maps and texts that a reader uses. The estimate stands for Rust's own types on a
//! 64-bit machine, as a decoder makes them: a text or list is three words and an allocation of its length, a map is a
//! [`BTreeMap`](std::collections::BTreeMap) that was filled in order.
//!
//! What serde does not show is not known. What several values share counts for each; a structure with flattened parts looks
//! like a map, and counts two or three times; a `serde_json::Value` looks like what it stands for, and a list of numbers
//! in one counts a quarter.

use std::fmt::{self, Display};

use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Bytes of memory that `value` takes, itself included; none if its `Serialize` fails.
pub fn footprint<V: Serialize>(value: &V) -> Option<usize> {
    value.serialize(Estimator).ok().map(|taken| taken.inline + taken.heap)
}

/// A text's, a list's or a map's own part: pointer, length, capacity.
const HEADER: usize = 24;
/// What stands in place of a value that may be absent, and is: of its type nothing is known.
const ABSENT: usize = HEADER;
/// A value that is shown by what it says of itself: a time, an address.
const FORMATTED: usize = 16;
/// So many bytes are taken for a UUID, which stands in place; others for a list.
const UUID: usize = 16;
/// Allocators round up to this, at least.
const GRAIN: usize = 16;

/// Where a value's bytes are.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// In place, where the value stands.
    inline: usize,
    /// Behind pointers.
    heap: usize,
}

impl Taken {
    fn inline(inline: usize) -> Self {
        Self { inline, heap: 0 }
    }

    fn behind_header(bytes: usize) -> Self {
        Self { inline: HEADER, heap: allocated(bytes) }
    }
}

fn allocated(bytes: usize) -> usize {
    bytes.next_multiple_of(GRAIN)
}

/// The nodes of a `BTreeMap` of `pairs`, each of `pair` bytes, that was filled in order. A node has room for eleven; one that
/// overflows at its end leaves six behind and sends one up
/// (`alloc::collections::btree::node::splitpoint`).
fn nodes(pairs: usize, pair: usize) -> usize {
    const ROOM: usize = 11;
    const EDGES: usize = (ROOM + 1) * size_of::<usize>();
    let leaf = allocated(ROOM * pair + 16);
    let inner = leaf + EDGES;
    let (mut level, mut bytes) = (pairs, 0);
    let mut node = leaf;
    while level > 0 {
        let count = if level <= ROOM { 1 } else { 1 + (level - 5) / 7 };
        bytes += count * node;
        // One went up for each node but the last.
        level = count - 1;
        node = inner;
    }
    bytes
}

#[derive(Debug)]
struct Failed;

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value could not be shown")
    }
}

impl std::error::Error for Failed {}

impl ser::Error for Failed {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

#[derive(Clone, Copy)]
struct Estimator;

/// Scalars take as much as their type does.
macro_rules! scalars {
    ($($method:ident($type:ty))*) => {
        $(fn $method(self, _: $type) -> Result<Taken, Failed> {
            Ok(Taken::inline(size_of::<$type>()))
        })*
    };
}

impl Serializer for Estimator {
    type Ok = Taken;
    type Error = Failed;
    type SerializeSeq = List;
    type SerializeTuple = Fields;
    type SerializeTupleStruct = Fields;
    type SerializeTupleVariant = Fields;
    type SerializeMap = Map;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    scalars! {
        serialize_bool(bool) serialize_char(char) serialize_f32(f32) serialize_f64(f64)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
    }

    /// As the binary encoding is: a UUID is bytes rather than a text.
    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_str(self, text: &str) -> Result<Taken, Failed> {
        Ok(Taken::behind_header(text.len()))
    }

    /// What is formatted only to be shown, such as a time, is no text in memory.
    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<Taken, Failed> {
        Ok(Taken::inline(FORMATTED))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Taken, Failed> {
        Ok(if bytes.len() == UUID { Taken::inline(UUID) } else { Taken::behind_header(bytes.len()) })
    }

    fn serialize_none(self) -> Result<Taken, Failed> {
        Ok(Taken::inline(ABSENT))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Taken, Failed> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Taken, Failed> {
        Ok(Taken::default())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Taken, Failed> {
        Ok(Taken::default())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<Taken, Failed> {
        Ok(Taken::inline(1))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Taken, Failed> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<Taken, Failed> {
        let mut fields = Fields::variant();
        fields.add(value)?;
        Ok(fields.sum())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List, Failed> {
        Ok(List::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<Fields, Failed> {
        Ok(Fields::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Fields, Failed> {
        Ok(Fields::default())
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Fields, Failed> {
        Ok(Fields::variant())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map, Failed> {
        Ok(Map::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Failed> {
        Ok(Fields::default())
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Fields, Failed> {
        Ok(Fields::variant())
    }
}

/// Parts of different types, one behind the other.
#[derive(Default)]
struct Fields(Taken);

impl Fields {
    /// Of one case among several: a word says which.
    fn variant() -> Self {
        Self(Taken::inline(size_of::<usize>()))
    }

    fn add<T: Serialize + ?Sized>(&mut self, field: &T) -> Result<(), Failed> {
        let field = field.serialize(Estimator)?;
        self.0.inline += field.inline;
        self.0.heap += field.heap;
        Ok(())
    }

    fn sum(self) -> Taken {
        self.0
    }
}

/// Elements of one type: each takes as much room in place as the largest that was seen.
#[derive(Default)]
struct List {
    count: usize,
    element: usize,
    heap: usize,
}

impl List {
    fn add<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), Failed> {
        let element = element.serialize(Estimator)?;
        self.count += 1;
        self.element = self.element.max(element.inline);
        self.heap += element.heap;
        Ok(())
    }
}

/// Pairs of one type.
#[derive(Default)]
struct Map {
    keys: List,
    values: List,
}

impl SerializeSeq for List {
    type Ok = Taken;
    type Error = Failed;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), Failed> {
        self.add(element)
    }

    fn end(self) -> Result<Taken, Failed> {
        Ok(Taken { inline: HEADER, heap: allocated(self.count * self.element) + self.heap })
    }
}

impl SerializeMap for Map {
    type Ok = Taken;
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failed> {
        self.keys.add(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.values.add(value)
    }

    fn end(self) -> Result<Taken, Failed> {
        let heap = self.keys.heap + self.values.heap;
        let nodes = nodes(self.keys.count, self.keys.element + self.values.element);
        Ok(Taken { inline: HEADER, heap: heap + nodes })
    }
}

/// With and without names, of structures and of cases.
macro_rules! fields {
    ($($trait:ident: $method:ident($($name:ident)?);)*) => {
        $(impl $trait for Fields {
            type Ok = Taken;
            type Error = Failed;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? field: &T) -> Result<(), Failed> {
                self.add(field)
            }

            fn end(self) -> Result<Taken, Failed> {
                Ok(self.sum())
            }
        })*
    };
}

fields! {
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeStruct: serialize_field(_name);
    SerializeStructVariant: serialize_field(_name);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    /// What serde asks for where a type says it itself.
    struct Bytes<'a>(&'a [u8]);

    impl Serialize for Bytes<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }

    /// A text for people, and a number for programs.
    struct Moment;

    impl Serialize for Moment {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if serializer.is_human_readable() { serializer.collect_str("noon") } else { serializer.serialize_u32(12) }
        }
    }

    struct Shown;

    impl Serialize for Shown {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("{} seconds", 7))
        }
    }

    struct Handle;

    impl Serialize for Handle {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(ser::Error::custom("it is a handle"))
        }
    }

    #[derive(Serialize)]
    struct Nothing;

    #[derive(Serialize)]
    struct Wrapped(u32);

    #[derive(Serialize)]
    struct Pair(u32, &'static str);

    #[derive(Serialize)]
    struct Named {
        number: u32,
        text: &'static str,
    }

    #[derive(Serialize)]
    enum Case {
        Unit,
        One(u32),
        Two(u32, &'static str),
        Named { number: u32, text: &'static str },
    }

    #[track_caller]
    fn check<V: Serialize>(value: V, inline: usize, heap: usize) {
        let taken = value.serialize(Estimator).unwrap();
        assert_eq!((taken.inline, taken.heap), (inline, heap));
        assert_eq!(footprint(&value), Some(inline + heap));
    }

    #[test]
    fn what_stands_in_place_takes_as_much_as_its_type_does() {
        check(true, 1, 0);
        check('x', 4, 0);
        check((1_i8, 1_i16, 1_i32, 1_i64, 1_i128), 31, 0);
        check((1_u8, 1_u16, 1_u32, 1_u64, 1_u128), 31, 0);
        check((1_f32, 1_f64), 12, 0);
        check((), 0, 0);
        check(Nothing, 0, 0);
        check(Wrapped(1), 4, 0);
        check(Some(1_u64), 8, 0);
        check(None::<u64>, 24, 0);
        check(Moment, 4, 0);
        check(Shown, 16, 0);
    }

    #[test]
    fn what_is_behind_a_pointer_takes_what_allocators_give() {
        for (length, heap) in [(0, 0), (1, 16), (16, 16), (17, 32)] {
            check("x".repeat(length), 24, heap);
        }
        check(Bytes(&[7; 15]), 24, 16);
        check(Bytes(&[7; 16]), 16, 0);
        check(Bytes(&[7; 17]), 24, 32);
    }

    #[test]
    fn parts_add_up_and_a_case_has_a_word_that_says_which_it_is() {
        check(Pair(1, "text"), 28, 16);
        check(Named { number: 1, text: "text" }, 28, 16);
        check(Case::Unit, 1, 0);
        check(Case::One(1), 12, 0);
        check(Case::Two(1, "text"), 36, 16);
        check(Case::Named { number: 1, text: "text" }, 36, 16);
    }

    #[test]
    fn a_lists_elements_take_as_much_room_as_the_largest_and_what_each_has_elsewhere() {
        check(Vec::<u64>::new(), 24, 0);
        check(vec![1_u64; 3], 24, 32);
        check(vec!["text", "", "a longer text than one grain"], 24, 80 + 16 + 32);
        check(vec![Case::Unit, Case::One(1)], 24, 32);
    }

    /// Of pairs of eight and eight bytes, a leaf takes 192 and a node above it 288.
    #[test]
    fn a_map_takes_the_nodes_of_a_tree_that_was_filled_in_order() {
        let heaps = [(0, 0), (1, 192), (11, 192), (12, 2 * 192 + 288), (18, 2 * 192 + 288), (19, 3 * 192 + 288)];
        for (pairs, heap) in heaps {
            check((0..pairs).map(|number: u64| (number, number)).collect::<BTreeMap<_, _>>(), 24, heap);
        }
        check(BTreeMap::from([(1_u64, "text"), (2, "")]), 24, 368 + 16);
        check(BTreeMap::from([("text", 1_u64), ("", 2)]), 24, 368 + 16);
        // With the thirteenth leaf, the one node above them is split, too.
        assert_eq!((nodes(88, 16), nodes(89, 16)), (12 * 192 + 288, 13 * 192 + 3 * 288));
    }

    #[test]
    fn what_cannot_be_shown_has_no_estimate_wherever_it_stands() {
        assert_eq!(footprint(&Handle), None);
        assert_eq!(footprint(&vec![Handle]), None);
        assert_eq!(footprint(&(1, Handle)), None);
        assert_eq!(footprint(&BTreeMap::from([(1, (2, Handle))])), None);
        assert_eq!(Handle.serialize(Estimator).unwrap_err().to_string(), "the value could not be shown");
    }
}
