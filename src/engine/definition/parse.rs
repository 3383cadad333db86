//! From the documented `filters` object to [`Rules`].
//!
//! Unknown members are passed over; a known one of the wrong shape makes the
//! definition [`Malformed`], since guessing could let in people it keeps out.

use serde_json::{Map, Value};

use super::filter::{Filter, index, text};
use super::{Aggregation, Condition, FlagSource, Holdout, Malformed, Rules, Test, Variant};
use crate::engine::bucket::{self, Rollout};
use crate::rules_format::RulesFormat;

type Object = Map<String, Value>;

/// Reads what a flag decides by.
pub(super) fn rules(source: &FlagSource<'_>) -> Result<Rules, Malformed> {
    let filters = source.filters.as_object().ok_or("the filters are no object")?;
    match RulesFormat::of(source.filters) {
        RulesFormat::Conditions => {}
        RulesFormat::Rules => return Err("the filters are in the newer rules format"),
        RulesFormat::Unsupported => return Err("the filters are in an unsupported rules format"),
    }
    let payloads = Payloads(object(filters, "payloads")?);
    let aggregation = own_aggregation(filters)?.unwrap_or(Aggregation::Person);
    let by_device = source.bucketing_identifier == Some("device_id");
    let conditions = conditions(filters, aggregation)?;
    Ok(Rules {
        prefix: bucket::prefix(source.key),
        dependencies: dependencies(&conditions),
        conditions,
        variants: variants(filters, &payloads)?,
        payload: payloads.get("true"),
        aggregation,
        holdout: holdout(filters, &payloads)?,
        enrollment: is_true(filters, "feature_enrollment")
            .then(|| format!("$feature_enrollment/{}", source.key).into()),
        early_exit: is_true(filters, "early_exit"),
        by_device,
        continuity: source.ensure_experience_continuity
            && aggregation == Aggregation::Person
            && !by_device,
    })
}

fn conditions(filters: &Object, aggregation: Aggregation) -> Result<Box<[Condition]>, Malformed> {
    list(filters, "groups")?.iter().map(|stored| condition(stored, aggregation)).collect()
}

fn condition(stored: &Value, inherited: Aggregation) -> Result<Condition, Malformed> {
    let stored = stored.as_object().ok_or("a condition is no object")?;
    let filters: Box<[Filter]> =
        list(stored, "properties")?.iter().map(Filter::compile).collect::<Result<_, _>>()?;
    Ok(Condition {
        defers: filters.iter().any(Filter::is_deferred),
        filters,
        rollout: percentage(stored, "rollout_percentage")?.map_or(Rollout::ALL, Rollout::of),
        variant: text(stored, "variant")?.map(Into::into),
        aggregation: own_aggregation(stored)?.unwrap_or(inherited),
    })
}

/// The aggregation an object states; `null` states people.
fn own_aggregation(object: &Object) -> Result<Option<Aggregation>, Malformed> {
    const KEY: &str = "aggregation_group_type_index";
    if !object.contains_key(KEY) {
        return Ok(None);
    }
    Ok(Some(index(object, KEY)?.map_or(Aggregation::Person, Aggregation::Group)))
}

fn variants(filters: &Object, payloads: &Payloads<'_>) -> Result<Box<[Variant]>, Malformed> {
    let Some(multivariate) = object(filters, "multivariate")? else { return Ok(Box::default()) };
    let shares: Vec<(&str, f64)> =
        list(multivariate, "variants")?.iter().map(share).collect::<Result<_, _>>()?;
    let ends = bucket::ends(shares.iter().map(|(_, percentage)| *percentage));
    let variant = |((key, _), end): (&(&str, f64), f64)| Variant {
        key: (*key).into(),
        end,
        payload: payloads.get(key),
    };
    Ok(shares.iter().zip(ends).map(variant).collect())
}

/// A variant's key and percentage.
fn share(stored: &Value) -> Result<(&str, f64), Malformed> {
    let stored = stored.as_object().ok_or("a variant is no object")?;
    let key = text(stored, "key")?.ok_or("a variant has no key")?;
    let percentage =
        percentage(stored, "rollout_percentage")?.ok_or("a variant has no percentage")?;
    Ok((key, percentage))
}

fn holdout(filters: &Object, payloads: &Payloads<'_>) -> Result<Option<Holdout>, Malformed> {
    let Some(stored) = object(filters, "holdout")? else { return Ok(None) };
    let id = stored.get("id").and_then(Value::as_i64).ok_or("the holdout has no id")?;
    let excluded =
        percentage(stored, "exclusion_percentage")?.ok_or("the holdout has no percentage")?;
    let variant: Box<str> = format!("holdout-{id}").into();
    let payload = payloads.get(&variant);
    Ok(Some(Holdout { rollout: Rollout::of(excluded.clamp(0.0, 100.0)), variant, payload }))
}

/// The flags read by any filter, each once.
fn dependencies(conditions: &[Condition]) -> Box<[i64]> {
    let mut ids: Vec<i64> = conditions
        .iter()
        .flat_map(|condition| &condition.filters)
        .filter_map(|filter| match &filter.test {
            Test::Flag(test) => test.id,
            _ => None,
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into()
}

/// Payload texts by the value they belong to.
struct Payloads<'a>(Option<&'a Object>);

impl Payloads<'_> {
    /// The text as stored. What was stored before payloads had to be texts is
    /// given as its JSON, and `null` as none.
    fn get(&self, key: &str) -> Option<Box<str>> {
        match self.0?.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.as_str().into()),
            json => Some(json.to_string().into()),
        }
    }
}

fn is_true(object: &Object, key: &str) -> bool {
    object.get(key) == Some(&Value::Bool(true))
}

/// An object member, none if absent or `null`.
fn object<'a>(object: &'a Object, key: &str) -> Result<Option<&'a Object>, Malformed> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_object().map(Some).ok_or("a part of the filters is no object"),
    }
}

/// A list member, empty if absent or `null`.
fn list<'a>(object: &'a Object, key: &str) -> Result<&'a [Value], Malformed> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(value) => {
            value.as_array().map(Vec::as_slice).ok_or("a part of the filters is no list")
        }
    }
}

/// A number member, none if absent or `null`.
fn percentage(object: &Object, key: &str) -> Result<Option<f64>, Malformed> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or("a percentage is no number"),
    }
}
