//! A flag tried out on one person, in both directions.

use serde_json::{Value, json};

use super::{
    filters::{known_operator, known_type},
    values::{instant_text, to_struct, to_wire},
};
use crate::{
    model::{
        json::Object,
        test_evaluation::{Tested, TestedCondition, TestedProperty},
    },
    wire::v1::{
        ConditionEvaluation, PropertyEvaluation, TestEvaluationRequest, TestEvaluationResponse,
    },
};

/// The question as the body that REST would bring.
#[must_use]
pub fn test_body(request: TestEvaluationRequest) -> Object {
    let mut body = Object::new();
    body.extend(request.distinct_id.map(|id| ("distinct_id".into(), id.into())));
    body.extend(request.person_id.map(|id| ("person_id".into(), id.into())));
    body.extend(request.timestamp.map(|at| ("timestamp".into(), instant_text(at))));
    body.insert("groups".into(), json!(request.groups));
    body
}

/// The answer as a message.
#[must_use]
pub fn tested(tested: Tested) -> TestEvaluationResponse {
    TestEvaluationResponse {
        flag_key: tested.flag_key,
        result: Some(to_wire(&tested.result)),
        reason: tested.reason.to_owned(),
        condition_index: tested.condition_index.and_then(|index| i32::try_from(index).ok()),
        payload: tested.payload,
        person_properties: Some(to_struct(&tested.person_properties)),
        person_properties_json: Value::Object(tested.person_properties).to_string(),
        evaluation_distinct_id: tested.evaluation_distinct_id,
        conditions: tested.conditions.into_iter().map(condition).collect(),
        reason_description: Some(tested.reason_description),
    }
}

fn condition(condition: TestedCondition) -> ConditionEvaluation {
    ConditionEvaluation {
        index: i32::try_from(condition.index).unwrap_or(i32::MAX),
        matched: condition.matched,
        properties_matched: condition.properties_matched,
        explanation: condition.explanation,
        rollout_percentage: condition.rollout_percentage,
        rollout_excluded: condition.rollout_excluded,
        variant: condition.variant,
        properties: condition.properties.into_iter().map(property).collect(),
    }
}

fn property(property: TestedProperty) -> PropertyEvaluation {
    let value = (!property.value.is_null()).then_some(&property.value);
    PropertyEvaluation {
        operator: known_operator(&property.operator).unwrap_or_default().into(),
        value: value.map(to_wire),
        r#type: known_type(property.kind).unwrap_or_default().into(),
        actual_value: property.actual_value.as_ref().map(to_wire),
        matched: property.matched,
        explanation: property.explanation,
        value_json: value.map(Value::to_string),
        actual_value_json: property.actual_value.map(|value| value.to_string()),
        key: property.key,
    }
}
