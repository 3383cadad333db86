//! Typed filters and their JSON: what the schema names becomes a field, the
//! rest travels in `extra`, and nothing is lost on the way there and back.

use prost_types::Struct;
use serde_json::Value;

use super::values::{from_wire, object_from_struct, to_struct, to_wire};
use crate::{
    model::{
        error::{Error, Result},
        json::Object,
    },
    wire::v1::{
        ConditionGroup, Filters, Holdout, Multivariate, PropertyFilter, PropertyOperator,
        PropertyType, Variant,
    },
};

const ATTR: &str = "filters";
const OPERATOR_PREFIX: &str = "PROPERTY_OPERATOR_";
const TYPE_PREFIX: &str = "PROPERTY_TYPE_";

/// Takes known keys out of an object; what is left at the end is `extra`.
struct Reader(Object);

impl Reader {
    fn of(value: &Value) -> Self {
        Self(value.as_object().cloned().unwrap_or_default())
    }

    /// Takes a key out when `read` understands its value; nulls go, others stay for `extra`.
    fn take<T>(&mut self, key: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let taken = self.0.get(key).and_then(read);
        if taken.is_some() || self.0.get(key).is_some_and(Value::is_null) {
            self.0.shift_remove(key);
        }
        taken
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.take(key, |value| value.as_str().map(str::to_owned))
    }

    fn boolean(&mut self, key: &str) -> Option<bool> {
        self.take(key, Value::as_bool)
    }

    fn double(&mut self, key: &str) -> Option<f64> {
        self.take(key, Value::as_f64)
    }

    fn index(&mut self, key: &str) -> Option<i32> {
        self.take(key, |value| i32::try_from(value.as_i64()?).ok())
    }

    fn list<T>(&mut self, key: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
        self.take(key, |value| {
            let items = value.as_array()?;
            items.iter().all(Value::is_object).then(|| items.iter().map(read).collect())
        })
        .unwrap_or_default()
    }

    fn object<T>(&mut self, key: &str, read: impl FnOnce(&Value) -> T) -> Option<T> {
        self.take(key, |value| value.is_object().then(|| read(value)))
    }

    fn rest(self) -> Option<Struct> {
        (!self.0.is_empty()).then(|| to_struct(&self.0))
    }
}

/// Stored filters as a message.
pub(super) fn to_message(filters: &Value) -> Filters {
    let mut from = Reader::of(filters);
    Filters {
        groups: from.list("groups", group),
        multivariate: from.object("multivariate", multivariate),
        payloads: from
            .take("payloads", |value| {
                let text = |(key, value): (&String, &Value)| {
                    Some((key.clone(), value.as_str()?.to_owned()))
                };
                value.as_object()?.iter().map(text).collect()
            })
            .unwrap_or_default(),
        aggregation_group_type_index: from.index("aggregation_group_type_index"),
        holdout: from.object("holdout", holdout),
        feature_enrollment: from.boolean("feature_enrollment"),
        early_exit: from.boolean("early_exit"),
        extra: from.rest(),
    }
}

fn group(value: &Value) -> ConditionGroup {
    let mut from = Reader::of(value);
    ConditionGroup {
        properties: from.list("properties", property),
        rollout_percentage: from.double("rollout_percentage"),
        variant: from.text("variant"),
        aggregation_group_type_index: from.index("aggregation_group_type_index"),
        description: from.text("description"),
        extra: from.rest(),
    }
}

fn property(value: &Value) -> PropertyFilter {
    let mut from = Reader::of(value);
    PropertyFilter {
        key: from.text("key").unwrap_or_default(),
        r#type: from.take("type", |value| known_type(value.as_str()?)).unwrap_or_default().into(),
        operator: from
            .take("operator", |value| known_operator(value.as_str()?))
            .unwrap_or_default()
            .into(),
        value: from.0.shift_remove("value").map(|value| to_wire(&value)),
        group_type_index: from.index("group_type_index"),
        negation: from.boolean("negation"),
        label: from.text("label"),
        extra: from.rest(),
    }
}

/// A property's type by its stored name.
pub(super) fn known_type(name: &str) -> Option<PropertyType> {
    PropertyType::from_str_name(&(TYPE_PREFIX.to_owned() + &name.to_uppercase()))
}

