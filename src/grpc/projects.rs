//! `ProjectService`: projects and their keys.

use tonic::{Request, Response, Status};

use super::{Grpc, caller, project};
use crate::wire::{
    convert,
    v1::{GetProjectRequest, GetProjectResponse, project_service_server::ProjectService},
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
}
