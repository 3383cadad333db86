//! Questions about the reach of a condition, in both directions.

use super::filters::group_json;
use crate::{
    model::{
        blast_radius::Reach,
        error::{Error, Result},
        json::Object,
    },
    wire::v1::{GetUserBlastRadiusRequest, GetUserBlastRadiusResponse},
};

/// The question as the body that REST would bring.
///
/// # Errors
///
/// `Invalid` on `condition` for what JSON cannot say.
pub fn reach_body(request: GetUserBlastRadiusRequest) -> Result<Object> {
    let mut body = Object::new();
    if let Some(condition) = request.condition {
        let condition = group_json(condition).map_err(|error: Error| error.on("condition"))?;
        body.insert("condition".into(), condition);
    }
    body.extend(request.group_type_index.map(|index| ("group_type_index".into(), index.into())));
    Ok(body)
}

/// The answer as a message.
#[must_use]
pub fn reach(reach: Reach) -> GetUserBlastRadiusResponse {
    GetUserBlastRadiusResponse { users_affected: reach.affected, total_users: reach.total }
}
