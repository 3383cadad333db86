//! `EvaluationService`: what flags are for a subject. Those calls whose
//! answers hold flags are served by `direct`.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;
use tonic::{Request, Response, Status, codegen::BoxStream};
use uuid::Uuid;

use super::{Answer, Grpc, OverWeb, caller, framed, project, required, watch};
use crate::{
    auth::Identity,
    engine::{Evaluation, Properties, RequestRuntime},
    model::error::{Error, Result},
    sdk::feed::Form,
    service::{
        batch::Batch,
        evaluation::{self, Asked, Scene},
    },
    wire::{
        convert::{self, object_from_struct},
        v1::{
            BatchEvaluateFlagsRequest, EvaluateFlagRequest, EvaluateFlagsRequest,
            EvaluationSubject, GetFlagDefinitionsRequest, GetFlagDefinitionsResponse,
            WatchFlagsRequest, WatchFlagsResponse, evaluation_service_server::EvaluationService,
        },
        written::{self, Stamp, Written},
    },
};

#[tonic::async_trait]
impl EvaluationService for Grpc {
    async fn watch_flags(
        &self,
        request: Request<WatchFlagsRequest>,
    ) -> Result<Response<BoxStream<WatchFlagsResponse>>, Status> {
        let caller = caller(&request)?;
        let WatchFlagsRequest { project_id, from_revision, history_token } = request.into_inner();
        let from = convert::watch_position(from_revision, history_token.as_deref())?;
        let watch = self.0.watch(&caller, &project(&project_id)?, from).await?;
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

pub(super) async fn flags(
    grpc: Arc<Grpc>,
    identity: Identity,
    request: Request<EvaluateFlagsRequest>,
) -> Answer<Written> {
    let Grpc(services) = &*grpc;
    let (caller, implied) = (identity.caller()?, implied_runtime(&request));
    let request_id = request_id(&request);
    let request = request.into_inner();
    let snapshot = services.evaluated(&caller, &project(&request.project_id)?).await?;
    let asked = asked(required(request.subject, "subject")?)?;
    let scene = Scene {
        flag_keys: (!request.flag_keys.is_empty()).then_some(request.flag_keys),
        only_sent_properties: request.only_use_override_person_properties,
        ..scene(request.evaluation_contexts, request.evaluation_runtime, implied)
    };
    let evaluation = services.evaluate(&snapshot, &asked, &scene).await;
    let stamp = Stamp { request_id, evaluated_at: services.clock.now() };
    Ok(Response::new(written::flags(&evaluation, stamp)))
}

pub(super) async fn flag(
    grpc: Arc<Grpc>,
    identity: Identity,
    request: Request<EvaluateFlagRequest>,
) -> Answer<Written> {
    let Grpc(services) = &*grpc;
    let (caller, implied) = (identity.caller()?, implied_runtime(&request));
    let request_id = request_id(&request);
    let request = request.into_inner();
    let snapshot = services.evaluated(&caller, &project(&request.project_id)?).await?;
    let asked = asked(required(request.subject, "subject")?)?;
    let scene = Scene {
        only_sent_properties: request.only_use_override_person_properties,
        ..scene(request.evaluation_contexts, request.evaluation_runtime, implied)
    };
    if request.flag_key.is_empty() {
        return Err(Error::field("flag_key", "required", "This field is required.").into());
    }
    let outcome = services.evaluate_one(&snapshot, request.flag_key, &asked, &scene).await;
    let stamp = Stamp { request_id, evaluated_at: services.clock.now() };
    Ok(Response::new(written::flag(&outcome.ok_or_else(Error::not_found)?, stamp)))
}

pub(super) async fn batch(
    grpc: Arc<Grpc>,
    identity: Identity,
    request: Request<BatchEvaluateFlagsRequest>,
) -> Answer<BoxStream<Written>> {
    let Grpc(services) = &*grpc;
    let (caller, implied) = (identity.caller()?, implied_runtime(&request));
    let request_id = request_id(&request);
    let request = request.into_inner();
    let snapshot = services.evaluated(&caller, &project(&request.project_id)?).await?;
    let scene = Scene {
        flag_keys: (!request.flag_keys.is_empty()).then_some(request.flag_keys),
        only_sent_properties: request.only_use_override_person_properties,
        ..scene(request.evaluation_contexts, request.evaluation_runtime, implied)
    };
    let subjects: Vec<_> = request.subjects.into_iter().map(asked).collect::<Result<_>>()?;
    let more = subjects.len().saturating_sub(1);
    let batch = services.batch(snapshot, subjects, scene)?;
    services.charge_evaluations(&caller, more);
    Ok(Response::new(futures::stream::unfold((batch, request_id), answered).boxed()))
}

/// The next answer of a batch, evaluated when the caller has room for it.
async fn answered(
    (mut batch, request_id): (Batch, Uuid),
) -> Option<(Result<Written, Status>, (Batch, Uuid))> {
    let stamp = Stamp { request_id, evaluated_at: batch.now() };
    let answer = |at: usize, asked: &Asked, evaluation: Evaluation<'_>| {
        written::of_batch(at, &asked.distinct_id, &evaluation, stamp)
    };
    let answer = batch.next(answer).await?;
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
        switched_off_by_key: true,
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
