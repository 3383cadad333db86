//! `FeatureFlagService`: the documented operations on flags.

use tonic::{Request, Response, Status};

use super::{
    Answer, Grpc, activity, bulk, caller, definitions::local_evaluation, project, reasons,
    strictness, test_evaluation, versions,
};
use crate::{
    model::{caller::Caller, usage_range::Dates},
    sdk::feed::Form,
    service::{
        flags::{Switch, Update},
        page::Wanted,
    },
    wire::{
        convert,
        v1::{
            ArchiveFeatureFlagRequest, ArchiveFeatureFlagResponse, BulkDeleteFeatureFlagsRequest,
            BulkDeleteFeatureFlagsResponse, BulkGetFeatureFlagKeysRequest,
            BulkGetFeatureFlagKeysResponse, BulkUpdateFeatureFlagTagsRequest,
            BulkUpdateFeatureFlagTagsResponse, CreateFeatureFlagRequest, CreateFeatureFlagResponse,
            CreateUsageDashboardRequest, CreateUsageDashboardResponse, DeleteFeatureFlagRequest,
            DeleteFeatureFlagResponse, DisableFeatureFlagRequest, DisableFeatureFlagResponse,
            EnableFeatureFlagRequest, EnableFeatureFlagResponse, EnrichUsageDashboardRequest,
            EnrichUsageDashboardResponse, FeatureFlag, GetDashboardRequest, GetDashboardResponse,
            GetEvaluationReasonsRequest, GetEvaluationReasonsResponse, GetFeatureFlagRequest,
            GetFeatureFlagResponse, GetFeatureFlagStatusRequest, GetFeatureFlagStatusResponse,
            GetFeatureFlagVersionRequest, GetFeatureFlagVersionResponse, GetLocalEvaluationRequest,
            GetLocalEvaluationResponse, GetRemoteConfigRequest, GetRemoteConfigResponse,
            GetUserBlastRadiusRequest, GetUserBlastRadiusResponse, ListActivityRequest,
            ListActivityResponse, ListDependentFlagsRequest, ListDependentFlagsResponse,
            ListFeatureFlagActivityRequest, ListFeatureFlagActivityResponse,
            ListFeatureFlagVersionsRequest, ListFeatureFlagVersionsResponse,
            ListFeatureFlagsRequest, ListFeatureFlagsResponse, ListMatchingFeatureFlagIdsRequest,
            ListMatchingFeatureFlagIdsResponse, ListMyFlagsRequest, ListMyFlagsResponse,
            RestoreFeatureFlagVersionRequest, RestoreFeatureFlagVersionResponse,
            TestEvaluationRequest, TestEvaluationResponse, UnarchiveFeatureFlagRequest,
            UnarchiveFeatureFlagResponse, UpdateFeatureFlagRequest, UpdateFeatureFlagResponse,
            feature_flag_service_server::FeatureFlagService,
        },
    },
};

const FLAGS_A_PAGE: u64 = 100;

impl Grpc {
    async fn switch(
        &self,
        caller: &Caller,
        project_id: &str,
        id: i64,
        switch: Switch,
    ) -> Result<Option<FeatureFlag>, Status> {
        let flag = self.0.switch_flag(caller, &project(project_id)?, id, switch).await?;
        Ok(Some(convert::flag(flag)))
    }
}

#[tonic::async_trait]
impl FeatureFlagService for Grpc {
    async fn list_feature_flags(
        &self,
        request: Request<ListFeatureFlagsRequest>,
    ) -> Result<Response<ListFeatureFlagsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let wanted = Wanted::by_token(request.page_size, &request.page_token, FLAGS_A_PAGE)?;
        let project = project(&request.project_id)?;
        let filter = convert::list_filter(request);
        let page = self.0.list_flags(&caller, &project, &filter, wanted).await?;
        let page = page.into_page().await?;
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
        let (caller, strictness) = (caller(&request)?, strictness(&request)?);
        let request = request.into_inner();
        let project = project(&request.project_id)?;
        let input = convert::created(request.feature_flag)?;
        let made = self.0.create_flag(&caller, &project, &input.body, strictness).await?;
        let feature_flag = Some(convert::flag(made.value));
        let warnings = convert::warnings(made.warnings);
        Ok(Response::new(CreateFeatureFlagResponse { feature_flag, warnings }))
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
        let (caller, strictness) = (caller(&request)?, strictness(&request)?);
        let request = request.into_inner();
        let project = project(&request.project_id)?;
        let input = convert::updated(request.feature_flag, request.update_mask)?;
        let convert::FlagInput { body, typed, method } = input;
        let update = Update { method, typed, ..Update::patch(request.id, body) };
        let done = self.0.update_flag(&caller, &project, update, strictness).await?;
        let feature_flag = Some(convert::flag(done.value));
        let warnings = convert::warnings(done.warnings);
        Ok(Response::new(UpdateFeatureFlagResponse { feature_flag, warnings }))
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

