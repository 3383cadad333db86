//! The `filters` of a cohort: which trees are refused, and what an accepted
//! one is turned into before it is stored (evaluation 9).
//!
//! A tree is `{"type": "AND" or "OR", "values": [tree or property]}`. What a
//! property may test is what evaluation can decide; properties about events
//! are stored as they come and match nobody. Unknown keys are kept.

use serde_json::Value;

use crate::model::{
    error::{Error, Result},
    fields,
    filters::{self, Grammar, MAX_BYTES},
    json::{Object, canonical, has_nul, type_name},
};

/// How deep groups may nest; the whole then stays within the nesting that a request may have.
const DEEPEST: usize = 14;
/// The most patterns, their look-arounds and back-references included: what each is compiled to stays
/// in the memory of every replica (architecture 9).
const MOST_PATTERNS: usize = 100;
/// How many cohorts one may refer to.
const MOST_REFERENCES: usize = 1_000;

/// Checks the `filters` of a dynamic cohort and normalises them.
///
/// # Errors
///
/// `attr: filters` with the first thing that is wrong.
pub fn accept(sent: &Value, grammar: &Grammar) -> Result<Value> {
    let mut filters = fields::object("filters", sent)?.clone();
    if has_nul(sent) {
        return Err(refuse("Null characters are not allowed."));
    }
    // What follows takes as long as there is text, and changes no size.
    check_size(sent)?;
    let mut check = Check { grammar, patterns: 0, references: 0 };
    let is_older = filters.contains_key("groups");
    match filters.get_mut("properties") {
        None | Some(Value::Null) if is_older => check.older(&mut filters)?,
        Some(root) => check.group(root, "properties", DEEPEST)?,
        None => return Err(wrong_type("properties", "an object", &Value::Null)),
    }
    let filters = Value::Object(filters);
    match (grammar.is_cohort)(&filters) {
        true => Ok(filters),
        false => Err(refuse("Cohort filters cannot be evaluated.")),
    }
}

fn check_size(filters: &Value) -> Result<()> {
    match canonical(filters).len() {
        ..=MAX_BYTES => Ok(()),
        size => Err(refuse(format!(
            "Cohort filters exceed maximum size of {MAX_BYTES}. Current size: {size}. \
             Please simplify conditions."
        ))),
    }
}

struct Check<'a> {
    grammar: &'a Grammar,
    patterns: usize,
    references: usize,
}

