//! Messages of the contract as JSON schemas of what REST sends and takes.
//!
//! REST has the names of the contract's fields. What is there for gRPC alone is
//! left out: exact texts beside typed values, what the schema does not name,
//! masks and page tokens.

use std::collections::BTreeMap;

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

use super::comments::Commented;
use crate::model::json::Object;

/// Fields whose names in REST differ.
const RENAMED: [(&str, &str); 2] = [
    ("create_in_folder", "_create_in_folder"),
    ("should_create_usage_dashboard", "_should_create_usage_dashboard"),
];

/// The schemas that were referred to, by name.
#[derive(Debug, Default)]
pub(super) struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// All of them, with the shapes of failures.
    pub(super) fn into_components(self, error: Value) -> Value {
        let mut schemas: Object = self.0.into_iter().collect();
        schemas.insert("Error".into(), error);
        Value::Object(schemas)
    }

    /// A reference to a message's schema.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            "google.protobuf.Timestamp" => return json!({"type": "string", "format": "date-time"}),
            "google.protobuf.Struct" => return json!({"type": "object"}),
            "google.protobuf.Value" => return json!({}),
            "google.protobuf.ListValue" => return json!({"type": "array", "items": {}}),
            _ => {}
        }
        let name = message.name().to_owned();
        if !self.0.contains_key(&name) {
            // A message may hold itself.
            self.0.insert(name.clone(), json!({}));
            let schema = self.object(message, &[]);
            self.0.insert(name.clone(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// A message's fields but these, as an object of its own.
    pub(super) fn object(&mut self, message: &MessageDescriptor, without: &[&str]) -> Value {
        let fields: Vec<_> = message
            .fields()
            .filter(|field| !without.contains(&field.name()) && !is_for_grpc(field))
            .collect();
        let properties: Object =
            fields.iter().map(|field| (name(field), self.field(field))).collect();
        json!({
            "type": "object",
            "description": message.comment(),
            "properties": properties,
        })
    }

    /// A field's schema, with its comment.
    pub(super) fn field(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return json!({}) };
            let value = self.one(&entry.map_entry_value_field());
            json!({"type": "object", "additionalProperties": value})
        } else if field.cardinality() == Cardinality::Repeated {
            json!({"type": "array", "items": self.one(field)})
        } else {
            let one = self.one(field);
            if field.supports_presence() { or_null(one) } else { one }
        };
        let comment = field.comment();
        if !comment.is_empty() {
            schema["description"] = json!(comment);
        }
        schema
    }

    fn one(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Double | Kind::Float => json!({"type": "number"}),
            Kind::Int32 | Kind::Sint32 | Kind::Uint32 | Kind::Fixed32 | Kind::Sfixed32 => {
                json!({"type": "integer", "format": "int32"})
            }
            Kind::Int64 | Kind::Sint64 | Kind::Uint64 | Kind::Fixed64 | Kind::Sfixed64 => {
                json!({"type": "integer", "format": "int64"})
            }
            Kind::String | Kind::Bytes | Kind::Enum(_) => json!({"type": "string"}),
            Kind::Message(message) => self.message(&message),
        }
    }
}

/// The name of a field in REST.
pub(super) fn name(field: &FieldDescriptor) -> String {
    let renamed = RENAMED.iter().find(|(name, _)| *name == field.name());
    renamed.map_or(field.name(), |(_, name)| name).to_owned()
}

fn is_for_grpc(field: &FieldDescriptor) -> bool {
    let of_other = field.name().strip_suffix("_json");
    let message = field.parent_message();
    of_other.is_some_and(|other| message.get_field_by_name(other).is_some())
        || field.name() == "extra"
        || matches!(field.kind(), Kind::Message(kind) if kind.name() == "FieldMask")
}

/// What may be absent is null in answers.
fn or_null(schema: Value) -> Value {
    match schema.get("type").cloned() {
        Some(Value::String(kind)) => {
            let mut schema = schema;
            schema["type"] = json!([kind, "null"]);
            schema
        }
        _ if schema == json!({}) => schema,
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}
