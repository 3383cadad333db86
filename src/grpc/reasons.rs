//! Why flags are what they are, over gRPC.

use std::collections::BTreeMap;

use serde_json::json;
use tonic::{Request, Response};

use super::{Answer, Grpc, caller, project};
use crate::{
    model::json::Object,
    service::{
        page::Wanted,
        reasons::{FlagReason, MyFlag},
    },
    wire::{
        convert,
        v1::{
            FlagValueEvaluation, FlagValueReason, GetEvaluationReasonsRequest,
            GetEvaluationReasonsResponse, ListMyFlagsRequest, ListMyFlagsResponse,
            MyFlag as MyFlagMessage,
        },
    },
};

const A_PAGE: u64 = 100;

pub(super) async fn reasons(
    grpc: &Grpc,
    request: Request<GetEvaluationReasonsRequest>,
) -> Answer<GetEvaluationReasonsResponse> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let mut sent = groups(request.groups);
    sent.insert("distinct_id".into(), request.distinct_id.into());
    sent.insert("flag_keys".into(), json!(request.flag_keys));
    let project = project(&request.project_id)?;
    let reasons = grpc.0.evaluation_reasons(&caller, &project, &sent).await?;
    let reasons = reasons.into_iter().map(told).collect();
    Ok(Response::new(GetEvaluationReasonsResponse { reasons }))
}

fn told(flag: FlagReason) -> (String, FlagValueReason) {
    let evaluation = FlagValueEvaluation {
        reason: flag.reason.to_owned(),
        condition_index: flag.condition_index.and_then(|index| i32::try_from(index).ok()),
        description: flag.description,
    };
    let value = Some(convert::value(&flag.value));
    (flag.key, FlagValueReason { value, evaluation: Some(evaluation) })
}

pub(super) async fn my_flags(
    grpc: &Grpc,
    request: Request<ListMyFlagsRequest>,
) -> Answer<ListMyFlagsResponse> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let wanted = Wanted::by_token(request.page_size, &request.page_token, A_PAGE)?;
    let (project, sent) = (project(&request.project_id)?, groups(request.groups));
    let page = grpc.0.my_flags(&caller, &project, &sent, wanted).await?;
    let mine = |MyFlag { flag, value }| MyFlagMessage {
        feature_flag: Some(convert::minimal_flag(flag)),
        value: Some(convert::value(&value)),
    };
    Ok(Response::new(ListMyFlagsResponse {
        next_page_token: page.next_token(),
        total_size: page.total,
        results: page.results.into_iter().map(mine).collect(),
    }))
}

fn groups(groups: BTreeMap<String, String>) -> Object {
    Object::from_iter([("groups".to_owned(), json!(groups))])
}