impl Check<'_> {
    fn node(&mut self, node: &mut Value, path: &str, depth: usize) -> Result<()> {
        let is_group = |node: &Object| {
            node.contains_key("values")
                || matches!(
                    node.get("type").and_then(Value::as_str),
                    Some("AND" | "OR" | "property")
                )
        };
        match node {
            Value::Object(fields) if !is_group(fields) => self.leaf(fields, path),
            other => self.group(other, path, depth),
        }
    }

    fn group(&mut self, node: &mut Value, path: &str, depth: usize) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(refuse(format!("{path} is nested deeper than {DEEPEST} groups")));
        };
        let Value::Object(group) = node else {
            return Err(wrong_type(path, "an object", node));
        };
        if !matches!(group.get("type").and_then(Value::as_str), Some("AND" | "OR" | "property")) {
            let found = group.get("type").map_or("null".into(), filters::shown);
            return Err(refuse(format!("{path}.type must be AND or OR, got {found}")));
        }
        match group.get_mut("values") {
            Some(Value::Array(nodes)) => nodes
                .iter_mut()
                .enumerate()
                .try_for_each(|(at, node)| self.node(node, &format!("{path}.values[{at}]"), depth)),
            other => Err(wrong_type(
                &format!("{path}.values"),
                "a list",
                &other.cloned().unwrap_or_default(),
            )),
        }
    }

    /// Groups of cohorts older than trees: lists of properties, maps of equal values, or counts of
    /// events.
    fn older(&mut self, filters: &mut Object) -> Result<()> {
        let groups = match filters.get_mut("groups") {
            Some(Value::Array(groups)) => groups,
            other => {
                return Err(wrong_type("groups", "a list", &other.cloned().unwrap_or_default()));
            }
        };
        for (at, group) in groups.iter_mut().enumerate() {
            let path = format!("groups[{at}]");
            let Value::Object(group) = group else {
                return Err(wrong_type(&path, "an object", group));
            };
            match group.get_mut("properties") {
                None | Some(Value::Null | Value::Object(_)) => {}
                Some(Value::Array(properties)) => {
                    for (at, property) in properties.iter_mut().enumerate() {
                        self.older_leaf(property, &format!("{path}.properties[{at}]"))?;
                    }
                }
                Some(other) => {
                    return Err(wrong_type(&format!("{path}.properties"), "a list", other));
                }
            }
        }
        Ok(())
    }

    /// Its type may be missing or `event`, and stays so.
    fn older_leaf(&mut self, property: &mut Value, path: &str) -> Result<()> {
        let Value::Object(fields) = property else {
            return Err(wrong_type(path, "an object", property));
        };
        if fields.get("type").and_then(Value::as_str) != Some("event") {
            return self.leaf(fields, path);
        }
        let mut person = fields.clone();
        person.remove("type");
        self.leaf(&mut person, path)?;
        filters::alias(fields);
        Ok(())
    }

    fn leaf(&mut self, leaf: &mut Object, path: &str) -> Result<()> {
        if let Some(other) = leaf.get("negation").filter(|v| !v.is_boolean() && !v.is_null()) {
            return Err(wrong_type(&format!("{path}.negation"), "a boolean or null", other));
        }
        match leaf.get("type") {
            None | Some(Value::Null) => self.person(leaf, path),
            Some(Value::String(kind)) => match kind.as_str() {
                "person" | "person_metadata" => self.person(leaf, path),
                "cohort" => self.cohort(leaf),
                "behavioral" | "lifecycle" => Ok(()),
                other => Err(refuse(format!(
                    "Cohorts can only use person, cohort and behavioral properties, not {other}"
                ))
                .with_hint(
                    "A property's \"type\" is person, person_metadata, cohort or behavioral.",
                )),
            },
            Some(other) => Err(wrong_type(&format!("{path}.type"), "a string", other)),
        }
    }

    fn person(&mut self, leaf: &mut Object, path: &str) -> Result<()> {
        match leaf.get("key") {
            Some(Value::String(key)) if !key.is_empty() => {}
            Some(Value::String(_)) => return Err(refuse(format!("{path}.key may not be blank"))),
            other => {
                let found = other.unwrap_or(&Value::Null);
                return Err(wrong_type(&format!("{path}.key"), "a string", found));
            }
        }
        filters::alias(leaf);
        let operator = filters::person_operator(leaf)?;
        let value = leaf.get("value").unwrap_or(&Value::Null);
        match operator {
            "between" | "not_between" => range(operator, value),
            "regex" | "not_regex" => {
                filters::check_value(operator, value, self.grammar)?;
                self.pattern(value, path)
            }
            _ => filters::check_value(operator, value, self.grammar),
        }
    }

    fn pattern(&mut self, value: &Value, path: &str) -> Result<()> {
        self.patterns += value.as_str().map_or(1, filters::pattern_parts);
        if self.patterns > MOST_PATTERNS {
            let detail = format!("A cohort may hold at most {MOST_PATTERNS} regex patterns.");
            return Err(refuse(detail));
        }
        match value.as_str().is_some_and(filters::is_pattern) {
            true => Ok(()),
            false => Err(refuse(format!("{path}.value: invalid regex pattern"))),
        }
    }

    /// That the cohort exists is judged among the others of the project.
    fn cohort(&mut self, leaf: &Object) -> Result<()> {
        match leaf.get("operator") {
            None | Some(Value::Null) => {}
            Some(Value::String(name)) if name == "in" || name == "not_in" => {}
            Some(other) => {
                let detail = format!("Invalid operator: {}", filters::shown(other));
                return Err(Error::field("filters", "invalid_operator", detail));
            }
        }
        self.references += 1;
        if self.references > MOST_REFERENCES {
            return Err(refuse(format!("Filters may refer to at most {MOST_REFERENCES} cohorts.")));
        }
        let value = leaf.get("value").unwrap_or(&Value::Null);
        match filters::number(value) {
            Some(_) => Ok(()),
            None => Err(filters::cohort_does_not_exist(filters::shown(value))),
        }
    }
}

/// Two numbers, the lower first; text of a number is one.
fn range(operator: &str, value: &Value) -> Result<()> {
    let number = |bound: &Value| match bound {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse::<f64>().ok(),
        _ => None,
    };
    let bounds = match value.as_array().map(Vec::as_slice) {
        Some([low, high]) => number(low).zip(number(high)),
        _ => None,
    };
    match bounds {
        Some((low, high)) if low <= high => Ok(()),
        _ => {
            let detail = format!("{operator} operator requires a list of two numbers");
            Err(Error::field("filters", "invalid_value", detail))
        }
    }
}

fn wrong_type(path: &str, wanted: &str, found: &Value) -> Error {
    refuse(format!("{path} must be {wanted}, got {}", type_name(found)))
}

fn refuse(detail: impl Into<String>) -> Error {
    Error::field("filters", "invalid_input", detail)
}

#[cfg(test)]
mod tests;
