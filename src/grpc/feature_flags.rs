//! `FeatureFlagService`: the documented operations on flags.

use tonic::{Request, Response, Status};

use super::{Grpc, caller, project};
use crate::{
    service::{flags::Update, page::Wanted},
    wire::{
        convert,
        v1::{
            CreateFeatureFlagRequest, CreateFeatureFlagResponse, DeleteFeatureFlagRequest,
            DeleteFeatureFlagResponse, GetFeatureFlagRequest, GetFeatureFlagResponse,
            ListActivityRequest, ListActivityResponse, ListFeatureFlagActivityRequest,
            ListFeatureFlagActivityResponse, ListFeatureFlagsRequest, ListFeatureFlagsResponse,
            UpdateFeatureFlagRequest, UpdateFeatureFlagResponse,
            feature_flag_service_server::FeatureFlagService,
        },
    },
};

const FLAGS_A_PAGE: u64 = 100;
const ROWS_A_PAGE: u64 = 10;

#[tonic::async_trait]
impl FeatureFlagService for Grpc {
    async fn list_feature_flags(
        &self,
        request: Request<ListFeatureFlagsRequest>,
    ) -> Result<Response<ListFeatureFlagsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let wanted = Wanted::by_token(request.page_size, &request.page_token, FLAGS_A_PAGE)?;
        let page = self.0.list_flags(&caller, &project(&request.project_id)?, wanted).await?;
        Ok(Response::new(ListFeatureFlagsResponse {
            next_page_token: page.next_token(),
            total_size: page.total,
            results: page.results.into_iter().map(convert::flag).collect(),
        }))
    }

    async fn create_feature_flag(
        &self,
        request: Request<CreateFeatureFlagRequest>,
    ) -> Result<Response<CreateFeatureFlagResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let project = project(&request.project_id)?;
        let input = convert::created(request.feature_flag)?;
        let flag = self.0.create_flag(&caller, &project, &input.body).await?;
        let feature_flag = Some(convert::flag(flag));
        Ok(Response::new(CreateFeatureFlagResponse { feature_flag }))
    }

    async fn get_feature_flag(
        &self,
        request: Request<GetFeatureFlagRequest>,
    ) -> Result<Response<GetFeatureFlagResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let flag = self.0.get_flag(&caller, &project(&request.project_id)?, request.id).await?;
        let feature_flag = Some(convert::flag(flag));
        Ok(Response::new(GetFeatureFlagResponse { feature_flag }))
    }

    async fn update_feature_flag(
        &self,
        request: Request<UpdateFeatureFlagRequest>,
    ) -> Result<Response<UpdateFeatureFlagResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let project = project(&request.project_id)?;
        let input = convert::updated(request.feature_flag, request.update_mask)?;
        let update =
            Update { id: request.id, body: input.body, method: input.method, typed: input.typed };
        let flag = self.0.update_flag(&caller, &project, update).await?;
        let feature_flag = Some(convert::flag(flag));
        Ok(Response::new(UpdateFeatureFlagResponse { feature_flag }))
    }

    async fn delete_feature_flag(
        &self,
        request: Request<DeleteFeatureFlagRequest>,
    ) -> Result<Response<DeleteFeatureFlagResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let flag = self.0.delete_flag(&caller, &project(&request.project_id)?, request.id).await?;
        let feature_flag = Some(convert::flag(flag));
        Ok(Response::new(DeleteFeatureFlagResponse { feature_flag }))
    }

    async fn list_activity(
        &self,
        request: Request<ListActivityRequest>,
    ) -> Result<Response<ListActivityResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let wanted = Wanted::by_token(request.page_size, &request.page_token, ROWS_A_PAGE)?;
        let page = self.0.activity(&caller, &project(&request.project_id)?, None, wanted).await?;
        Ok(Response::new(ListActivityResponse {
            next_page_token: page.next_token(),
            total_size: page.total,
            results: page.results.into_iter().map(convert::activity).collect(),
        }))
    }

    async fn list_feature_flag_activity(
        &self,
        request: Request<ListFeatureFlagActivityRequest>,
    ) -> Result<Response<ListFeatureFlagActivityResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let wanted = Wanted::by_token(request.page_size, &request.page_token, ROWS_A_PAGE)?;
        let project = project(&request.project_id)?;
        let page = self.0.activity(&caller, &project, Some(request.id), wanted).await?;
        Ok(Response::new(ListFeatureFlagActivityResponse {
            next_page_token: page.next_token(),
            total_size: page.total,
            results: page.results.into_iter().map(convert::activity).collect(),
        }))
    }
}
