//! `EvaluationService`: what flags are for a subject.

use std::collections::BTreeMap;

use futures::StreamExt;
use serde_json::Value;
use tonic::{Request, Response, Status, codegen::BoxStream};
use uuid::Uuid;

use super::{Grpc, OverWeb, caller, framed, project, required, watch};
use crate::{
    engine::{Evaluation, Outcome, Properties, RequestRuntime},
    model::error::{Error, Result},
    sdk::feed::Form,
    service::{
        batch::Batch,
        evaluation::{self, Asked, Scene},
    },
    wire::{
        convert::{object_from_struct, timestamp},
        v1::{
            BatchEvaluateFlagsRequest, BatchEvaluateFlagsResponse, EvaluateFlagRequest,
            EvaluateFlagResponse, EvaluateFlagsRequest, EvaluateFlagsResponse, EvaluatedFlag,
            EvaluationReason, EvaluationSubject, FlagMetadata, GetFlagDefinitionsRequest,
            GetFlagDefinitionsResponse, WatchFlagsRequest, WatchFlagsResponse,
            evaluation_service_server::EvaluationService,
        },
    },
};

#[tonic::async_trait]
impl EvaluationService for Grpc {
    async fn evaluate_flags(
        &self,
        request: Request<EvaluateFlagsRequest>,
    ) -> Result<Response<EvaluateFlagsResponse>, Status> {
        let (caller, implied) = (caller(&request)?, implied_runtime(&request));
        let request_id = request_id(&request);
        let request = request.into_inner();
        let snapshot = self.0.evaluated(&caller, &project(&request.project_id)?).await?;
        let asked = asked(required(request.subject, "subject")?)?;
        let scene = Scene {
            flag_keys: (!request.flag_keys.is_empty()).then_some(request.flag_keys),
            only_sent_properties: request.only_use_override_person_properties,
            ..scene(request.evaluation_contexts, request.evaluation_runtime, implied)
        };
        let evaluation = self.0.evaluate(&snapshot, &asked, &scene).await;
        Ok(Response::new(EvaluateFlagsResponse {
            errors_while_computing_flags: evaluation.errors_while_computing,
            flags: by_key(evaluation),
            request_id: request_id.to_string(),
            evaluated_at: Some(timestamp(self.0.clock.now())),
            quota_limited: Vec::new(),
        }))
    }

    async fn batch_evaluate_flags(
        &self,
        request: Request<BatchEvaluateFlagsRequest>,
    ) -> Result<Response<BoxStream<BatchEvaluateFlagsResponse>>, Status> {
        let (caller, implied) = (caller(&request)?, implied_runtime(&request));
        let request_id = request_id(&request).to_string();
        let request = request.into_inner();
        let snapshot = self.0.evaluated(&caller, &project(&request.project_id)?).await?;
        let scene = Scene {
            flag_keys: (!request.flag_keys.is_empty()).then_some(request.flag_keys),
            only_sent_properties: request.only_use_override_person_properties,
            ..scene(request.evaluation_contexts, request.evaluation_runtime, implied)
        };
        let subjects = request.subjects.into_iter().map(asked).collect::<Result<_>>()?;
        let batch = self.0.batch(snapshot, subjects, scene)?;
        Ok(Response::new(futures::stream::unfold((batch, request_id), answered).boxed()))
    }

    async fn evaluate_flag(
        &self,
        request: Request<EvaluateFlagRequest>,
    ) -> Result<Response<EvaluateFlagResponse>, Status> {
        let (caller, implied) = (caller(&request)?, implied_runtime(&request));
        let request_id = request_id(&request);
        let request = request.into_inner();
        let snapshot = self.0.evaluated(&caller, &project(&request.project_id)?).await?;
        let asked = asked(required(request.subject, "subject")?)?;
        let scene = Scene {
            only_sent_properties: request.only_use_override_person_properties,
            ..scene(request.evaluation_contexts, request.evaluation_runtime, implied)
        };
        if request.flag_key.is_empty() {
            return Err(Error::field("flag_key", "required", "This field is required.").into());
        }
        let outcome = self.0.evaluate_one(&snapshot, &request.flag_key, &asked, &scene).await;
        Ok(Response::new(EvaluateFlagResponse {
            flag: Some(evaluated(outcome.ok_or_else(Error::not_found)?)),
            request_id: request_id.to_string(),
            evaluated_at: Some(timestamp(self.0.clock.now())),
        }))
    }

