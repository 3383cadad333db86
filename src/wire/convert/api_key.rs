//! Keys on their way out to gRPC, without what they open doors with.

use super::values::timestamp;
use crate::{
    model::{
        self,
        caller::{CredentialKind, Reach},
    },
    wire::v1::ApiKey,
};

/// A key as a message, and whose it is.
#[must_use]
pub fn api_key(key: model::api_key::ApiKey, user_email: Option<String>) -> ApiKey {
    let mut scopes = key.scopes;
    scopes.sort_unstable();
    let (all_projects, project_ids) = match key.reach {
        Reach::Organization => (true, Vec::new()),
        Reach::Projects(ids) => (false, ids),
    };
    ApiKey {
        id: key.id,
        kind: kind(key.kind).to_owned(),
        label: key.label,
        token_hint: key.hint,
        scopes,
        all_projects,
        project_ids,
        user_email,
        created_at: Some(timestamp(key.created_at)),
        expires_at: key.expires_at.map(timestamp),
        revoked_at: key.revoked_at.map(timestamp),
        last_used_at: key.last_used_at.map(timestamp),
    }
}

fn kind(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Personal => "personal",
        CredentialKind::ProjectSecret => "project_secret",
        CredentialKind::ProjectToken => "project_token",
    }
}
