//! Every operation that exists, callable alike on both edges, so that a rule for all of them is
//! one loop.

use flagstaff::wire::v1::{
    AddCohortMembersRequest, ArchiveFeatureFlagRequest, BatchEvaluateFlagsRequest,
    BulkDeleteFeatureFlagsRequest, BulkGetFeatureFlagKeysRequest, BulkUpdateFeatureFlagTagsRequest,
    CreateApiKeyRequest, CreateCohortRequest, CreateFeatureFlagRequest, CreateProjectRequest,
    CreateUsageDashboardRequest, DeleteFeatureFlagRequest, DeleteGroupTypeRequest,
    DeletePersonRequest, DisableFeatureFlagRequest, EnableFeatureFlagRequest,
    EnrichUsageDashboardRequest, EvaluateFlagRequest, EvaluateFlagsRequest, EvaluationSubject,
    Event, GetCohortRequest, GetDashboardRequest, GetEvaluationReasonsRequest,
    GetFeatureFlagRequest, GetFeatureFlagStatusRequest, GetFeatureFlagVersionRequest,
    GetFlagDefinitionsRequest, GetGroupRequest, GetLocalEvaluationRequest, GetPersonRequest,
    GetProjectRequest, GetRemoteConfigRequest, GetUserBlastRadiusRequest, IngestEventsRequest,
    ListActivityRequest, ListApiKeysRequest, ListCohortsRequest, ListDependentFlagsRequest,
    ListFeatureFlagActivityRequest, ListFeatureFlagVersionsRequest, ListFeatureFlagsRequest,
    ListGroupTypesRequest, ListGroupsRequest, ListMatchingFeatureFlagIdsRequest,
    ListMyFlagsRequest, ListPersonsRequest, ListProjectsRequest, ProjectInput,
    RemoveCohortMembersRequest, RestoreFeatureFlagVersionRequest, RevokeApiKeyRequest,
    TestEvaluationRequest, UnarchiveFeatureFlagRequest, UpdateCohortRequest,
    UpdateFeatureFlagRequest, UpdateGroupTypeRequest, UpdateProjectRequest, WatchFlagsRequest,
};
use http::Method;
use serde_json::json;
use tonic::Status;

use super::{
    Service,
    grpc::{keyed, named, reason, said},
};

/// An operation, and what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// A verb and a path below the project's, or the name of an RPC.
    pub(crate) name: &'static str,
    /// The scope that a key needs for it.
    pub(crate) scope: &'static str,
}

const fn needs(scope: &'static str, name: &'static str) -> Operation {
    Operation { name, scope }
}

