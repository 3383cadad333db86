//! Finds events, token and time of sending in a body, wherever a client put them.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    model::{
        error::Result,
        event::{LONE_SURROGATE, instant},
        json::{Object, contains_char},
    },
    sdk::body::refuse,
};

/// The names of the token, in the order in which they count.
const TOKENS: [&str; 3] = ["api_key", "token", "$token"];

/// A body, taken apart.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The project's token, where the body has one.
    pub(super) token: Option<String>,
    /// When it was sent, where the body says.
    pub(super) sent_at: Option<DateTime<Utc>>,
    /// The events; `Err` for one that belongs elsewhere or is no text.
    pub(super) events: Vec<Result<Value, String>>,
    /// The id of each event, as it was sent.
    pub(super) uuids: Vec<Option<String>>,
    /// The size of the body, unpacked.
    pub(super) bytes: usize,
}

impl Envelope {
    /// Takes a body apart: one event, a list of events, or an object with a list of them. Events
    /// that hold `marker`, which stands for half of a surrogate pair, are refused.
    ///
    /// # Errors
    ///
    /// A refusal in plain text, for a body of any other shape.
    pub(super) fn of(body: Value, marker: Option<char>, bytes: usize) -> Result<Self> {
        let (own, sent_at, events) = match body {
            Value::Array(events) => (None, None, events),
            Value::Object(mut fields) => {
                let (token, sent_at) = (token_in(&fields), fields.get("sent_at").and_then(instant));
                match fields.shift_remove("batch") {
                    Some(Value::Array(events)) => (token, sent_at, events),
                    Some(_) => return Err(refuse("`batch` is not a list of events.")),
                    None => (token, sent_at, vec![Value::Object(fields)]),
                }
            }
            _ => return Err(refuse("The body is neither an event nor a list of events.")),
        };
        let token = own.or_else(|| events.iter().find_map(token_of));
        let is_elsewhere = |event: &Value| {
            let other = token_of(event);
            other.is_some() && other != token
        };
        let judged = |event: Value| match () {
            () if is_elsewhere(&event) => Err("it carries another token than the rest".to_owned()),
            () if marker.is_some_and(|marker| contains_char(&event, marker)) => {
                Err(LONE_SURROGATE.to_owned())
            }
            () => Ok(event),
        };
        let sent_at = sent_at.or_else(|| events.first()?.get("sent_at").and_then(instant));
        let uuids = events.iter().map(uuid_of).collect();
        let events = events.into_iter().map(judged).collect();
        Ok(Self { sent_at, events, uuids, token, bytes })
    }
}

fn uuid_of(event: &Value) -> Option<String> {
    Some(event.get("uuid")?.as_str()?.to_owned())
}

fn token_in(fields: &Object) -> Option<String> {
    let text = |name: &&str| fields.get(*name)?.as_str().filter(|token| !token.is_empty());
    TOKENS.iter().find_map(text).map(str::to_owned)
}

/// The token that an event carries, by itself or among its properties.
fn token_of(event: &Value) -> Option<String> {
    let fields = event.as_object()?;
    token_in(fields).or_else(|| {
        let properties = fields.get("properties")?.as_object()?;
        Some(properties.get("token")?.as_str().filter(|token| !token.is_empty())?.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope(value: Value) -> Result<Envelope> {
        Envelope::of(value, None, 0)
    }

    #[test]
    fn events_and_token_are_found_in_every_shape() {
        let event = json!({"event": "x", "distinct_id": "u"});
        let with = |extra: Value| {
            let mut event = event.clone();
            event.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            event
        };
        let cases = [
            (json!({"api_key": "phc_1", "batch": [event, event]}), 2),
            (json!({"token": "phc_1", "batch": [event], "historical_migration": true}), 1),
            (with(json!({"api_key": "phc_1"})), 1),
            (with(json!({"$token": "phc_1"})), 1),
            (with(json!({"properties": {"token": "phc_1"}})), 1),
            (json!([with(json!({"token": "phc_1"})), event]), 2),
            (json!([event, with(json!({"properties": {"token": "phc_1"}}))]), 2),
            (json!({"batch": [with(json!({"api_key": "phc_1"}))]}), 1),
        ];
        for (body, count) in cases {
            let envelope = envelope(body.clone()).unwrap();
            assert_eq!(envelope.token.as_deref(), Some("phc_1"), "{body}");
            assert_eq!(envelope.events.iter().flatten().count(), count, "{body}");
        }
    }

    #[test]
    fn an_event_of_another_project_is_told_apart() {
        let body = json!({"api_key": "phc_1", "batch": [{"event": "x"}, {"event": "x", "token": "phc_2"}]});
        let events = envelope(body).unwrap().events;
        assert!(events[0].is_ok() && events[1].is_err());
    }

    #[test]
    fn an_event_that_is_no_text_is_refused_alone() {
        let body =
            json!([{"event": "x", "uuid": "1"}, {"event": "x", "uuid": "2", "a": ["cut ?"]}]);
        let envelope = Envelope::of(body, Some('?'), 0).unwrap();
        assert!(envelope.events[0].is_ok());
        assert_eq!(envelope.events[1], Err(LONE_SURROGATE.to_owned()));
        assert_eq!(envelope.uuids, [Some("1".to_owned()), Some("2".to_owned())]);
    }

    #[test]
    fn other_shapes_are_refused() {
        for body in [json!(1), json!("x"), json!(null), json!({"batch": {}}), json!({"batch": "x"})]
        {
            assert_eq!(envelope(body.clone()).unwrap_err().code.http_status(), 400, "{body}");
        }
    }

    #[test]
    fn the_time_of_sending_is_found() {
        let at = "2026-11-23T12:00:00Z";
        let bodies = [
            json!({"sent_at": at, "batch": [{"event": "x"}]}),
            json!({"sent_at": at, "event": "x"}),
            json!([{"sent_at": at, "event": "x"}]),
        ];
        for body in bodies {
            assert_eq!(envelope(body).unwrap().sent_at, at.parse().ok());
        }
    }
}
