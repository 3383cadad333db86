//! Flags tried out on somebody, down either edge, as REST shapes the answer.

use flagstaff::wire::v1::{
    ConditionEvaluation, PropertyEvaluation, PropertyOperator, PropertyType, TestEvaluationRequest,
    TestEvaluationResponse,
};
use http::Method;
use prost_types::value::Kind;
use serde_json::{Value, json};

use super::{
    FLAGS, Service,
    edges::{Edge, Failure},
};

impl Service {
    /// Tries a flag out with a credential; `None` where a message cannot say the body.
    pub(crate) async fn tried_as(
        &self,
        edge: Edge,
        key: &str,
        id: i64,
        body: &Value,
    ) -> Option<Result<Value, Failure>> {
        if edge == Edge::Rest {
            let path = format!("{FLAGS}{id}/test_evaluation/");
            let answer = self.call(Method::POST, &path, Some(key), Some(body)).await;
            return Some(match answer.status {
                200 => Ok(answer.json()),
                status => Err(Failure::of_rest(status, &answer.json())),
            });
        }
        let request = message(id, body)?;
        let answer = self.flags_as(Some(key)).test_evaluation(request).await;
        Some(match answer {
            Ok(answer) => Ok(shown(answer.into_inner())),
            Err(status) => Err(Failure::of_grpc(&status)),
        })
    }

    /// Tries a flag out with the admin's key, which must succeed.
    pub(crate) async fn tried(&self, edge: Edge, id: i64, body: &Value) -> Value {
        let tried = self.tried_as(edge, &self.key, id, body).await;
        tried.expect("a message can say it").unwrap_or_else(|failure| panic!("{body}: {failure:?}"))
    }
}

/// A body as a message.
fn message(id: i64, body: &Value) -> Option<TestEvaluationRequest> {
    let mut request = TestEvaluationRequest { id, ..Default::default() };
    for (name, value) in body.as_object()? {
        match name.as_str() {
            "distinct_id" => request.distinct_id = Some(value.as_str()?.to_owned()),
            "person_id" => request.person_id = Some(value.as_str()?.to_owned()),
            "timestamp" => request.timestamp = Some(value.as_str()?.parse().ok()?),
            "groups" => {
                let text =
                    |(kind, key): (&String, &Value)| Some((kind.clone(), key.as_str()?.to_owned()));
                request.groups = value.as_object()?.iter().map(text).collect::<Option<_>>()?;
            }
            _ => return None,
        }
    }
    Some(request)
}

fn shown(answer: TestEvaluationResponse) -> Value {
    let result = match answer.result.unwrap().kind.unwrap() {
        Kind::BoolValue(value) => json!(value),
        Kind::StringValue(value) => json!(value),
        other => panic!("{other:?}"),
    };
    let properties: Value = serde_json::from_str(&answer.person_properties_json).unwrap();
    let typed = answer.person_properties.unwrap().fields;
    assert_eq!(typed.len(), properties.as_object().unwrap().len());
    json!({
        "flag_key": answer.flag_key,
        "result": result,
        "reason": answer.reason,
        "condition_index": answer.condition_index,
        "payload": answer.payload,
        "person_properties": properties,
        "evaluation_distinct_id": answer.evaluation_distinct_id,
        "conditions": answer.conditions.into_iter().map(condition).collect::<Vec<_>>(),
        "reason_description": answer.reason_description.unwrap(),
    })
}

fn condition(condition: ConditionEvaluation) -> Value {
    json!({
        "index": condition.index,
        "matched": condition.matched,
        "properties_matched": condition.properties_matched,
        "explanation": condition.explanation,
        "rollout_percentage": condition.rollout_percentage,
        "rollout_excluded": condition.rollout_excluded,
        "variant": condition.variant,
        "properties": condition.properties.into_iter().map(property).collect::<Vec<_>>(),
    })
}

fn property(property: PropertyEvaluation) -> Value {
    let name = |text: &str, prefix: &str| text.strip_prefix(prefix).unwrap().to_lowercase();
    let operator = PropertyOperator::try_from(property.operator).unwrap();
    let kind = PropertyType::try_from(property.r#type).unwrap();
    let exact = |text: Option<String>| -> Value {
        text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    };
    json!({
        "key": property.key,
        "operator": name(operator.as_str_name(), "PROPERTY_OPERATOR_"),
        "value": exact(property.value_json),
        "type": name(kind.as_str_name(), "PROPERTY_TYPE_"),
        "actual_value": exact(property.actual_value_json),
        "matched": property.matched,
        "explanation": property.explanation,
    })
}
