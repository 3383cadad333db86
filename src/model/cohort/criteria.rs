//! What a cohort's filters ask about: other cohorts, and events.

use std::collections::HashSet;

use serde_json::Value;

use crate::model::filters::number;

/// What is found in filters of any shape, checked or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Cohorts it refers to, in their order, each once.
    pub cohorts: Vec<i64>,
    /// Whether something in it is decided by what people did.
    pub has_events: bool,
}

impl Criteria {
    /// Reads them off stored filters; what is no reference is passed over.
    #[must_use]
    pub fn of(filters: &Value) -> Self {
        let mut criteria = Self::default();
        match (filters.get("properties"), filters.get("groups")) {
            (Some(tree @ Value::Object(_)), _) => criteria.walk(tree),
            (_, Some(Value::Array(groups))) => groups.iter().for_each(|g| criteria.older(g)),
            _ => {}
        }
        let mut seen = HashSet::new();
        criteria.cohorts.retain(|id| seen.insert(*id));
        criteria
    }

    fn walk(&mut self, node: &Value) {
        if let Some(nodes) = node.get("values").and_then(Value::as_array) {
            return nodes.iter().for_each(|node| self.walk(node));
        }
        match node.get("type").and_then(Value::as_str) {
            Some("behavioral" | "lifecycle") => self.has_events = true,
            Some("cohort") => self.cohorts.extend(node.get("value").and_then(number)),
            _ => {}
        }
    }

    /// A group of an older cohort: one without properties counts events or actions.
    fn older(&mut self, group: &Value) {
        match group.get("properties") {
            Some(Value::Array(properties)) => properties.iter().for_each(|p| self.walk(p)),
            Some(Value::Object(_)) => {}
            _ => self.has_events = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_and_events_are_found_at_any_depth() {
        let cohort = |id: Value| json!({"type": "cohort", "key": "id", "value": id});
        let nested = json!({"properties": {"type": "OR", "values": [
            {"type": "AND", "values": [cohort(json!(3)), cohort(json!("5")), cohort(json!("x"))]},
            cohort(json!(3)),
        ]}});
        let behaviour = json!({"properties": {"type": "AND", "values": [
            {"type": "property", "values": [{"type": "behavioral", "value": "performed_event"}]}]}});
        let older =
            json!({"groups": [{"properties": [cohort(json!(2))]}, {"properties": {"a": 1}}]});
        let counting = json!({"groups": [{"event_id": "$pageview", "days": 7}]});
        let cases = [
            (nested, vec![3, 5], false),
            (behaviour, vec![], true),
            (older, vec![2], false),
            (counting, vec![], true),
            (json!({}), vec![], false),
            (json!([1]), vec![], false),
        ];
        for (filters, cohorts, has_events) in cases {
            assert_eq!(Criteria::of(&filters), Criteria { cohorts, has_events }, "{filters}");
        }
    }
}
