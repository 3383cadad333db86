//! What a project is, and how a request names one.

use chrono::{DateTime, Utc};

use super::error::{Error, Result};

/// A project: the border that no query crosses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its number, used in paths.
    pub id: i64,
    /// The organization that owns it.
    pub organization_id: i64,
    /// The name that people gave it.
    pub name: String,
    /// The public token (`phc_…`) that clients send; not a secret.
    pub api_token: String,
    /// IANA name of the zone in which naive dates are read.
    pub timezone: String,
    /// 1 (default) or 2: how `exact` treats boolean-like filters (evaluation 6.3).
    pub property_matching_version: i32,
    /// How many live flags it may hold.
    pub feature_flag_limit: i64,
    /// Whether new flags must name an evaluation context.
    pub require_evaluation_contexts: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Raised by every change to what evaluation reads.
    pub revision: i64,
    /// How many live flags it holds.
    pub flag_count: i64,
    /// How many activity rows about flags it holds.
    pub activity_count: i64,
}

/// How a request names a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectRef {
    /// `@current` or nothing: the credential's own, or the one whose public token is given beside it.
    Current {
        /// The `token` query parameter, where there was one.
        token: Option<String>,
    },
    /// By number.
    Id(i64),
}

impl ProjectRef {
    /// Reads the `project_id` of a path or a message.
    ///
    /// # Errors
    ///
    /// `NotFound` for anything but a number, `@current` or nothing: a project
    /// that cannot exist is not told apart from one that does not.
    pub fn parse(text: &str, token: Option<String>) -> Result<Self> {
        match text {
            "" | "@current" => Ok(Self::Current { token }),
            number => number.parse().map(Self::Id).map_err(|_| Error::not_found()),
        }
    }
}
