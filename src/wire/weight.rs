//! Estimates what an encoded message takes in memory once it is decoded,
//! before it is decoded.
//!
//! Two bytes on the wire can be an empty message of some hundred bytes in
//! memory, so the size of a request does not bound what it takes.

use std::collections::HashMap;

use prost::encoding::{WireType, decode_key, decode_varint};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

/// The deepest nesting that prost decodes; what lies deeper is refused there.
const MAX_DEPTH: usize = 100;
/// What a text, a list or an inner message takes beside its content.
const HEADER_BYTES: usize = 24;

/// The input messages of all methods. Built once.
#[derive(Debug)]
pub struct Weights {
    messages: Vec<Message>,
    /// The place of each method's input among the messages, by the method's path.
    inputs: HashMap<String, usize>,
}

#[derive(Debug, Default)]
struct Message {
    own_bytes: usize,
    /// By their numbers.
    fields: Vec<Option<Field>>,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    /// A message, at this place.
    Message(usize),
    /// A text or bytes.
    Text,
    /// Anything else; several of them may be packed.
    Scalar,
}

impl Weights {
    /// Reads the contract.
    ///
    /// # Panics
    ///
    /// When the embedded descriptors cannot be read, which the build has proved they can.
    #[must_use]
    pub fn new() -> Self {
        let pool =
            DescriptorPool::decode(super::DESCRIPTORS).expect("the embedded descriptors are whole");
        let mut all = Self { messages: Vec::new(), inputs: HashMap::new() };
        let mut places = HashMap::new();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let place = all.add(&method.input(), &mut places);
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            all.inputs.insert(path, place);
        }
        all
    }

    fn add(&mut self, message: &MessageDescriptor, places: &mut HashMap<String, usize>) -> usize {
        if let Some(place) = places.get(message.full_name()) {
            return *place;
        }
        let place = self.messages.len();
        places.insert(message.full_name().to_owned(), place);
        self.messages.push(Message { own_bytes: own_bytes(message), ..Message::default() });
        for field in message.fields() {
            let kind = match field.kind() {
                Kind::Message(inner) => Field::Message(self.add(&inner, places)),
                Kind::String | Kind::Bytes => Field::Text,
                _ => Field::Scalar,
            };
            let number = index(field.number());
            let fields = &mut self.messages[place].fields;
            fields.resize(fields.len().max(number + 1), None);
            fields[number] = Some(kind);
        }
        place
    }

    /// The paths of all methods.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.inputs.keys().map(String::as_str)
    }

    /// Estimates what the encoded input of a method takes once decoded, in bytes. What is malformed
    /// weighs as much as what stands before the fault.
    #[must_use]
    pub fn estimate(&self, path: &str, encoded: &[u8]) -> usize {
        let mut weight = 0;
        if let Some(place) = self.inputs.get(path) {
            self.add_weight(*place, encoded, MAX_DEPTH, &mut weight);
        }
        weight
    }

    /// Adds what a message weighs. `None` where it is malformed.
    fn add_weight(
        &self,
        place: usize,
        mut encoded: &[u8],
        depth: usize,
        weight: &mut usize,
    ) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let message = &self.messages[place];
        *weight = weight.saturating_add(message.own_bytes);
        while !encoded.is_empty() {
            let (number, wire_type) = decode_key(&mut encoded).ok()?;
            let field = message.fields.get(index(number)).copied().flatten();
            match wire_type {
                WireType::Varint => drop(decode_varint(&mut encoded).ok()?),
                WireType::ThirtyTwoBit => encoded = encoded.get(4..)?,
                WireType::SixtyFourBit => encoded = encoded.get(8..)?,
                WireType::LengthDelimited => {
                    let length = usize::try_from(decode_varint(&mut encoded).ok()?).ok()?;
                    let (content, rest) = encoded.split_at_checked(length)?;
                    encoded = rest;
                    match field {
                        Some(Field::Message(inner)) => {
                            self.add_weight(inner, content, depth, weight)?;
                        }
                        Some(Field::Text) => *weight += HEADER_BYTES + length,
                        // Packed numbers of one byte each take eight.
                        Some(Field::Scalar) => *weight += 8 * length,
                        None => {}
                    }
                }
                WireType::StartGroup | WireType::EndGroup => return None,
            }
            if let Some(Field::Scalar) = field {
                *weight += 8;
            }
        }
        Some(())
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self::new()
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What an empty message takes: its fields, of each `oneof` only one.
fn own_bytes(message: &MessageDescriptor) -> usize {
    let alone = |field: &FieldDescriptor| field.containing_oneof().is_none();
    let fields = message.fields().filter(alone).count() + message.oneofs().len();
    HEADER_BYTES + fields * HEADER_BYTES
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::{Struct, Value, value::Kind};

    use super::*;
    use crate::wire::v1::{Event, IngestEventsRequest};

    const INGEST: &str = "/flagstaff.v1.IngestService/IngestEvents";

    fn estimate(request: &IngestEventsRequest) -> usize {
        Weights::new().estimate(INGEST, &request.encode_to_vec())
    }

    #[test]
    fn empty_messages_weigh_what_they_take_in_memory() {
        let request =
            IngestEventsRequest { events: vec![Event::default(); 1000], ..Default::default() };
        assert!(request.encoded_len() <= 2_000);
        let weight = estimate(&request);
        assert!(weight >= 1000 * size_of::<Event>() / 2, "{weight}, {}", size_of::<Event>());
        assert!(weight <= 1000 * size_of::<Event>() * 4, "{weight}, {}", size_of::<Event>());
    }

    #[test]
    fn nested_values_weigh_and_texts_weigh_their_length() {
        let properties = |values: usize| {
            let value = |_| Value { kind: Some(Kind::NumberValue(1.0)) };
            let list = prost_types::ListValue { values: (0..values).map(value).collect() };
            let list = Value { kind: Some(Kind::ListValue(list)) };
            let properties = Some(Struct { fields: [("a".to_owned(), list)].into() });
            let event = Event { properties, ..Default::default() };
            IngestEventsRequest { events: vec![event], ..Default::default() }
        };
        let weight = estimate(&properties(1000)) - estimate(&properties(0));
        assert!(weight >= 1000 * size_of::<Value>(), "{weight}");
        let named = |length| {
            let event = Event { event: "x".repeat(length), ..Default::default() };
            IngestEventsRequest { events: vec![event], ..Default::default() }
        };
        assert_eq!(estimate(&named(5000)) - estimate(&named(4000)), 1000);
    }

    #[test]
    fn what_is_malformed_or_unknown_ends_without_harm() {
        let weights = Weights::new();
        for encoded in
            [&b"\xff"[..], b"\x0a\xff", b"\x0a\x05a", b"\x0b", b"\x12\x02\x12", b"\xff\xff\xff"]
        {
            let _ = weights.estimate(INGEST, encoded);
        }
        assert_eq!(weights.estimate("/unknown", b"\x0a\x00"), 0);
        assert!(weights.paths().any(|path| path == INGEST));
    }
}
