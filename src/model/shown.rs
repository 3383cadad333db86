//! A flag as a caller sees it: what is stored, and what only the moment and the
//! caller decide (management-api 3.2).

use chrono::{DateTime, Utc};

use super::{
    caller::{Caller, Scope},
    flag::FeatureFlag,
    status::{self, Status},
};

/// A flag on its way out.
#[derive(Clone, Debug)]
pub struct ShownFlag {
    /// What is stored.
    pub flag: FeatureFlag,
    /// Whether it is in use, as of now.
    pub status: Status,
    /// Whether this caller may change it.
    pub can_edit: bool,
}

impl ShownFlag {
    /// The flag as `caller` sees it at `now`.
    #[must_use]
    pub fn to(caller: &Caller, flag: FeatureFlag, now: DateTime<Utc>) -> Self {
        let status = status::of(&flag, now).status;
        Self { status, can_edit: caller.granted(Scope::FLAG_WRITE).is_ok(), flag }
    }

    /// The caller's level of access, in the documented word.
    #[must_use]
    pub const fn access_level(&self) -> &'static str {
        if self.can_edit { "editor" } else { "viewer" }
    }
}
