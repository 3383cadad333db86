//! The feed of definitions, for the two services that give it.

use super::Grpc;
use crate::{
    model::{caller::Caller, error::Result, project::ProjectRef},
    sdk::{etag, feed::Form},
    wire::{
        convert,
        v1::{GetFlagDefinitionsResponse, GetLocalEvaluationResponse},
    },
};

impl Grpc {
    /// What a caller does not hold already of a project's definitions.
    pub(super) async fn definitions(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        form: Form,
        held: Option<&str>,
    ) -> Result<GetFlagDefinitionsResponse> {
        let feed = self.0.definitions(caller, project, form).await?;
        let (etag, revision) = (feed.etag.clone(), feed.point.revision);
        let history_token = feed.point.token.to_string();
        if held.is_some_and(|held| etag::is_named(held, &etag)) {
            let nothing = GetFlagDefinitionsResponse::default();
            return Ok(GetFlagDefinitionsResponse {
                not_modified: true,
                etag,
                revision,
                history_token,
                ..nothing
            });
        }
        let (definitions_json, definitions) = convert::definitions(&feed.body)?;
        Ok(GetFlagDefinitionsResponse {
            not_modified: false,
            etag,
            definitions: Some(definitions),
            definitions_json,
            revision,
            history_token,
        })
    }
}

/// The same as the management API answers it.
pub(super) fn local_evaluation(given: GetFlagDefinitionsResponse) -> GetLocalEvaluationResponse {
    GetLocalEvaluationResponse {
        not_modified: given.not_modified,
        etag: given.etag,
        definitions: given.definitions,
        definitions_json: given.definitions_json,
    }
}
