//! Writes the answer to `/flags` and `/decide`, straight from the engine's
//! result (evaluation 13).

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

use super::{config::Config, protocol::Shape};
use crate::engine::{Evaluation, Outcome};

/// The filters of all classic flags are of this format.
const CONFIG_VERSION: u8 = 1;

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

impl Serialize for Answer<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { shape, evaluation, stamp, config } = self;
        let outcomes = &evaluation.outcomes[..];
        let errors_while_computing_flags = evaluation.errors_while_computing;
        match shape {
            Shape::DecideV1 => {
                DecideV1 { feature_flags: Keys(outcomes), config: *config }.serialize(serializer)
            }
            Shape::DecideV2 => {
                DecideV2 { feature_flags: Values(outcomes, Some(true)), config: *config }
                    .serialize(serializer)
            }
            Shape::V1 => V1 {
                errors_while_computing_flags,
                feature_flags: Values(outcomes, None),
                feature_flag_payloads: Payloads(outcomes),
                request_id: stamp.request_id,
                evaluated_at: stamp.evaluated_at,
                config: *config,
            }
            .serialize(serializer),
            Shape::V2 | Shape::Typed => V2 {
                errors_while_computing_flags,
                flags: Records(outcomes, *shape == Shape::Typed),
                request_id: stamp.request_id,
                evaluated_at: stamp.evaluated_at,
                config: *config,
            }
            .serialize(serializer),
        }
    }
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct V2<'a, 'f> {
    errors_while_computing_flags: bool,
    flags: Records<'a, 'f>,
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

/// A record a flag, with its typed value or without.
struct Records<'a, 'f>(&'a [Outcome<'f>], bool);

impl Serialize for Records<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = |outcome| Record::of(outcome, self.1);
        serializer.collect_map(self.0.iter().map(|outcome| (outcome.flag.key(), record(outcome))))
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

#[derive(Serialize)]
struct Record<'a> {
    key: &'a str,
    enabled: bool,
    variant: Option<&'a str>,
    /// Null for a flag that failed, which has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Option<TypedValue<'a>>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    failed: bool,
    reason: Reason,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    condition_index: Option<u32>,
    description: Cow<'static, str>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    id: i64,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_version: Option<u8>,
    description: Option<&'a str>,
    payload: Option<&'a str>,
    has_experiment: bool,
}

impl<'a> Record<'a> {
    fn of(outcome: &Outcome<'a>, is_typed: bool) -> Self {
        let flag = outcome.flag;
        let value = (!outcome.failed).then(|| TypedValue::of(outcome));
        Self {
            key: flag.key(),
            enabled: outcome.enabled,
            variant: outcome.variant,
            value: is_typed.then_some(value),
            failed: outcome.failed,
            reason: Reason {
                code: outcome.reason.code(),
                condition_index: outcome.condition_index,
                description: outcome.description(),
            },
            metadata: Metadata {
                id: flag.id(),
                version: flag.version().unwrap_or_default(),
                config_version: is_typed.then_some(CONFIG_VERSION),
                description: None,
                payload: outcome.payload,
                has_experiment: flag.has_experiment(),
            },
        }
    }
}
