//! Flags and conditions tried out, over gRPC.

use tonic::{Request, Response};

use super::{Answer, Grpc, caller, project};
use crate::wire::{
    convert,
    v1::{
        GetUserBlastRadiusRequest, GetUserBlastRadiusResponse, TestEvaluationRequest,
        TestEvaluationResponse,
    },
};

pub(super) async fn test(
    grpc: &Grpc,
    request: Request<TestEvaluationRequest>,
) -> Answer<TestEvaluationResponse> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let (project, id) = (project(&request.project_id)?, request.id);
    let body = convert::test_body(request);
    let tested = grpc.0.test_evaluation(&caller, &project, id, &body).await?;
    Ok(Response::new(convert::tested(tested)))
}

pub(super) async fn blast_radius(
    grpc: &Grpc,
    request: Request<GetUserBlastRadiusRequest>,
) -> Answer<GetUserBlastRadiusResponse> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let project = project(&request.project_id)?;
    let body = convert::reach_body(request)?;
    let reach = grpc.0.blast_radius(&caller, &project, &body).await?;
    Ok(Response::new(convert::reach(reach)))
}
