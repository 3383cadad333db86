//! A flag's versions over gRPC.

use tonic::{Request, Response};

use super::{Answer, Grpc, caller, project};
use crate::{
    model::json::Object,
    service::page::Wanted,
    wire::{
        convert,
        v1::{
            GetFeatureFlagVersionRequest, GetFeatureFlagVersionResponse,
            ListFeatureFlagVersionsRequest, ListFeatureFlagVersionsResponse,
            RestoreFeatureFlagVersionRequest, RestoreFeatureFlagVersionResponse,
        },
    },
};

const A_PAGE: u64 = 100;

pub(super) async fn get(
    grpc: &Grpc,
    request: Request<GetFeatureFlagVersionRequest>,
) -> Answer<GetFeatureFlagVersionResponse> {
    let caller = caller(&request)?;
    let GetFeatureFlagVersionRequest { project_id, id, version_number } = request.into_inner();
    let wanted = version_number.into();
    let version = grpc.0.flag_version(&caller, &project(&project_id)?, id, wanted).await?;
    let version = Some(convert::version(version));
    Ok(Response::new(GetFeatureFlagVersionResponse { version }))
}

pub(super) async fn list(
    grpc: &Grpc,
    request: Request<ListFeatureFlagVersionsRequest>,
) -> Answer<ListFeatureFlagVersionsResponse> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let wanted = Wanted::by_token(request.page_size, &request.page_token, A_PAGE)?;
    let project = project(&request.project_id)?;
    let page = grpc.0.flag_versions(&caller, &project, request.id, wanted).await?;
    Ok(Response::new(ListFeatureFlagVersionsResponse {
        next_page_token: page.next_token(),
        total_size: page.total,
        results: page.results.into_iter().map(convert::version_summary).collect(),
    }))
}

pub(super) async fn restore(
    grpc: &Grpc,
    request: Request<RestoreFeatureFlagVersionRequest>,
) -> Answer<RestoreFeatureFlagVersionResponse> {
    let caller = caller(&request)?;
    let RestoreFeatureFlagVersionRequest { project_id, id, version_number } = request.into_inner();
    let body = Object::from_iter([("version".to_owned(), version_number.into())]);
    let flag = grpc.0.restore_flag_version(&caller, &project(&project_id)?, id, &body).await?;
    let feature_flag = Some(convert::flag(flag));
    Ok(Response::new(RestoreFeatureFlagVersionResponse { feature_flag }))
}