    async fn watch_flags(
        &self,
        request: Request<WatchFlagsRequest>,
    ) -> Result<Response<BoxStream<WatchFlagsResponse>>, Status> {
        let caller = caller(&request)?;
        let WatchFlagsRequest { project_id, from_revision } = request.into_inner();
        let watch = self.0.watch(&caller, &project(&project_id)?, from_revision).await?;
        Ok(framed::response(watch::frames(watch, self.0.clock.clone())))
    }

    async fn get_flag_definitions(
        &self,
        request: Request<GetFlagDefinitionsRequest>,
    ) -> Result<Response<GetFlagDefinitionsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let (project, held) = (project(&request.project_id)?, request.if_none_match.as_deref());
        let given = self.definitions(&caller, &project, Form::WithCohorts, held).await?;
        Ok(Response::new(given))
    }
}

/// The next answer of a batch, evaluated when the caller has room for it.
async fn answered(
    (mut batch, request_id): (Batch, String),
) -> Option<(Result<BatchEvaluateFlagsResponse, Status>, (Batch, String))> {
    let answer =
        |at: usize, asked: &Asked, evaluation: Evaluation<'_>| BatchEvaluateFlagsResponse {
            index: i32::try_from(at).unwrap_or(i32::MAX),
            distinct_id: asked.distinct_id.clone(),
            errors_while_computing_flags: evaluation.errors_while_computing,
            flags: by_key(evaluation),
            request_id: request_id.clone(),
            evaluated_at: None,
            quota_limited: Vec::new(),
        };
    let mut answer = batch.next(answer).await?;
    answer.evaluated_at = Some(timestamp(batch.now()));
    Some((Ok(answer), (batch, request_id)))
}

/// Without other word, gRPC is spoken by servers and gRPC-web by browsers (architecture 2).
fn implied_runtime<T>(request: &Request<T>) -> &'static str {
    if request.extensions().get::<OverWeb>().is_some() { "client" } else { "server" }
}

fn request_id<T>(request: &Request<T>) -> Uuid {
    evaluation::request_id(request.metadata().get("x-request-id").and_then(|id| id.to_str().ok()))
}

fn scene(contexts: Vec<String>, runtime: Option<String>, implied: &str) -> Scene {
    Scene {
        evaluation_contexts: contexts,
        runtime: RequestRuntime::stated(runtime.as_deref().unwrap_or(implied)),
        ..Scene::default()
    }
}

fn asked(subject: EvaluationSubject) -> Result<Asked> {
    if subject.distinct_id.is_empty() {
        return Err(Error::field("distinct_id", "blank", "This field may not be blank."));
    }
    let person = subject.person_properties.unwrap_or_default();
    let group_properties = subject.group_properties.into_iter().map(|(kind, properties)| {
        Ok((kind, Value::Object(object_from_struct(properties, "group_properties")?)))
    });
    Ok(Asked {
        distinct_id: subject.distinct_id,
        anon_distinct_id: subject.anon_distinct_id,
        device_id: subject.device_id,
        person_properties: object_from_struct(person, "person_properties")?,
        groups: subject.groups.into_iter().map(|(kind, key)| (kind, key.into())).collect(),
        group_properties: group_properties.collect::<Result<Properties>>()?,
    })
}

fn by_key(evaluation: Evaluation<'_>) -> BTreeMap<String, EvaluatedFlag> {
    let flag = |outcome: Outcome<'_>| (outcome.flag.key().to_owned(), evaluated(outcome));
    evaluation.outcomes.into_iter().map(flag).collect()
}

fn evaluated(outcome: Outcome<'_>) -> EvaluatedFlag {
    let flag = outcome.flag;
    EvaluatedFlag {
        key: flag.key().to_owned(),
        enabled: outcome.enabled,
        variant: outcome.variant.map(str::to_owned),
        reason: Some(EvaluationReason {
            code: outcome.reason.code().to_owned(),
            condition_index: outcome.condition_index.and_then(|index| i32::try_from(index).ok()),
            description: outcome.description().into_owned(),
        }),
        metadata: Some(FlagMetadata {
            id: flag.id(),
            version: flag.version().unwrap_or_default(),
            description: None,
            payload: outcome.payload.map(str::to_owned),
            has_experiment: flag.has_experiment(),
        }),
        failed: outcome.failed,
    }
}
