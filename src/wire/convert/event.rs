//! Events.

use serde_json::{Value, json};

use super::values::{instant_text, object_from_struct};
use crate::{
    model::{
        event::LONE_SURROGATE,
        json::{self, Limits, MAX_PARSER_DEPTH},
    },
    wire::v1::Event,
};

/// An event as the JSON object that a REST client would have sent.
///
/// # Errors
///
/// A sentence for people, for properties that cannot be read.
pub fn event(event: Event) -> Result<Value, String> {
    let properties = match (event.properties, event.properties_json) {
        (Some(_), Some(_)) => {
            return Err("`properties` and `properties_json` do not go together".into());
        }
        (Some(properties), None) => object_from_struct(properties, "properties")
            .map(Value::Object)
            .map_err(|error| format!("`properties`: {}", error.detail))?,
        (None, Some(text)) => {
            // Events are judged one by one, their depth with the rest.
            let limits = Limits::REQUEST.with_depth(MAX_PARSER_DEPTH);
            json::parse(&text, limits).map_err(|_| match json::parse_lenient(&text, limits) {
                Ok(_) => LONE_SURROGATE.to_owned(),
                Err(_) => "`properties_json` is not JSON".to_owned(),
            })?
        }
        (None, None) => Value::Null,
    };
    Ok(json!({
        "uuid": event.uuid,
        "event": event.event,
        "distinct_id": event.distinct_id,
        "timestamp": event.timestamp.map(instant_text),
        "properties": properties,
    }))
}

#[cfg(test)]
mod tests {
    use prost_types::Struct;

    use super::*;

    #[test]
    fn properties_come_as_a_message_or_as_text() {
        let text = |text: &str| Event { properties_json: Some(text.into()), ..Event::default() };
        let read = event(text(r#"{"n": 12345678901234567890123}"#)).unwrap();
        assert_eq!(read["properties"]["n"].to_string(), "12345678901234567890123");
        assert_eq!(event(Event::default()).unwrap()["properties"], Value::Null);
        assert!(event(text("{")).unwrap_err().contains("properties_json"));
        assert_eq!(event(text(r#"{"a": "cut \ud83e"}"#)).unwrap_err(), LONE_SURROGATE);
        let both = Event { properties: Some(Struct::default()), ..text("{}") };
        assert!(event(both).unwrap_err().contains("together"));
    }
}
