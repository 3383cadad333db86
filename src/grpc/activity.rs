//! The activity log over gRPC.

use tonic::{Request, Response};

use super::{Answer, Grpc, caller, project};
use crate::{
    model::error::{Error, Result},
    service::activity::{WantedRows, start},
    wire::{
        convert,
        v1::{
            ListActivityRequest, ListActivityResponse, ListFeatureFlagActivityRequest,
            ListFeatureFlagActivityResponse,
        },
    },
};

const A_PAGE: u64 = 10;

pub(super) async fn of_project(
    grpc: &Grpc,
    request: Request<ListActivityRequest>,
) -> Answer<ListActivityResponse> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let (start, limit) = (start(&request.page_token)?, limit(request.page_size)?);
    let project = project(&request.project_id)?;
    let filter = convert::activity_filter(request);
    let wanted = WantedRows { flag_id: None, filter: &filter, start, limit, may_shorten: true };
    let rows = grpc.0.activity(&caller, &project, wanted).await?.into_page().await?;
    Ok(Response::new(ListActivityResponse {
        next_page_token: rows.next_token(),
        total_size: rows.total,
        results: rows.results.into_iter().map(convert::activity).collect(),
    }))
}

pub(super) async fn of_flag(
    grpc: &Grpc,
    request: Request<ListFeatureFlagActivityRequest>,
) -> Answer<ListFeatureFlagActivityResponse> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let (start, limit) = (start(&request.page_token)?, limit(request.page_size)?);
    let (project, flag_id) = (project(&request.project_id)?, Some(request.id));
    let filter = convert::flag_activity_filter(request);
    let wanted = WantedRows { flag_id, filter: &filter, start, limit, may_shorten: true };
    let rows = grpc.0.activity(&caller, &project, wanted).await?.into_page().await?;
    Ok(Response::new(ListFeatureFlagActivityResponse {
        next_page_token: rows.next_token(),
        total_size: rows.total,
        results: rows.results.into_iter().map(convert::activity).collect(),
    }))
}

fn limit(page_size: i32) -> Result<u64> {
    match u64::try_from(page_size) {
        Ok(0) => Ok(A_PAGE),
        Ok(size) => Ok(size),
        Err(_) => {
            let detail = "Ensure this value is greater than or equal to 0.";
            Err(Error::field("page_size", "min_value", detail))
        }
    }
}
