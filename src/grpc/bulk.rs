//! Many flags at once over gRPC.

use serde_json::Value;
use tonic::{Request, Response};

use super::{Answer, Grpc, caller, project};
use crate::{
    service::bulk::{DeletedFlag, Refused},
    wire::{
        convert,
        v1::{
            BulkDeleteError, BulkDeleteFeatureFlagsRequest, BulkDeleteFeatureFlagsResponse,
            BulkDeletedFlag, BulkGetFeatureFlagKeysRequest, BulkGetFeatureFlagKeysResponse,
            BulkSkippedFlag, BulkTaggedFlag, BulkUpdateFeatureFlagTagsRequest,
            BulkUpdateFeatureFlagTagsResponse,
        },
    },
};

pub(super) async fn keys(
    grpc: &Grpc,
    request: Request<BulkGetFeatureFlagKeysRequest>,
) -> Answer<BulkGetFeatureFlagKeysResponse> {
    let caller = caller(&request)?;
    let BulkGetFeatureFlagKeysRequest { project_id, ids } = request.into_inner();
    let body = convert::ids_body(ids);
    let found = grpc.0.flag_keys(&caller, &project(&project_id)?, &body).await?;
    let keys = found.keys.into_iter().map(|(id, key)| (id.to_string(), key)).collect();
    Ok(Response::new(BulkGetFeatureFlagKeysResponse { keys, warning: found.warning }))
}

pub(super) async fn delete(
    grpc: &Grpc,
    request: Request<BulkDeleteFeatureFlagsRequest>,
) -> Answer<BulkDeleteFeatureFlagsResponse> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let project = project(&request.project_id)?;
    let deletion = grpc.0.delete_flags(&caller, &project, &convert::deletion_body(request)).await?;
    Ok(Response::new(BulkDeleteFeatureFlagsResponse {
        deleted: deletion.deleted.into_iter().map(deleted).collect(),
        errors: deletion.errors.into_iter().map(refused).collect(),
    }))
}

fn deleted(flag: DeletedFlag) -> BulkDeletedFlag {
    let (state, active_variant) = convert::rollout(flag.rollout);
    BulkDeletedFlag { id: flag.id, key: flag.key, rollout_state: state.into(), active_variant }
}

fn refused(refused: Refused) -> BulkDeleteError {
    let id = match refused.id {
        Value::String(text) => text,
        other => other.to_string(),
    };
    BulkDeleteError { id, key: refused.key, reason: refused.reason }
}

pub(super) async fn tags(
    grpc: &Grpc,
    request: Request<BulkUpdateFeatureFlagTagsRequest>,
) -> Answer<BulkUpdateFeatureFlagTagsResponse> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let project = project(&request.project_id)?;
    let tagging = grpc.0.tag_flags(&caller, &project, &convert::tags_body(request)).await?;
    let skipped = |(id, reason): (i64, &str)| BulkSkippedFlag { id, reason: reason.to_owned() };
    Ok(Response::new(BulkUpdateFeatureFlagTagsResponse {
        updated: tagging
            .updated
            .into_iter()
            .map(|(id, tags)| BulkTaggedFlag { id, tags })
            .collect(),
        skipped: tagging.skipped.into_iter().map(skipped).collect(),
    }))
}