/// An operator by its stored name.
pub(super) fn known_operator(name: &str) -> Option<PropertyOperator> {
    PropertyOperator::from_str_name(&(OPERATOR_PREFIX.to_owned() + &name.to_uppercase()))
}

fn multivariate(value: &Value) -> Multivariate {
    let mut from = Reader::of(value);
    Multivariate { variants: from.list("variants", variant), extra: from.rest() }
}

fn variant(value: &Value) -> Variant {
    let mut from = Reader::of(value);
    Variant {
        key: from.text("key").unwrap_or_default(),
        name: from.text("name"),
        rollout_percentage: from.double("rollout_percentage"),
        description: from.text("description"),
        extra: from.rest(),
    }
}

fn holdout(value: &Value) -> Holdout {
    let mut from = Reader::of(value);
    Holdout {
        id: from.take("id", Value::as_i64).unwrap_or_default(),
        exclusion_percentage: from.double("exclusion_percentage").unwrap_or_default(),
        extra: from.rest(),
    }
}

/// Builds an object from the fields that are set; `extra` comes last and never replaces one.
#[derive(Default)]
struct Writer(Object);

impl Writer {
    fn put(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value.into());
        }
    }

    fn put_double(&mut self, key: &str, value: Option<f64>) -> Result<()> {
        let number = value.map(|value| from_wire(number(value), ATTR)).transpose()?;
        self.put(key, number);
        Ok(())
    }

    fn put_all<T>(
        &mut self,
        key: &str,
        items: Vec<T>,
        write: impl Fn(T) -> Result<Value>,
    ) -> Result<()> {
        let items: Vec<Value> = items.into_iter().map(write).collect::<Result<_>>()?;
        self.put(key, Some(items));
        Ok(())
    }

    fn finish(mut self, extra: Option<Struct>) -> Result<Value> {
        for (key, value) in
            extra.map(|extra| object_from_struct(extra, ATTR)).transpose()?.unwrap_or_default()
        {
            if self.0.contains_key(&key) {
                let detail = format!("`{key}` is given both as a field and in extra");
                return Err(Error::field(ATTR, "invalid_input", detail));
            }
            self.0.insert(key, value);
        }
        Ok(Value::Object(self.0))
    }
}

fn number(value: f64) -> prost_types::Value {
    prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(value)) }
}

/// A message as the JSON that a request body would hold.
///
/// # Errors
///
/// `Invalid` on `filters` for numbers that are not finite, an unknown enum number, nesting
/// beyond the limit, or a key that is also in `extra`.
pub(super) fn from_message(filters: Filters) -> Result<Value> {
    let mut to = Writer::default();
    to.put_all("groups", filters.groups, group_json)?;
    to.put("multivariate", filters.multivariate.map(multivariate_json).transpose()?);
    if !filters.payloads.is_empty() {
        let payloads: Object =
            filters.payloads.into_iter().map(|(key, text)| (key, Value::String(text))).collect();
        to.put("payloads", Some(payloads));
    }
    to.put("aggregation_group_type_index", filters.aggregation_group_type_index);
    to.put("holdout", filters.holdout.map(holdout_json).transpose()?);
    to.put("feature_enrollment", filters.feature_enrollment);
    to.put("early_exit", filters.early_exit);
    to.finish(filters.extra)
}

/// One condition as the JSON that a request body would hold.
///
/// # Errors
///
/// As [`from_message`].
pub(super) fn group_json(group: ConditionGroup) -> Result<Value> {
    let mut to = Writer::default();
    to.put_all("properties", group.properties, property_json)?;
    to.put_double("rollout_percentage", group.rollout_percentage)?;
    to.put("variant", group.variant);
    to.put("aggregation_group_type_index", group.aggregation_group_type_index);
    to.put("description", group.description);
    to.finish(group.extra)
}

