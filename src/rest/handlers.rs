//! Which handler answers which RPC of the contract over REST.

use std::{future::Future, pin::Pin};

use super::{
    activity, bulk,
    call::{Call, Reply},
    cohorts, dashboards, feature_flags, group_types, persons, projects, reasons, test_evaluation,
    versions,
};
use crate::{
    model::{
        caller::Scope,
        error::{BodyKind, Error, Result},
    },
    service::{Services, flags::Switch},
};

type Answer = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// Answers one operation.
pub(super) type Handler = fn(Services, Call) -> Answer;

/// Answers DELETE on a flag.
pub(super) const DELETE_REFUSED: Handler =
    |services, call| Box::pin(delete_refused(services, call));

/// The handler of an RPC. An operation that is not built yet has one that says so.
pub(super) fn find(rpc: &str) -> Handler {
    macro_rules! handler {
        ($function:path) => {
            |services, call| Box::pin($function(services, call))
        };
    }
    macro_rules! switch {
        ($switch:ident) => {
            |services, call| Box::pin(feature_flags::switch(services, call, Switch::$switch))
        };
    }
    match rpc.strip_prefix("flagstaff.v1.").unwrap_or(rpc) {
        "FeatureFlagService.ListFeatureFlags" => handler!(feature_flags::list),
        "FeatureFlagService.CreateFeatureFlag" => handler!(feature_flags::create),
        "FeatureFlagService.GetFeatureFlag" => handler!(feature_flags::get),
        "FeatureFlagService.UpdateFeatureFlag" => handler!(feature_flags::update),
        "FeatureFlagService.ListMatchingFeatureFlagIds" => handler!(feature_flags::matching_ids),
        "FeatureFlagService.ListDependentFlags" => handler!(feature_flags::dependents),
        "FeatureFlagService.EnableFeatureFlag" => switch!(Enable),
        "FeatureFlagService.DisableFeatureFlag" => switch!(Disable),
        "FeatureFlagService.ArchiveFeatureFlag" => switch!(Archive),
        "FeatureFlagService.UnarchiveFeatureFlag" => switch!(Unarchive),
        "FeatureFlagService.GetFeatureFlagStatus" => handler!(feature_flags::status),
        "FeatureFlagService.GetRemoteConfig" => handler!(feature_flags::remote_config),
        "FeatureFlagService.BulkGetFeatureFlagKeys" => handler!(bulk::keys),
        "FeatureFlagService.BulkDeleteFeatureFlags" => handler!(bulk::delete),
        "FeatureFlagService.BulkUpdateFeatureFlagTags" => handler!(bulk::tags),
        "FeatureFlagService.GetFeatureFlagVersion" => handler!(versions::get),
        "FeatureFlagService.ListFeatureFlagVersions" => handler!(versions::list),
        "FeatureFlagService.RestoreFeatureFlagVersion" => handler!(versions::restore),
        "FeatureFlagService.TestEvaluation" => handler!(test_evaluation::test),
        "FeatureFlagService.GetUserBlastRadius" => handler!(test_evaluation::blast_radius),
        "FeatureFlagService.GetEvaluationReasons" => handler!(reasons::reasons),
        "FeatureFlagService.ListMyFlags" => handler!(reasons::my_flags),
        "FeatureFlagService.EnrichUsageDashboard" => handler!(dashboards::enrich),
        "FeatureFlagService.CreateUsageDashboard" => handler!(dashboards::create),
        "FeatureFlagService.GetDashboard" => handler!(dashboards::get),
        "FeatureFlagService.ListActivity" => handler!(activity::of_project),
        "FeatureFlagService.ListFeatureFlagActivity" => handler!(activity::of_flag),
        "DirectoryService.ListPersons" => handler!(persons::list),
        "DirectoryService.GetPerson" => handler!(persons::get),
        "DirectoryService.DeletePerson" => handler!(persons::delete),
        "DirectoryService.ListCohorts" => handler!(cohorts::list),
        "DirectoryService.CreateCohort" => handler!(cohorts::create),
        "DirectoryService.GetCohort" => handler!(cohorts::get),
        "DirectoryService.UpdateCohort" => handler!(cohorts::update),
        "DirectoryService.AddCohortMembers" => handler!(cohorts::add_members),
        "DirectoryService.RemoveCohortMembers" => handler!(cohorts::remove_members),
        "DirectoryService.ListGroupTypes" => handler!(group_types::list),
        "DirectoryService.UpdateGroupType" => handler!(group_types::update),
        "DirectoryService.DeleteGroupType" => handler!(group_types::delete),
        "ProjectService.GetProject" => handler!(projects::get),
        "ProjectService.UpdateProject" => handler!(projects::update),
        _ => handler!(not_built),
    }
}

/// Deleting is a PATCH of `deleted`; the verb is refused without a body, and only to those who
/// may write (management-api 3.7).
async fn delete_refused(services: Services, call: Call) -> Result<Reply> {
    services.open(&*call.caller()?, Scope::FLAG_WRITE, &call.project()?).await?;
    Err(Error::method_not_allowed(&call.method).with_body(BodyKind::Empty))
}

/// Those without a credential are not even told that it is missing.
async fn not_built(_: Services, call: Call) -> Result<Reply> {
    call.caller()?;
    Err(Error::unimplemented("This operation"))
}