    async fn list_matching_feature_flag_ids(
        &self,
        request: Request<ListMatchingFeatureFlagIdsRequest>,
    ) -> Result<Response<ListMatchingFeatureFlagIdsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let project = project(&request.project_id)?;
        let filter = convert::matching_filter(request);
        let ids = self.0.matching_flag_ids(&caller, &project, &filter).await?;
        let total = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        Ok(Response::new(ListMatchingFeatureFlagIdsResponse { ids, total }))
    }

    async fn list_dependent_flags(
        &self,
        request: Request<ListDependentFlagsRequest>,
    ) -> Result<Response<ListDependentFlagsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let wanted = Wanted::by_token(request.page_size, &request.page_token, FLAGS_A_PAGE)?;
        let project = project(&request.project_id)?;
        let page = wanted.cut(self.0.dependent_flags(&caller, &project, request.id).await?);
        Ok(Response::new(ListDependentFlagsResponse {
            next_page_token: page.next_token(),
            total_size: page.total,
            flags: page.results.into_iter().map(convert::dependent).collect(),
        }))
    }

    async fn enable_feature_flag(
        &self,
        request: Request<EnableFeatureFlagRequest>,
    ) -> Result<Response<EnableFeatureFlagResponse>, Status> {
        let caller = caller(&request)?;
        let EnableFeatureFlagRequest { project_id, id } = request.into_inner();
        let feature_flag = self.switch(&caller, &project_id, id, Switch::Enable).await?;
        Ok(Response::new(EnableFeatureFlagResponse { feature_flag }))
    }

    async fn disable_feature_flag(
        &self,
        request: Request<DisableFeatureFlagRequest>,
    ) -> Result<Response<DisableFeatureFlagResponse>, Status> {
        let caller = caller(&request)?;
        let DisableFeatureFlagRequest { project_id, id } = request.into_inner();
        let feature_flag = self.switch(&caller, &project_id, id, Switch::Disable).await?;
        Ok(Response::new(DisableFeatureFlagResponse { feature_flag }))
    }

    async fn archive_feature_flag(
        &self,
        request: Request<ArchiveFeatureFlagRequest>,
    ) -> Result<Response<ArchiveFeatureFlagResponse>, Status> {
        let caller = caller(&request)?;
        let ArchiveFeatureFlagRequest { project_id, id } = request.into_inner();
        let feature_flag = self.switch(&caller, &project_id, id, Switch::Archive).await?;
        Ok(Response::new(ArchiveFeatureFlagResponse { feature_flag }))
    }

    async fn unarchive_feature_flag(
        &self,
        request: Request<UnarchiveFeatureFlagRequest>,
    ) -> Result<Response<UnarchiveFeatureFlagResponse>, Status> {
        let caller = caller(&request)?;
        let UnarchiveFeatureFlagRequest { project_id, id } = request.into_inner();
        let feature_flag = self.switch(&caller, &project_id, id, Switch::Unarchive).await?;
        Ok(Response::new(UnarchiveFeatureFlagResponse { feature_flag }))
    }

    async fn get_feature_flag_status(
        &self,
        request: Request<GetFeatureFlagStatusRequest>,
    ) -> Result<Response<GetFeatureFlagStatusResponse>, Status> {
        let caller = caller(&request)?;
        let GetFeatureFlagStatusRequest { project_id, id } = request.into_inner();
        let (verdict, rollout) = self.0.flag_status(&caller, &project(&project_id)?, id).await?;
        Ok(Response::new(GetFeatureFlagStatusResponse {
            status: convert::status(verdict.status).into(),
            reason: verdict.reason,
            rollout: Some(convert::rollout_summary(&rollout)),
        }))
    }

    async fn get_remote_config(
        &self,
        request: Request<GetRemoteConfigRequest>,
    ) -> Result<Response<GetRemoteConfigResponse>, Status> {
        let caller = caller(&request)?;
        let GetRemoteConfigRequest { project_id, id } = request.into_inner();
        let payload_json = self.0.remote_config(&caller, &project(&project_id)?, &id).await?;
        Ok(Response::new(GetRemoteConfigResponse { payload_json }))
    }

    async fn bulk_get_feature_flag_keys(
        &self,
        request: Request<BulkGetFeatureFlagKeysRequest>,
    ) -> Answer<BulkGetFeatureFlagKeysResponse> {
        bulk::keys(self, request).await
    }

    async fn bulk_delete_feature_flags(
        &self,
        request: Request<BulkDeleteFeatureFlagsRequest>,
    ) -> Answer<BulkDeleteFeatureFlagsResponse> {
        bulk::delete(self, request).await
    }

    async fn bulk_update_feature_flag_tags(
        &self,
        request: Request<BulkUpdateFeatureFlagTagsRequest>,
    ) -> Answer<BulkUpdateFeatureFlagTagsResponse> {
        bulk::tags(self, request).await
    }

    async fn get_feature_flag_version(
        &self,
        request: Request<GetFeatureFlagVersionRequest>,
    ) -> Answer<GetFeatureFlagVersionResponse> {
        versions::get(self, request).await
    }

    async fn list_feature_flag_versions(
        &self,
        request: Request<ListFeatureFlagVersionsRequest>,
    ) -> Answer<ListFeatureFlagVersionsResponse> {
        versions::list(self, request).await
    }

    async fn restore_feature_flag_version(
        &self,
        request: Request<RestoreFeatureFlagVersionRequest>,
    ) -> Answer<RestoreFeatureFlagVersionResponse> {
        versions::restore(self, request).await
    }

    async fn test_evaluation(
        &self,
        request: Request<TestEvaluationRequest>,
    ) -> Answer<TestEvaluationResponse> {
        test_evaluation::test(self, request).await
    }

    async fn get_user_blast_radius(
        &self,
        request: Request<GetUserBlastRadiusRequest>,
    ) -> Answer<GetUserBlastRadiusResponse> {
        test_evaluation::blast_radius(self, request).await
    }

    async fn get_evaluation_reasons(
        &self,
        request: Request<GetEvaluationReasonsRequest>,
    ) -> Answer<GetEvaluationReasonsResponse> {
        reasons::reasons(self, request).await
    }

    async fn list_my_flags(
        &self,
        request: Request<ListMyFlagsRequest>,
    ) -> Answer<ListMyFlagsResponse> {
        reasons::my_flags(self, request).await
    }

    async fn enrich_usage_dashboard(
        &self,
        request: Request<EnrichUsageDashboardRequest>,
    ) -> Result<Response<EnrichUsageDashboardResponse>, Status> {
        let caller = caller(&request)?;
        let EnrichUsageDashboardRequest { project_id, id } = request.into_inner();
        self.0.enrich_usage_dashboard(&caller, &project(&project_id)?, id).await?;
        Ok(Response::new(EnrichUsageDashboardResponse { success: true }))
    }

    async fn create_usage_dashboard(
        &self,
        request: Request<CreateUsageDashboardRequest>,
    ) -> Result<Response<CreateUsageDashboardResponse>, Status> {
        let caller = caller(&request)?;
        let CreateUsageDashboardRequest { project_id, id } = request.into_inner();
        self.0.create_usage_dashboard(&caller, &project(&project_id)?, id).await?;
        Ok(Response::new(CreateUsageDashboardResponse { success: true }))
    }

    async fn get_dashboard(
        &self,
        request: Request<GetDashboardRequest>,
    ) -> Result<Response<GetDashboardResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let project = project(&request.project_id)?;
        let dates = Dates { from: request.date_from, to: request.date_to };
        let shown = self.0.dashboard(&caller, &project, request.dashboard_id, &dates).await?;
        Ok(Response::new(GetDashboardResponse { dashboard: Some(convert::dashboard(shown)) }))
    }

    async fn list_activity(
        &self,
        request: Request<ListActivityRequest>,
    ) -> Answer<ListActivityResponse> {
        activity::of_project(self, request).await
    }

    async fn list_feature_flag_activity(
        &self,
        request: Request<ListFeatureFlagActivityRequest>,
    ) -> Answer<ListFeatureFlagActivityResponse> {
        activity::of_flag(self, request).await
    }

    async fn get_local_evaluation(
        &self,
        request: Request<GetLocalEvaluationRequest>,
    ) -> Result<Response<GetLocalEvaluationResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let form = if request.send_cohorts { Form::WithCohorts } else { Form::Expanded };
        let (project, held) = (project(&request.project_id)?, request.if_none_match.as_deref());
        let given = self.definitions(&caller, &project, form, held).await?;
        Ok(Response::new(local_evaluation(given)))
    }
}
