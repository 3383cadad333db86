//! `DirectoryService`: persons, groups and cohorts.

use serde_json::json;
use tonic::{Request, Response, Status};

use super::{Grpc, caller, project, strictness};
use crate::{
    model::{json::Object, person::PersonFilter},
    service::{page::Wanted, persons::Turn},
    wire::{
        convert,
        v1::{
            AddCohortMembersRequest, AddCohortMembersResponse, CreateCohortRequest,
            CreateCohortResponse, DeleteGroupTypeRequest, DeleteGroupTypeResponse,
            DeletePersonRequest, DeletePersonResponse, GetCohortRequest, GetCohortResponse,
            GetGroupRequest, GetGroupResponse, GetPersonRequest, GetPersonResponse,
            ListCohortsRequest, ListCohortsResponse, ListGroupTypesRequest, ListGroupTypesResponse,
            ListGroupsRequest, ListGroupsResponse, ListPersonsRequest, ListPersonsResponse,
            RemoveCohortMembersRequest, RemoveCohortMembersResponse, UpdateCohortRequest,
            UpdateCohortResponse, UpdateGroupTypeRequest, UpdateGroupTypeResponse,
            directory_service_server::DirectoryService,
        },
    },
};

const A_PAGE: u64 = 100;

#[tonic::async_trait]
impl DirectoryService for Grpc {
    async fn list_persons(
        &self,
        request: Request<ListPersonsRequest>,
    ) -> Result<Response<ListPersonsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let turn = Turn::by_token(request.page_size, &request.page_token, A_PAGE)?;
        let filter = PersonFilter::parse(request.distinct_id, request.search)?;
        let project = project(&request.project_id)?;
        let page = self.0.turn_persons(&caller, &project, &filter, turn).await?;
        Ok(Response::new(ListPersonsResponse {
            results: page.results.into_iter().map(convert::person).collect(),
            next_page_token: page.next_token,
            total_size: page.total,
        }))
    }

    async fn get_person(
        &self,
        request: Request<GetPersonRequest>,
    ) -> Result<Response<GetPersonResponse>, Status> {
        let caller = caller(&request)?;
        let GetPersonRequest { project_id, uuid } = request.into_inner();
        let person = self.0.get_person(&caller, &project(&project_id)?, &uuid).await?;
        Ok(Response::new(GetPersonResponse { person: Some(convert::person(person)) }))
    }

    async fn delete_person(
        &self,
        request: Request<DeletePersonRequest>,
    ) -> Result<Response<DeletePersonResponse>, Status> {
        let caller = caller(&request)?;
        let DeletePersonRequest { project_id, uuid } = request.into_inner();
        self.0.delete_person(&caller, &project(&project_id)?, &uuid).await?;
        Ok(Response::new(DeletePersonResponse {}))
    }

    async fn list_cohorts(
        &self,
        request: Request<ListCohortsRequest>,
    ) -> Result<Response<ListCohortsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let wanted = Wanted::by_token(request.page_size, &request.page_token, A_PAGE)?;
        let page = self.0.list_cohorts(&caller, &project(&request.project_id)?, wanted).await?;
        let page = page.into_page().await?;
        Ok(Response::new(ListCohortsResponse {
            next_page_token: page.next_token(),
            total_size: page.total,
            results: page.results.into_iter().map(convert::cohort).collect(),
        }))
    }

    async fn create_cohort(
        &self,
        request: Request<CreateCohortRequest>,
    ) -> Result<Response<CreateCohortResponse>, Status> {
        let (caller, strictness) = (caller(&request)?, strictness(&request)?);
        let CreateCohortRequest { project_id, cohort } = request.into_inner();
        let wanted = convert::created_cohort(cohort)?;
        let project = project(&project_id)?;
        let made = self.0.create_cohort(&caller, &project, &wanted, strictness).await?;
        let cohort = Some(convert::cohort(made.value));
        let warnings = convert::warnings(made.warnings);
        Ok(Response::new(CreateCohortResponse { cohort, warnings }))
    }

    async fn get_cohort(
        &self,
        request: Request<GetCohortRequest>,
    ) -> Result<Response<GetCohortResponse>, Status> {
        let caller = caller(&request)?;
        let GetCohortRequest { project_id, cohort_id } = request.into_inner();
        let cohort = self.0.get_cohort(&caller, &project(&project_id)?, cohort_id).await?;
        Ok(Response::new(GetCohortResponse { cohort: Some(convert::cohort(cohort)) }))
    }

    async fn update_cohort(
        &self,
        request: Request<UpdateCohortRequest>,
    ) -> Result<Response<UpdateCohortResponse>, Status> {
        let (caller, strictness) = (caller(&request)?, strictness(&request)?);
        let request = request.into_inner();
        let wanted = convert::updated_cohort(request.cohort, request.update_mask)?;
        let (project, id) = (project(&request.project_id)?, request.cohort_id);
        let done = self.0.update_cohort(&caller, &project, id, &wanted, strictness).await?;
        let cohort = Some(convert::cohort(done.value));
        let warnings = convert::warnings(done.warnings);
        Ok(Response::new(UpdateCohortResponse { cohort, warnings }))
    }

    async fn add_cohort_members(
        &self,
        request: Request<AddCohortMembersRequest>,
    ) -> Result<Response<AddCohortMembersResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let (project, id) = (project(&request.project_id)?, request.cohort_id);
        let body = members(request.distinct_ids);
        let done = self.0.add_cohort_members(&caller, &project, id, &body).await?;
        let (changed, unknown) = (signed(done.changed), signed(done.unknown));
        Ok(Response::new(AddCohortMembersResponse { changed, unknown }))
    }

    async fn remove_cohort_members(
        &self,
        request: Request<RemoveCohortMembersRequest>,
    ) -> Result<Response<RemoveCohortMembersResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let (project, id) = (project(&request.project_id)?, request.cohort_id);
        let body = members(request.distinct_ids);
        let done = self.0.remove_cohort_members(&caller, &project, id, &body).await?;
        let (changed, unknown) = (signed(done.changed), signed(done.unknown));
        Ok(Response::new(RemoveCohortMembersResponse { changed, unknown }))
    }

    async fn list_group_types(
        &self,
        request: Request<ListGroupTypesRequest>,
    ) -> Result<Response<ListGroupTypesResponse>, Status> {
        let caller = caller(&request)?;
        let project = project(&request.into_inner().project_id)?;
        let types = self.0.list_group_types(&caller, &project).await?;
        let results = types.into_iter().map(convert::group_type).collect();
        Ok(Response::new(ListGroupTypesResponse { results }))
    }

    async fn update_group_type(
        &self,
        request: Request<UpdateGroupTypeRequest>,
    ) -> Result<Response<UpdateGroupTypeResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let body = convert::updated_group_type(request.group_type, request.update_mask)?;
        let (project, index) = (project(&request.project_id)?, request.group_type_index);
        let kind = self.0.update_group_type(&caller, &project, index, &body).await?;
        let group_type = Some(convert::group_type(kind));
        Ok(Response::new(UpdateGroupTypeResponse { group_type }))
    }

    async fn delete_group_type(
        &self,
        request: Request<DeleteGroupTypeRequest>,
    ) -> Result<Response<DeleteGroupTypeResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let project = project(&request.project_id)?;
        self.0.delete_group_type(&caller, &project, request.group_type_index).await?;
        Ok(Response::new(DeleteGroupTypeResponse {}))
    }

    async fn list_groups(
        &self,
        request: Request<ListGroupsRequest>,
    ) -> Result<Response<ListGroupsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let wanted = Wanted::by_token(request.page_size, &request.page_token, A_PAGE)?;
        let (project, index) = (project(&request.project_id)?, request.group_type_index);
        let page = self.0.list_groups(&caller, &project, index, request.search, wanted).await?;
        let page = page.into_page().await?;
        Ok(Response::new(ListGroupsResponse {
            next_page_token: page.next_token(),
            total_size: page.total,
            results: page.results.into_iter().map(convert::group).collect(),
        }))
    }

    async fn get_group(
        &self,
        request: Request<GetGroupRequest>,
    ) -> Result<Response<GetGroupResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let (project, index) = (project(&request.project_id)?, request.group_type_index);
        let group = self.0.get_group(&caller, &project, index, &request.group_key).await?;
        Ok(Response::new(GetGroupResponse { group: Some(convert::group(group)) }))
    }
}

/// The body that a REST request would have brought.
fn members(distinct_ids: Vec<String>) -> Object {
    Object::from_iter([("distinct_ids".to_owned(), json!(distinct_ids))])
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
