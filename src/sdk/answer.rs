//! Writes the answer to `/flags` and `/decide`, straight from the engine's
//! result (evaluation 13): the older shapes here, the present ones in `records`.

use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

use super::{config::Config, protocol::Shape, records};
use crate::engine::{Evaluation, Outcome};

/// What tells one answer from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) request_id: Uuid,
    /// Milliseconds since the epoch.
    pub(crate) evaluated_at: i64,
}

/// An answer, ready to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a, 'f> {
    pub(crate) shape: Shape,
    pub(crate) evaluation: &'a Evaluation<'f>,
    pub(crate) stamp: Stamp,
    /// Merged into the top level.
    pub(crate) config: Option<Config>,
}

/// The answer to a request that wants no flags.
pub(crate) fn nothing<'f>() -> Evaluation<'f> {
    Evaluation { outcomes: Vec::new(), errors_while_computing: false }
}

impl Answer<'_, '_> {
    /// The answer's JSON.
    pub(crate) fn to_json(self) -> Vec<u8> {
        let Self { shape, evaluation, stamp, config } = self;
        let outcomes = &evaluation.outcomes[..];
        match shape {
            Shape::DecideV1 => json(&DecideV1 { feature_flags: Keys(outcomes), config }),
            Shape::DecideV2 => {
                json(&DecideV2 { feature_flags: Values(outcomes, Some(true)), config })
            }
            Shape::V1 => json(&V1 {
                errors_while_computing_flags: evaluation.errors_while_computing,
                feature_flags: Values(outcomes, None),
                feature_flag_payloads: Payloads(outcomes),
                request_id: stamp.request_id,
                evaluated_at: stamp.evaluated_at,
                config,
            }),
            Shape::V2 => records::write(evaluation, stamp, config, false),
            Shape::Typed => records::write(evaluation, stamp, config, true),
        }
    }
}

/// Everything here is texts and numbers, for which there is always a JSON.
fn json(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DecideV1<'a, 'f> {
    feature_flags: Keys<'a, 'f>,
    #[serde(flatten)]
    config: Option<Config>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DecideV2<'a, 'f> {
    feature_flags: Values<'a, 'f>,
    #[serde(flatten)]
    config: Option<Config>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct V1<'a, 'f> {
    errors_while_computing_flags: bool,
    feature_flags: Values<'a, 'f>,
    feature_flag_payloads: Payloads<'a, 'f>,
    request_id: Uuid,
    evaluated_at: i64,
    #[serde(flatten)]
    config: Option<Config>,
}

/// The flags that are on.
struct Keys<'a, 'f>(&'a [Outcome<'f>]);

impl Serialize for Keys<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().filter(|o| o.enabled).map(|o| o.flag.key()))
    }
}

/// The variant, else whether it is on; of all flags, or of those that are on or off.
struct Values<'a, 'f>(&'a [Outcome<'f>], Option<bool>);

impl Serialize for Values<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wanted = |outcome: &&Outcome<'_>| self.1.is_none_or(|on| on == outcome.enabled);
        let mut map = serializer.serialize_map(None)?;
        for outcome in self.0.iter().filter(wanted) {
            map.serialize_entry(outcome.flag.key(), &TypedValue::of(outcome))?;
        }
        map.end()
    }
}

/// Only flags that have one.
struct Payloads<'a, 'f>(&'a [Outcome<'f>]);

impl Serialize for Payloads<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let payloads = self.0.iter().filter_map(|o| Some((o.flag.key(), o.payload?)));
        serializer.collect_map(payloads)
    }
}

/// What a flag is for a subject.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum TypedValue<'a> {
    Variant(&'a str),
    Switch(bool),
}

impl<'a> TypedValue<'a> {
    fn of(outcome: &Outcome<'a>) -> Self {
        outcome.variant.map_or(Self::Switch(outcome.enabled), Self::Variant)
    }
}
