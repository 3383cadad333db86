//! Warnings on their way out to gRPC.

use crate::{model, wire::v1::Warning};

/// Warnings as messages.
#[must_use]
pub fn warnings(warnings: Vec<model::unknown_fields::Warning>) -> Vec<Warning> {
    let message = |warning: model::unknown_fields::Warning| Warning {
        path: warning.path,
        message: warning.message,
        suggestion: warning.suggestion.map(str::to_owned),
    };
    warnings.into_iter().map(message).collect()
}
