//! Writes answers of the second version: a record a flag, with its reason and
//! its metadata (evaluation 13).
//!
//! It is the answer that most programs ask for, with hundreds of flags in it.
//! So the record of an outcome is written once and kept with the flag; answers
//! are records, one after the other.

use serde::Serialize;
use uuid::fmt::Hyphenated;

use super::{answer::Stamp, config::Config};
use crate::engine::{Evaluation, Form, Outcome};

/// About what a record takes, with a short key.
const A_RECORD: usize = 272;
const THE_REST: usize = 160;

/// The answer's JSON; `is_typed` puts the typed value beside each record.
pub(super) fn write(
    evaluation: &Evaluation<'_>,
    stamp: Stamp,
    config: Option<Config>,
    is_typed: bool,
) -> Vec<u8> {
    let records = &evaluation.outcomes;
    let mut json = Json(Vec::with_capacity(A_RECORD * records.len() + THE_REST));
    json.raw(r#"{"errorsWhileComputingFlags":"#);
    json.bool(evaluation.errors_while_computing);
    json.raw(r#","flags":{"#);
    let form = if is_typed { Form::TypedRecord } else { Form::Record };
    for (at, outcome) in records.iter().enumerate() {
        if at > 0 {
            json.raw(",");
        }
        json.0.extend_from_slice(&outcome.rendered(form, |outcome| record(outcome, is_typed)));
    }
    json.raw(r#"},"requestId":""#);
    json.raw(stamp.request_id.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]));
    json.raw(r#"","evaluatedAt":"#);
    json.any(&stamp.evaluated_at);
    if let Some(config) = config {
        json.merged(&config);
    }
    json.raw("}");
    json.0
}

/// A flag's key and its record.
fn record(outcome: &Outcome<'_>, is_typed: bool) -> Vec<u8> {
    let mut json = Json(Vec::with_capacity(A_RECORD));
    json.record(outcome, is_typed);
    json.0
}

/// A text in the making.
struct Json(Vec<u8>);

impl Json {
    fn record(&mut self, outcome: &Outcome<'_>, is_typed: bool) {
        let flag = outcome.flag;
        self.any(flag.key());
        self.raw(r#":{"key":"#);
        self.any(flag.key());
        self.raw(r#","enabled":"#);
        self.bool(outcome.enabled);
        self.raw(r#","variant":"#);
        self.text_or_null(outcome.variant);
        if is_typed {
            self.raw(r#","value":"#);
            self.value(outcome);
        }
        if outcome.failed {
            self.raw(r#","failed":true"#);
        }
        self.reason(outcome);
        self.raw(r#","metadata":{"id":"#);
        self.any(&flag.id());
        self.raw(r#","version":"#);
        self.any(&flag.version().unwrap_or_default());
        if is_typed {
            // The filters of all classic flags are of this format.
            self.raw(r#","config_version":1"#);
        }
        self.raw(r#","description":null,"payload":"#);
        self.text_or_null(outcome.payload);
        self.raw(r#","has_experiment":"#);
        self.bool(flag.has_experiment());
        self.raw("}}");
    }

    /// Codes and descriptions are ours, and hold nothing to be escaped.
    fn reason(&mut self, outcome: &Outcome<'_>) {
        self.raw(r#","reason":{"code":""#);
        self.raw(outcome.reason.code());
        self.raw(r#"","condition_index":"#);
        match outcome.condition_index {
            Some(index) => self.any(&index),
            None => self.raw("null"),
        }
        self.raw(r#","description":""#);
        self.raw(&outcome.description());
        self.raw(r#""}"#);
    }

    /// The variant, else whether it is on; null for a flag that failed, which has no value.
    fn value(&mut self, outcome: &Outcome<'_>) {
        match (outcome.failed, outcome.variant) {
            (true, _) => self.raw("null"),
            (false, Some(variant)) => self.any(variant),
            (false, None) => self.bool(outcome.enabled),
        }
    }

    fn text_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.any(text),
            None => self.raw("null"),
        }
    }

    fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// The fields of an object that is never empty, as further ones of the object that is open.
    fn merged(&mut self, fields: &impl Serialize) {
        let start = self.0.len();
        self.any(fields);
        self.0[start] = b',';
        self.0.pop();
    }

    /// Whatever there is always a JSON for: it is written to memory.
    fn any(&mut self, value: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.0, value).unwrap_or_default();
    }

    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::engine::{self, Facts, Flag, FlagSet, FlagSource, Selection, Settings, Subject};

    fn written(config: Option<Config>, is_typed: bool) -> Value {
        let filters = [
            ("on \"quoted\"", json!({"groups": [{}], "payloads": {"true": "{\"a\": 1}"}})),
            ("off", json!({"groups": [{"rollout_percentage": 0}]})),
            (
                "variant",
                json!({"groups": [{}], "multivariate":
                {"variants": [{"key": "a\\b", "rollout_percentage": 100}]}}),
            ),
            ("failed", json!({"groups": 7})),
        ];
        let flag = |(id, (key, filters)): (i64, &(&str, Value))| {
            let source = FlagSource { version: Some(3), ..FlagSource::new(id, key, filters) };
            Arc::new(Flag::compile(&source))
        };
        let flags = (1..).zip(&filters).map(flag).collect();
        let set = FlagSet::new(Settings::default(), flags, Vec::new());
        let subject = Subject::new("someone", Facts::default());
        let evaluation =
            engine::evaluate(&set, &subject, &Selection::default(), DateTime::UNIX_EPOCH);
        let stamp = Stamp { request_id: Uuid::nil(), evaluated_at: 1_700_000_000_000 };
        let text = write(&evaluation, stamp, config, is_typed);
        serde_json::from_slice(&text).expect("JSON")
    }

    fn record(key: &str, id: i64, on: bool, reason: Value) -> Value {
        json!({"key": key, "enabled": on, "variant": null, "reason": reason, "metadata":
            {"id": id, "version": 3, "description": null, "payload": null, "has_experiment": false}})
    }

    #[test]
    fn each_flag_has_its_record_and_texts_of_users_are_escaped() {
        let answer = written(None, false);
        let matched = json!({"code": "condition_match", "condition_index": 0,
            "description": "Matched condition set 1"});
        let mut on = record("on \"quoted\"", 1, true, matched.clone());
        on["metadata"]["payload"] = json!("{\"a\": 1}");
        assert_eq!(answer["flags"]["on \"quoted\""], on);
        let outside = json!({"code": "out_of_rollout_bound", "condition_index": 0,
            "description": "Out of rollout bound"});
        assert_eq!(answer["flags"]["off"], record("off", 2, false, outside));
        let mut variant = record("variant", 3, true, matched);
        variant["variant"] = json!("a\\b");
        assert_eq!(answer["flags"]["variant"], variant);
        assert_eq!(answer["flags"]["failed"]["failed"], json!(true));
        assert_eq!(answer["errorsWhileComputingFlags"], json!(true));
        assert_eq!(answer["requestId"], json!(Uuid::nil().to_string()));
        assert_eq!(answer["evaluatedAt"], json!(1_700_000_000_000_i64));
    }

    #[test]
    fn the_typed_value_stands_beside_each_record_when_asked_for() {
        let answer = written(None, true);
        let value = |key: &str| answer["flags"][key].get("value").cloned();
        assert_eq!(value("on \"quoted\""), Some(json!(true)));
        assert_eq!(value("off"), Some(json!(false)));
        assert_eq!(value("variant"), Some(json!("a\\b")));
        assert_eq!(value("failed"), Some(Value::Null));
        assert_eq!(answer["flags"]["off"]["metadata"]["config_version"], json!(1));
    }

    #[test]
    fn settings_are_merged_into_the_answer() {
        let answer = written(Some(Config::of_nobody()), false);
        assert_eq!(answer["supportedCompression"], json!(["gzip", "gzip-js"]));
        assert_eq!(answer["flags"]["off"]["enabled"], json!(false));
    }
}
