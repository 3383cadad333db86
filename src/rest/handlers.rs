//! Which handler answers which RPC of the contract over REST.

use std::{future::Future, pin::Pin};

use super::{
    activity,
    call::{Call, Reply},
    feature_flags, projects,
};
use crate::{
    model::error::{Error, Result},
    service::Services,
};

type Answer = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// Answers one operation.
pub(super) type Handler = fn(Services, Call) -> Answer;

/// The handler of an RPC. An operation that is not built yet has one that says so.
pub(super) fn find(rpc: &str) -> Handler {
    macro_rules! handler {
        ($function:path) => {
            |services, call| Box::pin($function(services, call))
        };
    }
    match rpc.strip_prefix("flagstaff.v1.").unwrap_or(rpc) {
        "FeatureFlagService.ListFeatureFlags" => handler!(feature_flags::list),
        "FeatureFlagService.CreateFeatureFlag" => handler!(feature_flags::create),
        "FeatureFlagService.GetFeatureFlag" => handler!(feature_flags::get),
        "FeatureFlagService.UpdateFeatureFlag" => handler!(feature_flags::update),
        "FeatureFlagService.ListActivity" => handler!(activity::of_project),
        "FeatureFlagService.ListFeatureFlagActivity" => handler!(activity::of_flag),
        "ProjectService.GetProject" => handler!(projects::get),
        _ => handler!(not_built),
    }
}

/// Only those who could call the operation are told that it is missing.
async fn not_built(_: Services, call: Call) -> Result<Reply> {
    call.caller()?;
    Err(Error::unimplemented("This operation"))
}
