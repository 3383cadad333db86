//! `ProjectService`: projects and their keys.

use tonic::{Request, Response, Status};

use super::{Grpc, caller, project, strictness};
use crate::{
    model::error::Result as Checked,
    service::{
        api_keys::{AskedKey, ShownKey},
        page::Wanted,
    },
    wire::{
        convert,
        v1::{
            ApiKey, CreateApiKeyRequest, CreateApiKeyResponse, CreateProjectRequest,
            CreateProjectResponse, GetProjectRequest, GetProjectResponse, ListApiKeysRequest,
            ListApiKeysResponse, ListProjectsRequest, ListProjectsResponse, RevokeApiKeyRequest,
            RevokeApiKeyResponse, UpdateProjectRequest, UpdateProjectResponse,
            project_service_server::ProjectService,
        },
    },
};

/// Results in one page where the request does not say.
const A_PAGE: u64 = 100;

#[tonic::async_trait]
impl ProjectService for Grpc {
    async fn list_projects(
        &self,
        request: Request<ListProjectsRequest>,
    ) -> Result<Response<ListProjectsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let wanted = Wanted::by_token(request.page_size, &request.page_token, A_PAGE)?;
        let page = self.0.list_projects(&caller, wanted).await?;
        Ok(Response::new(ListProjectsResponse {
            next_page_token: page.next_token(),
            total_size: page.total,
            results: page.results.into_iter().map(convert::project).collect(),
        }))
    }

    async fn create_project(
        &self,
        request: Request<CreateProjectRequest>,
    ) -> Result<Response<CreateProjectResponse>, Status> {
        let caller = caller(&request)?;
        let body = convert::project_body(request.into_inner().project, None)?;
        let created = self.0.create_project(&caller, &body).await?;
        Ok(Response::new(CreateProjectResponse {
            project: Some(convert::project(created.project)),
            secret_api_token: created.secret.reveal().to_owned(),
        }))
    }

    async fn get_project(
        &self,
        request: Request<GetProjectRequest>,
    ) -> Result<Response<GetProjectResponse>, Status> {
        let caller = caller(&request)?;
        let project = project(&request.into_inner().project_id)?;
        let project = self.0.get_project(&caller, &project).await?;
        Ok(Response::new(GetProjectResponse { project: Some(convert::project(project)) }))
    }

    async fn update_project(
        &self,
        request: Request<UpdateProjectRequest>,
    ) -> Result<Response<UpdateProjectResponse>, Status> {
        let (caller, strictness) = (caller(&request)?, strictness(&request)?);
        let request = request.into_inner();
        let body = convert::project_body(request.project, request.update_mask)?;
        let project = project(&request.project_id)?;
        // A message has no place for fields that it does not name, so there are no warnings.
        let done = self.0.update_project(&caller, &project, &body, strictness).await?;
        Ok(Response::new(UpdateProjectResponse { project: Some(convert::project(done.value)) }))
    }

    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let project = project(&request.project_id)?;
        let (key, token) = self.0.create_api_key(&caller, &project, asked_key(request)?).await?;
        let token = token.reveal().to_owned();
        Ok(Response::new(CreateApiKeyResponse { api_key: Some(api_key(key)), token }))
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let wanted = Wanted::by_token(request.page_size, &request.page_token, A_PAGE)?;
        let page = self.0.list_api_keys(&caller, &project(&request.project_id)?, wanted).await?;
        Ok(Response::new(ListApiKeysResponse {
            next_page_token: page.next_token(),
            total_size: page.total,
            results: page.results.into_iter().map(api_key).collect(),
        }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyResponse>, Status> {
        let caller = caller(&request)?;
        let RevokeApiKeyRequest { project_id, api_key_id } = request.into_inner();
        let key = self.0.revoke_api_key(&caller, &project(&project_id)?, api_key_id).await?;
        Ok(Response::new(RevokeApiKeyResponse { api_key: Some(api_key(key)) }))
    }
}

fn asked_key(request: CreateApiKeyRequest) -> Checked<AskedKey> {
    let expires_at = request.expires_at.map(|at| convert::instant(at, "expires_at")).transpose()?;
    Ok(AskedKey {
        scopes: request.scopes,
        label: request.label,
        user_email: request.user_email,
        additional_project_ids: request.additional_project_ids,
        all_projects: request.all_projects,
        expires_at,
    })
}

fn api_key(shown: ShownKey) -> ApiKey {
    convert::api_key(shown.key, shown.user_email)
}
