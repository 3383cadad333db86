//! `ProjectService`: projects and their keys.

use tonic::{Request, Response, Status};

use super::{Grpc, caller, project};
use crate::wire::{
    convert,
    v1::{
        GetProjectRequest, GetProjectResponse, UpdateProjectRequest, UpdateProjectResponse,
        project_service_server::ProjectService,
    },
};

#[tonic::async_trait]
impl ProjectService for Grpc {
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
        let caller = caller(&request)?;
        let request = request.into_inner();
        let body = convert::project_update(request.project, request.update_mask)?;
        let project = project(&request.project_id)?;
        let project = self.0.update_project(&caller, &project, &body).await?;
        Ok(Response::new(UpdateProjectResponse { project: Some(convert::project(project)) }))
    }
}