pub(crate) const OPERATIONS: [Operation; 100] = [
    needs("feature_flag:read", "GET feature_flags/"),
    needs("feature_flag:write", "POST feature_flags/"),
    needs("feature_flag:read", "GET feature_flags/{id}/"),
    needs("feature_flag:write", "PATCH feature_flags/{id}/"),
    needs("feature_flag:write", "PUT feature_flags/{id}/"),
    needs("feature_flag:write", "DELETE feature_flags/{id}/"),
    needs("feature_flag:read", "GET feature_flags/matching_ids/"),
    needs("feature_flag:read", "GET feature_flags/{id}/dependent_flags/"),
    needs("feature_flag:write", "POST feature_flags/{id}/enable/"),
    needs("feature_flag:write", "POST feature_flags/{id}/disable/"),
    needs("feature_flag:write", "POST feature_flags/{id}/archive/"),
    needs("feature_flag:write", "POST feature_flags/{id}/unarchive/"),
    needs("feature_flag:read", "GET feature_flags/{id}/status/"),
    needs("feature_flag:read", "GET feature_flags/{id}/remote_config/"),
    needs("feature_flag:read", "GET feature_flags/{id}/versions/"),
    needs("feature_flag:read", "GET feature_flags/{id}/versions/1/"),
    needs("feature_flag:write", "POST feature_flags/{id}/restore/"),
    needs("feature_flag:read", "GET feature_flags/evaluation_reasons/?distinct_id=somebody"),
    needs("feature_flag:read", "GET feature_flags/my_flags/"),
    needs("feature_flag:read", "POST feature_flags/{id}/test_evaluation/"),
    needs("feature_flag:read", "POST feature_flags/user_blast_radius/"),
    needs("feature_flag:read", "POST feature_flags/bulk_keys/"),
    needs("feature_flag:write", "POST feature_flags/bulk_delete/"),
    needs("feature_flag:write", "POST feature_flags/bulk_update_tags/"),
    needs("feature_flag:write", "POST feature_flags/{id}/enrich_usage_dashboard/"),
    needs("feature_flag:write", "POST feature_flags/{id}/dashboard/"),
    // The first flag's dashboard has the flag's own number.
    needs("feature_flag:read", "GET dashboards/{id}/"),
    needs("activity_log:read", "GET feature_flags/activity/"),
    needs("activity_log:read", "GET feature_flags/{id}/activity/"),
    needs("feature_flag:read", "GET feature_flags/local_evaluation/"),
    needs("person:read", "GET persons/"),
    needs("person:read", "GET persons/{person}/"),
    needs("person:write", "DELETE persons/{person}/"),
    needs("cohort:read", "GET cohorts/"),
    needs("cohort:write", "POST cohorts/"),
    needs("cohort:read", "GET cohorts/{cohort}/"),
    needs("cohort:write", "PATCH cohorts/{cohort}/"),
    needs("cohort:write", "POST cohorts/{cohort}/members/"),
    needs("cohort:write", "DELETE cohorts/{cohort}/members/"),
    needs("person:read", "GET groups_types/"),
    needs("person:write", "PATCH groups_types/0/"),
    needs("person:write", "DELETE groups_types/3/"),
    needs("project:read", "GET "),
    needs("project:write", "PATCH "),
    needs("feature_flag:read", "ListFeatureFlags"),
    needs("feature_flag:write", "CreateFeatureFlag"),
    needs("feature_flag:read", "GetFeatureFlag"),
    needs("feature_flag:write", "UpdateFeatureFlag"),
    needs("feature_flag:write", "DeleteFeatureFlag"),
    needs("feature_flag:read", "ListMatchingFeatureFlagIds"),
    needs("feature_flag:read", "ListDependentFlags"),
    needs("feature_flag:write", "EnableFeatureFlag"),
    needs("feature_flag:write", "DisableFeatureFlag"),
    needs("feature_flag:write", "ArchiveFeatureFlag"),
    needs("feature_flag:write", "UnarchiveFeatureFlag"),
    needs("feature_flag:read", "GetFeatureFlagStatus"),
    needs("feature_flag:read", "GetRemoteConfig"),
    needs("feature_flag:read", "ListFeatureFlagVersions"),
    needs("feature_flag:read", "GetFeatureFlagVersion"),
    needs("feature_flag:write", "RestoreFeatureFlagVersion"),
    needs("feature_flag:read", "GetEvaluationReasons"),
    needs("feature_flag:read", "ListMyFlags"),
    needs("feature_flag:read", "TestEvaluation"),
    needs("feature_flag:read", "GetUserBlastRadius"),
    needs("feature_flag:read", "BulkGetFeatureFlagKeys"),
    needs("feature_flag:write", "BulkDeleteFeatureFlags"),
    needs("feature_flag:write", "BulkUpdateFeatureFlagTags"),
    needs("feature_flag:write", "EnrichUsageDashboard"),
    needs("feature_flag:write", "CreateUsageDashboard"),
    needs("feature_flag:read", "GetDashboard"),
    needs("activity_log:read", "ListActivity"),
    needs("activity_log:read", "ListFeatureFlagActivity"),
    needs("person:read", "ListPersons"),
    needs("person:read", "GetPerson"),
    needs("person:write", "DeletePerson"),
    needs("cohort:read", "ListCohorts"),
    needs("cohort:write", "CreateCohort"),
    needs("cohort:read", "GetCohort"),
    needs("cohort:write", "UpdateCohort"),
    needs("cohort:write", "AddCohortMembers"),
    needs("cohort:write", "RemoveCohortMembers"),
    needs("person:read", "ListGroupTypes"),
    needs("person:write", "UpdateGroupType"),
    needs("person:write", "DeleteGroupType"),
    needs("person:read", "ListGroups"),
    needs("person:read", "GetGroup"),
    needs("project:read", "GetProject"),
    needs("project:write", "UpdateProject"),
    needs("project:read", "ListProjects"),
    needs("project:write", "CreateProject"),
    needs("project:write", "CreateApiKey"),
    needs("project:write", "ListApiKeys"),
    needs("project:write", "RevokeApiKey"),
    needs("feature_flag:read", "EvaluateFlags"),
    needs("feature_flag:read", "EvaluateFlag"),
    needs("feature_flag:read", "BatchEvaluateFlags"),
    needs("person:write", "IngestEvents"),
    needs("feature_flag:read", "GetLocalEvaluation"),
    needs("feature_flag:read", "GetFlagDefinitions"),
    needs("feature_flag:read", "WatchFlags"),
];

