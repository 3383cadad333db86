//! Persons, groups and cohorts on their way out to gRPC, and wanted cohorts on
//! their way in: as the JSON object that a REST body holds.

use prost_types::{FieldMask, Struct};
use serde_json::Value;

use super::{
    input::one_of,
    mask::{Field, masked},
    values::{object_from_struct, timestamp, to_struct},
};
use crate::{
    model::{self, cohort::write::CohortWrite, error::Result, write::Method},
    wire::v1::{Cohort, CohortInput, Group, GroupType, GroupTypeInput, Person},
};

/// A person as a message.
#[must_use]
pub fn person(person: model::person::Person) -> Person {
    Person {
        id: person.id,
        uuid: person.uuid.to_string(),
        distinct_ids: person.distinct_ids,
        properties: Some(object(&person.properties)),
        properties_json: person.properties.to_string(),
        created_at: Some(timestamp(person.created_at)),
    }
}

/// A cohort as a message.
#[must_use]
pub fn cohort(cohort: model::cohort::Cohort) -> Cohort {
    Cohort {
        id: cohort.id,
        name: cohort.name,
        description: cohort.description,
        is_static: cohort.is_static,
        filters: Some(object(&cohort.filters)),
        filters_json: cohort.filters.to_string(),
        count: cohort.count,
        deleted: cohort.deleted,
        created_at: Some(timestamp(cohort.created_at)),
    }
}

/// A group type as a message.
#[must_use]
pub fn group_type(kind: model::group::GroupType) -> GroupType {
    GroupType {
        group_type_index: kind.index,
        group_type: kind.name,
        name_singular: kind.name_singular,
        name_plural: kind.name_plural,
    }
}

/// Reads an update of a group type: what the mask names, or, without a mask, the fields that are
/// set.
///
/// # Errors
///
/// `Invalid` on `update_mask` for a nested path or a name that no field has.
pub fn updated_group_type(
    input: Option<GroupTypeInput>,
    mask: Option<FieldMask>,
) -> Result<model::json::Object> {
    let input = input.unwrap_or_default();
    let fields: [Field; 2] = [
        ("name_singular", "name_singular", input.name_singular.map(Value::from)),
        ("name_plural", "name_plural", input.name_plural.map(Value::from)),
    ];
    let (mut body, is_put) = masked(&fields, mask)?;
    if is_put {
        for (_, name, _) in &fields {
            body.entry((*name).to_owned()).or_insert(Value::Null);
        }
    }
    Ok(body)
}

/// A group as a message.
#[must_use]
pub fn group(group: model::group::Group) -> Group {
    Group {
        group_type_index: group.type_index,
        group_key: group.key,
        properties: Some(object(&group.properties)),
        properties_json: group.properties.to_string(),
        created_at: Some(timestamp(group.created_at)),
    }
}

fn object(value: &Value) -> Struct {
    value.as_object().map(to_struct).unwrap_or_default()
}

/// Reads a creation: the fields that are set.
///
/// # Errors
///
/// `Invalid` on the field that holds something JSON cannot say, or comes twice.
pub fn created_cohort(input: Option<CohortInput>) -> Result<CohortWrite> {
    let write = updated_cohort(input, None)?;
    Ok(CohortWrite { method: Method::Create, ..write })
}

/// Reads an update: what the mask names, or, without a mask, the fields that are set.
///
/// # Errors
///
/// As [`created_cohort`], and `Invalid` on `update_mask` for a nested path or a name that no
/// field has.
pub fn updated_cohort(input: Option<CohortInput>, mask: Option<FieldMask>) -> Result<CohortWrite> {
    let input = input.unwrap_or_default();
    let is_typed = input.filters.is_some();
    let filters = input.filters.map(|filters| object_from_struct(filters, "filters"));
    let filters = filters.transpose()?.map(Value::Object);
    let fields: [Field; 5] = [
        ("name", "name", input.name.map(Value::from)),
        ("description", "description", input.description.map(Value::from)),
        ("is_static", "is_static", input.is_static.map(Value::from)),
        ("filters", "filters", one_of("filters", filters, input.filters_json)?),
        ("deleted", "deleted", input.deleted.map(Value::from)),
    ];
    let (body, is_put) = masked(&fields, mask)?;
    let method = if is_put { Method::Put } else { Method::Patch };
    Ok(CohortWrite { body, method, is_typed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_come_typed_or_as_text_and_never_both() {
        let text = CohortInput {
            filters_json: Some(r#"{"properties": {"n": 1.50}}"#.into()),
            ..Default::default()
        };
        let write = created_cohort(Some(text.clone())).unwrap();
        assert_eq!(write.body["filters"].to_string(), r#"{"properties":{"n":1.50}}"#);
        assert!(!write.is_typed && write.method == Method::Create);
        let both = CohortInput { filters: Some(Struct::default()), ..text };
        assert_eq!(created_cohort(Some(both)).unwrap_err().attr.as_deref(), Some("filters"));
    }

    #[test]
    fn a_mask_says_what_is_meant() {
        let mask = |path: &str| Some(FieldMask { paths: vec![path.into()] });
        let named = || Some(CohortInput { name: Some("x".into()), ..Default::default() });
        let write = updated_cohort(named(), mask("filters_json")).unwrap();
        assert_eq!(Value::Object(write.body), serde_json::json!({"filters": null}));
        assert_eq!(updated_cohort(named(), mask("*")).unwrap().method, Method::Put);
        for path in ["filters.properties", "count"] {
            let error = updated_cohort(named(), mask(path)).unwrap_err();
            assert_eq!(error.attr.as_deref(), Some("update_mask"), "{path}");
        }
    }
}
