//! Whom a condition would reach (management-api 5): what is asked, and what is told.

use serde_json::{Value, json};

use super::{
    error::{Error, Result},
    fields, filters,
    json::Object,
};

/// A condition whose reach is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedReach {
    /// Filters of that one condition, its rollout and its variant left out.
    pub filters: Value,
    /// The type of the groups to count; `None` counts persons.
    pub group_type_index: Option<i32>,
    /// Whether everyone is reached, since it has no properties.
    pub is_everyone: bool,
}

/// How many a condition reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Persons, or groups, for which all properties hold.
    pub affected: i64,
    /// All there are.
    pub total: i64,
}

impl WantedReach {
    /// Reads `condition` and `group_type_index`.
    ///
    /// # Errors
    ///
    /// `Invalid`: without a field where there is no condition, else on the field whose shape is wrong.
    pub fn parse(body: &Object) -> Result<Self> {
        let condition = body.get("condition").filter(|condition| !condition.is_null());
        let missing = || Error::rule("Missing condition for which to get blast radius");
        let mut condition = fields::object("condition", condition.ok_or_else(missing)?).cloned()?;
        let index = body.get("group_type_index").unwrap_or(&Value::Null);
        let group_type_index = fields::nullable("group_type_index", index, group_type)?;
        condition.insert("aggregation_group_type_index".into(), json!(group_type_index));
        check(&condition)?;
        condition.retain(|key, _| key != "rollout_percentage" && key != "variant");
        let properties = condition.get("properties").and_then(Value::as_array);
        let is_everyone = properties.is_none_or(Vec::is_empty);
        Ok(Self { filters: json!({"groups": [condition]}), group_type_index, is_everyone })
    }
}

fn group_type(attr: &str, value: &Value) -> Result<i32> {
    let index = fields::integer(attr, value)?;
    i32::try_from(index)
        .map_err(|_| Error::field(attr, "invalid_input", "A valid integer is required."))
}

fn check(condition: &Object) -> Result<()> {
    let filters = Object::from_iter([("groups".to_owned(), json!([condition]))]);
    filters::check_shape(&filters).map_err(|error| error.on("condition"))
}

/// The failure for a condition that has the right shape, and still cannot be evaluated.
#[must_use]
pub fn unusable(problem: &str) -> Error {
    Error::field(
        "condition",
        "invalid_input",
        format!("The condition cannot be evaluated: {problem}"),
    )
}

impl Reach {
    /// The documented fields, under their older and their newer names.
    #[must_use]
    pub fn to_json(self) -> Value {
        json!({
            "users_affected": self.affected,
            "total_users": self.total,
            "affected": self.affected,
            "total": self.total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: Value) -> Result<WantedReach> {
        WantedReach::parse(body.as_object().unwrap())
    }

    #[test]
    fn a_condition_is_needed_and_must_have_its_shape() {
        let missing = "Missing condition for which to get blast radius";
        let cases = [
            (json!({}), None, missing),
            (json!({"condition": null}), None, missing),
            (
                json!({"condition": []}),
                Some("condition"),
                "Expected a dictionary of items but got type \"list\".",
            ),
            (
                json!({"condition": {}, "group_type_index": "x"}),
                Some("group_type_index"),
                "A valid integer is required.",
            ),
            (
                json!({"condition": {"properties": 7}}),
                Some("condition"),
                "groups[0].properties must be a list, got int",
            ),
            (
                json!({"condition": {"properties": [{"key": "a", "operator": "regex", "value": "["}]}}),
                Some("condition"),
                "groups[0].properties[0].value: invalid regex pattern",
            ),
        ];
        for (body, attr, detail) in cases {
            let error = parse(body.clone()).unwrap_err();
            assert_eq!((error.attr.as_deref(), error.detail.as_str()), (attr, detail), "{body}");
        }
    }

    #[test]
    fn the_rollout_and_the_variant_are_left_out_and_the_type_of_group_is_the_one_asked_for() {
        let condition = json!({"properties": [], "rollout_percentage": 5, "variant": "a",
            "aggregation_group_type_index": 3});
        let wanted = parse(json!({"condition": condition, "group_type_index": 1})).unwrap();
        let expected = json!({"groups": [{"properties": [], "aggregation_group_type_index": 1}]});
        assert_eq!((wanted.filters, wanted.is_everyone), (expected, true));
        let wanted = parse(json!({"condition": {"properties": [{"key": "a"}]}})).unwrap();
        assert_eq!((wanted.group_type_index, wanted.is_everyone), (None, false));
    }
}