/// Whom and what the operations of the directory name, once [`Service::people`] made them.
const SOMEBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const ANYBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
const LISTED: i64 = 4711;
const COMPANY: &str = "acme";
/// The key that the first start makes first: the secret of project 1.
const SECRET_OF_THE_FIRST: i64 = 1;

impl Operation {
    /// Whether it opens to project tokens and secrets too.
    pub(crate) fn evaluates(self) -> bool {
        self.name.starts_with("Evaluate")
            || ["BatchEvaluateFlags", "WatchFlags"].contains(&self.name)
    }

    /// Whether it takes events, which is open to project tokens too.
    pub(crate) fn ingests(self) -> bool {
        self.name.starts_with("Ingest")
    }

    /// Whether it delivers to programs: it opens to project secrets, and to no public token.
    pub(crate) fn delivers(self) -> bool {
        let rpcs = ["GetLocalEvaluation", "GetFlagDefinitions", "GetRemoteConfig"];
        let paths = ["local_evaluation", "remote_config"];
        paths.iter().any(|path| self.name.contains(path)) || rpcs.contains(&self.name)
    }

    /// Whether it is about one project, named by its id.
    pub(crate) fn names_a_project(self) -> bool {
        !["ListProjects", "CreateProject"].contains(&self.name)
    }

    /// Whether it is about one flag, named by its id.
    pub(crate) fn names_a_flag(self) -> bool {
        let rpcs = [
            "GetFeatureFlag",
            "UpdateFeatureFlag",
            "DeleteFeatureFlag",
            "ListDependentFlags",
            "EnableFeatureFlag",
            "DisableFeatureFlag",
            "ArchiveFeatureFlag",
            "UnarchiveFeatureFlag",
            "GetFeatureFlagStatus",
            "GetRemoteConfig",
            "TestEvaluation",
            "ListFeatureFlagActivity",
            "ListFeatureFlagVersions",
            "GetFeatureFlagVersion",
            "RestoreFeatureFlagVersion",
            "EnrichUsageDashboard",
            "CreateUsageDashboard",
            "GetDashboard",
        ];
        self.name.contains("{id}") || rpcs.contains(&self.name)
    }
}

/// What came of a call, on either edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The HTTP status, which gRPC reports in its details.
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
}

impl Verdict {
    pub(crate) fn new(status: u16, code: &str, detail: &str) -> Self {
        Self { status, code: code.into(), detail: detail.into() }
    }

    /// The credential was good enough, whatever else was wrong.
    pub(crate) fn is_let_in(&self) -> bool {
        !matches!(self.status, 401 | 403)
    }
}

impl Service {
    /// Everything of project 1 that the operations of the directory name.
    pub(crate) async fn people(&self) {
        for uuid in [SOMEBODY, ANYBODY] {
            self.person(1, uuid, uuid, "{}").await;
        }
        self.cohort(1, LISTED, true, "{}").await;
        for (index, name) in [(0, "company"), (3, "team"), (4, "room")] {
            self.group_type(index, name).await;
        }
        self.group(1, 0, COMPANY, "{}").await;
    }

    /// Calls an operation in a project, on a flag where it names one.
    pub(crate) async fn attempt(
        &self,
        operation: Operation,
        key: Option<&str>,
        project: &str,
        flag: i64,
    ) -> Verdict {
        match operation.name.split_once(' ') {
            Some((verb, below)) => {
                let below = below
                    .replace("{id}", &flag.to_string())
                    .replace("{person}", SOMEBODY)
                    .replace("{cohort}", &LISTED.to_string());
                let path = format!("/api/projects/{project}/{below}");
                let body = (verb != "GET").then(|| json!({"key": "wanted", "name": "wanted"}));
                let verb = Method::from_bytes(verb.as_bytes()).unwrap();
                let answer = self.call(verb, &path, key, body.as_ref()).await;
                let (status, code, detail) = answer.error();
                Verdict { status, code, detail }
            }
            None => match self.remote(operation.name, key, project.to_owned(), flag).await {
                Ok(()) => Verdict::new(200, "", ""),
                Err(status) => Verdict {
                    status: said(&status, "http_status").unwrap().parse().unwrap(),
                    code: reason(&status),
                    detail: status.message().to_owned(),
                },
            },
        }
    }