fn property_json(property: PropertyFilter) -> Result<Value> {
    let (kind, operator) = (kind_name(property.r#type)?, operator_name(property.operator)?);
    let mut to = Writer::default();
    to.put("key", Some(property.key));
    to.put("type", kind);
    to.put("operator", operator);
    to.put("value", property.value.map(|value| from_wire(value, ATTR)).transpose()?);
    to.put("group_type_index", property.group_type_index);
    to.put("negation", property.negation);
    to.put("label", property.label);
    to.finish(property.extra)
}

fn kind_name(number: i32) -> Result<Option<String>> {
    match PropertyType::try_from(number) {
        Ok(PropertyType::Unspecified) => Ok(None),
        Ok(kind) => Ok(Some(kind.as_str_name()[TYPE_PREFIX.len()..].to_lowercase())),
        Err(_) => Err(Error::field(ATTR, "invalid_input", format!("{number} is no property type"))),
    }
}

fn operator_name(number: i32) -> Result<Option<String>> {
    match PropertyOperator::try_from(number) {
        Ok(PropertyOperator::Unspecified) => Ok(None),
        Ok(operator) => Ok(Some(operator.as_str_name()[OPERATOR_PREFIX.len()..].to_lowercase())),
        Err(_) => {
            Err(Error::field(ATTR, "invalid_operator", format!("Invalid operator: {number}")))
        }
    }
}

fn multivariate_json(multivariate: Multivariate) -> Result<Value> {
    let mut to = Writer::default();
    to.put_all("variants", multivariate.variants, variant_json)?;
    to.finish(multivariate.extra)
}

fn variant_json(variant: Variant) -> Result<Value> {
    let mut to = Writer::default();
    to.put("key", Some(variant.key));
    to.put("name", variant.name);
    to.put_double("rollout_percentage", variant.rollout_percentage)?;
    to.put("description", variant.description);
    to.finish(variant.extra)
}

fn holdout_json(holdout: Holdout) -> Result<Value> {
    let mut to = Writer::default();
    to.put("id", Some(holdout.id));
    to.put_double("exclusion_percentage", Some(holdout.exclusion_percentage))?;
    to.finish(holdout.extra)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::filters::same_meaning;

    #[test]
    fn filters_mean_the_same_after_a_round_trip() {
        let cases = [
            json!({"groups": []}),
            json!({"groups": [{"properties": [], "rollout_percentage": 33.33, "variant": null,
                "aggregation_group_type_index": null, "sort_key": 7, "description": "d"}],
                "aggregation_group_type_index": null, "x": {"y": [1]}}),
            json!({"groups": [{"properties": [
                {"key": "email", "type": "person", "operator": "icontains", "value": "@x", "label": "l"},
                {"key": "n", "operator": "exact", "value": [65, 1.5, "a"], "negation": true},
                {"key": "id", "type": "cohort", "operator": "in", "value": 3, "cohort_name": null},
                {"key": "k", "type": "event", "operator": "strange", "value": null},
            ]}]}),
            json!({"groups": [{}], "multivariate": {"variants": [
                {"key": "a", "name": "A", "rollout_percentage": 50}, {"key": "b", "rollout_percentage": 50}]},
                "payloads": {"a": "{\"a\": 1}"}, "holdout": {"id": 7, "exclusion_percentage": 10},
                "feature_enrollment": true, "early_exit": false, "super_groups": [{"properties": []}]}),
        ];
        for stored in cases {
            let back = from_message(to_message(&stored)).unwrap();
            assert!(same_meaning(&stored, &back), "{stored}\n{back}");
        }
    }

    #[test]
    fn every_operator_has_a_number() {
        let operators = "exact is_not icontains not_icontains icontains_multi not_icontains_multi \
            regex not_regex gt gte lt lte is_set is_not_set is_date_exact is_date_after is_date_before \
            semver_eq semver_neq semver_gt semver_gte semver_lt semver_lte semver_tilde semver_caret \
            semver_wildcard in not_in flag_evaluates_to starts_with not_starts_with ends_with \
            not_ends_with between not_between";
        for operator in operators.split_whitespace() {
            let message = property(&json!({"key": "k", "operator": operator}));
            assert_ne!(message.operator, 0, "{operator}");
            assert_eq!(property_json(message).unwrap()["operator"], operator);
        }
    }

    #[test]
    fn whole_percentages_are_written_as_integers() {
        let message = to_message(&json!({"groups": [{"rollout_percentage": 65}]}));
        let text = from_message(message).unwrap()["groups"][0]["rollout_percentage"].to_string();
        assert_eq!(text, "65");
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let mut message = to_message(&json!({"groups": [], "early_exit": true}));
        let extra = json!({"early_exit": false});
        message.extra = Some(to_struct(extra.as_object().unwrap()));
        assert!(from_message(message).is_err());
    }
}