    #[expect(clippy::needless_update, reason = "requests may get more fields")]
    async fn remote(
        &self,
        rpc: &str,
        key: Option<&str>,
        project_id: String,
        id: i64,
    ) -> Result<(), Status> {
        let (mut flags, mut projects) = (self.flags_as(key), self.projects_as(key));
        let (mut evaluation, mut directory) = (self.evaluation_as(key), self.directory_as(key));
        let (uuid, cohort_id) = (ANYBODY.to_owned(), LISTED);
        let subject =
            Some(EvaluationSubject { distinct_id: "somebody".into(), ..Default::default() });
        macro_rules! call {
            ($client:ident.$method:ident($request:ident { $($field:ident $(: $value:expr)?),* })) => {
                $client
                    .$method($request { project_id, $($field $(: $value)?,)* ..Default::default() })
                    .await
                    .map(drop)
            };
        }
        match rpc {
            "ListFeatureFlags" => call!(flags.list_feature_flags(ListFeatureFlagsRequest {})),
            "CreateFeatureFlag" => call!(flags.create_feature_flag(CreateFeatureFlagRequest {
                feature_flag: Some(keyed("wanted"))
            })),
            "GetFeatureFlag" => call!(flags.get_feature_flag(GetFeatureFlagRequest { id })),
            "UpdateFeatureFlag" => call!(flags.update_feature_flag(UpdateFeatureFlagRequest {
                id,
                feature_flag: Some(named("wanted"))
            })),
            "DeleteFeatureFlag" => {
                call!(flags.delete_feature_flag(DeleteFeatureFlagRequest { id }))
            }
            "ListMatchingFeatureFlagIds" => {
                call!(flags.list_matching_feature_flag_ids(ListMatchingFeatureFlagIdsRequest {}))
            }
            "ListDependentFlags" => {
                call!(flags.list_dependent_flags(ListDependentFlagsRequest { id }))
            }
            "EnableFeatureFlag" => {
                call!(flags.enable_feature_flag(EnableFeatureFlagRequest { id }))
            }
            "DisableFeatureFlag" => {
                call!(flags.disable_feature_flag(DisableFeatureFlagRequest { id }))
            }
            "ArchiveFeatureFlag" => {
                call!(flags.archive_feature_flag(ArchiveFeatureFlagRequest { id }))
            }
            "UnarchiveFeatureFlag" => {
                call!(flags.unarchive_feature_flag(UnarchiveFeatureFlagRequest { id }))
            }
            "GetFeatureFlagStatus" => {
                call!(flags.get_feature_flag_status(GetFeatureFlagStatusRequest { id }))
            }
            "GetRemoteConfig" => {
                let id = id.to_string();
                call!(flags.get_remote_config(GetRemoteConfigRequest { id }))
            }
            "ListFeatureFlagVersions" => {
                call!(flags.list_feature_flag_versions(ListFeatureFlagVersionsRequest { id }))
            }
            "GetFeatureFlagVersion" => {
                call!(flags.get_feature_flag_version(GetFeatureFlagVersionRequest { id }))
            }
            "RestoreFeatureFlagVersion" => {
                call!(flags.restore_feature_flag_version(RestoreFeatureFlagVersionRequest { id }))
            }
            "GetEvaluationReasons" => {
                let distinct_id = "somebody".into();
                call!(flags.get_evaluation_reasons(GetEvaluationReasonsRequest { distinct_id }))
            }
            "ListMyFlags" => call!(flags.list_my_flags(ListMyFlagsRequest {})),
            "TestEvaluation" => call!(flags.test_evaluation(TestEvaluationRequest { id })),
            "GetUserBlastRadius" => {
                call!(flags.get_user_blast_radius(GetUserBlastRadiusRequest {}))
            }
            "BulkGetFeatureFlagKeys" => {
                call!(flags.bulk_get_feature_flag_keys(BulkGetFeatureFlagKeysRequest {}))
            }
            "BulkDeleteFeatureFlags" => {
                call!(flags.bulk_delete_feature_flags(BulkDeleteFeatureFlagsRequest {}))
            }
            "BulkUpdateFeatureFlagTags" => {
                call!(flags.bulk_update_feature_flag_tags(BulkUpdateFeatureFlagTagsRequest {}))
            }
            "EnrichUsageDashboard" => {
                call!(flags.enrich_usage_dashboard(EnrichUsageDashboardRequest { id }))
            }
            "CreateUsageDashboard" => {
                call!(flags.create_usage_dashboard(CreateUsageDashboardRequest { id }))
            }
            "GetDashboard" => {
                call!(flags.get_dashboard(GetDashboardRequest { dashboard_id: id }))
            }
            "ListActivity" => call!(flags.list_activity(ListActivityRequest {})),
            "ListFeatureFlagActivity" => {
                call!(flags.list_feature_flag_activity(ListFeatureFlagActivityRequest { id }))
            }
            "GetLocalEvaluation" => {
                call!(flags.get_local_evaluation(GetLocalEvaluationRequest {}))
            }
            "GetFlagDefinitions" => {
                call!(evaluation.get_flag_definitions(GetFlagDefinitionsRequest {}))
            }
            "ListPersons" => call!(directory.list_persons(ListPersonsRequest {})),
            "GetPerson" => call!(directory.get_person(GetPersonRequest { uuid })),
            "DeletePerson" => call!(directory.delete_person(DeletePersonRequest { uuid })),
            "ListCohorts" => call!(directory.list_cohorts(ListCohortsRequest {})),
            "CreateCohort" => call!(directory.create_cohort(CreateCohortRequest {})),
            "GetCohort" => call!(directory.get_cohort(GetCohortRequest { cohort_id })),
            "UpdateCohort" => call!(directory.update_cohort(UpdateCohortRequest { cohort_id })),
            "AddCohortMembers" => {
                call!(directory.add_cohort_members(AddCohortMembersRequest { cohort_id }))
            }
            "RemoveCohortMembers" => {
                call!(directory.remove_cohort_members(RemoveCohortMembersRequest { cohort_id }))
            }
            "ListGroupTypes" => call!(directory.list_group_types(ListGroupTypesRequest {})),
            "UpdateGroupType" => {
                call!(directory.update_group_type(UpdateGroupTypeRequest {}))
            }
            "DeleteGroupType" => {
                // One that no flag uses.
                call!(directory.delete_group_type(DeleteGroupTypeRequest { group_type_index: 4 }))
            }
            "ListGroups" => call!(directory.list_groups(ListGroupsRequest {})),
            "GetGroup" => {
                call!(directory.get_group(GetGroupRequest { group_key: COMPANY.into() }))
            }
            "GetProject" => call!(projects.get_project(GetProjectRequest {})),
            "UpdateProject" => call!(
                projects.update_project(UpdateProjectRequest { project: Some(Default::default()) })
            ),
            "ListProjects" => {
                projects.list_projects(ListProjectsRequest::default()).await.map(drop)
            }
            "CreateProject" => {
                let project =
                    Some(ProjectInput { name: Some("wanted".into()), ..Default::default() });
                projects.create_project(CreateProjectRequest { project }).await.map(drop)
            }
            "CreateApiKey" => {
                let scopes = vec!["project:read".into()];
                call!(projects.create_api_key(CreateApiKeyRequest { scopes }))
            }
            "ListApiKeys" => call!(projects.list_api_keys(ListApiKeysRequest {})),
            "RevokeApiKey" => {
                let api_key_id = SECRET_OF_THE_FIRST;
                call!(projects.revoke_api_key(RevokeApiKeyRequest { api_key_id }))
            }
            "EvaluateFlags" => {
                call!(evaluation.evaluate_flags(EvaluateFlagsRequest { subject }))
            }
            "EvaluateFlag" => call!(
                evaluation
                    .evaluate_flag(EvaluateFlagRequest { subject, flag_key: "everyones".into() })
            ),
            "BatchEvaluateFlags" => {
                let subjects = Vec::from_iter(subject);
                call!(evaluation.batch_evaluate_flags(BatchEvaluateFlagsRequest { subjects }))
            }
            "WatchFlags" => call!(evaluation.watch_flags(WatchFlagsRequest {})),
            "IngestEvents" => {
                let mut ingestion = self.ingestion_as(key);
                let event =
                    Event { event: "x".into(), distinct_id: "u".into(), ..Default::default() };
                call!(ingestion.ingest_events(IngestEventsRequest { events: vec![event] }))
            }
            other => panic!("{other} is not called here yet"),
        }
    }
}
