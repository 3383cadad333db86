//! What a project is, and how a request names one.

use chrono::{DateTime, Utc};

use super::{
    error::{Error, Result},
    history_point::{HistoryPoint, HistoryToken},
};

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
    /// Whether writes with unknown fields are refused, unless the request says otherwise.
    pub strict_writes: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Raised by every change to what evaluation reads.
    pub revision: i64,
    /// The random token that the revision was committed with.
    pub history_token: HistoryToken,
    /// The token of the newest revision that changed what feeds of definitions show.
    pub definitions_token: HistoryToken,
    /// How many live flags it holds.
    pub flag_count: i64,
    /// How many activity rows about flags it holds.
    pub activity_count: i64,
}

impl Project {
    /// A project about to be stored, with the settings that every project begins with.
    #[must_use]
    pub fn fresh(organization_id: i64, api_token: &str, now: DateTime<Utc>) -> Self {
        let history_token = HistoryToken::random();
        Self {
            id: 0,
            organization_id,
            name: String::new(),
            api_token: api_token.to_owned(),
            timezone: "UTC".into(),
            property_matching_version: 1,
            feature_flag_limit: 2000,
            require_evaluation_contexts: false,
            strict_writes: false,
            created_at: now,
            revision: 0,
            history_token,
            definitions_token: history_token,
            flag_count: 0,
            activity_count: 0,
        }
    }

    /// Returns its state: the revision, and the token that it was committed with.
    #[must_use]
    pub const fn point(&self) -> HistoryPoint {
        HistoryPoint::new(self.revision, self.history_token)
    }
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

/// The settings that a project's owners may change.
pub mod settings {
    use chrono_tz::Tz;

    use super::Project;
    use crate::model::{
        error::{Error, Result},
        fields,
        json::Object,
    };

    /// A new project: `fresh`, with what `body` asks for. Only the name has to be there.
    ///
    /// # Errors
    ///
    /// As [`apply`], and `required` without a name.
    pub fn created(body: &Object, fresh: &Project) -> Result<Project> {
        if !body.contains_key("name") {
            return Err(fields::required("name"));
        }
        apply(body, fresh)
    }

    /// The project as it would become; what `body` does not mention stays, what it does not know is ignored.
    ///
    /// # Errors
    ///
    /// The first wrong field, with its stock message.
    pub fn apply(body: &Object, current: &Project) -> Result<Project> {
        let field = |name: &str| body.get(name);
        Ok(Project {
            name: match field("name") {
                Some(value) => fields::short_text("name", value, 200)?,
                None => current.name.clone(),
            },
            timezone: match field("timezone") {
                Some(value) => timezone(&fields::text("timezone", value)?)?,
                None => current.timezone.clone(),
            },
            property_matching_version: match field("property_matching_version") {
                Some(value) => matching(fields::integer("property_matching_version", value)?)?,
                None => current.property_matching_version,
            },
            feature_flag_limit: match field("feature_flag_limit") {
                Some(value) => limit(fields::integer("feature_flag_limit", value)?)?,
                None => current.feature_flag_limit,
            },
            require_evaluation_contexts: match field("require_evaluation_contexts") {
                Some(value) => fields::boolean("require_evaluation_contexts", value)?,
                None => current.require_evaluation_contexts,
            },
            strict_writes: match field("strict_writes") {
                Some(value) => fields::boolean("strict_writes", value)?,
                None => current.strict_writes,
            },
            ..current.clone()
        })
    }

    fn timezone(name: &str) -> Result<String> {
        let refuse = |_| {
            Error::field("timezone", "invalid_choice", format!("\"{name}\" is not a valid choice."))
        };
        name.parse::<Tz>().map(|zone| zone.name().to_owned()).map_err(refuse)
    }

    fn matching(version: i64) -> Result<i32> {
        match version {
            1 => Ok(1),
            2 => Ok(2),
            other => {
                let detail = format!("\"{other}\" is not a valid choice.");
                Err(Error::field("property_matching_version", "invalid_choice", detail))
            }
        }
    }

    fn limit(limit: i64) -> Result<i64> {
        let refuse = |reason: &'static str, detail: String| {
            Err(Error::field("feature_flag_limit", reason, detail))
        };
        match limit {
            ..0 => refuse("min_value", "Ensure this value is greater than or equal to 0.".into()),
            _ if limit > i64::from(i32::MAX) => refuse(
                "max_value",
                format!("Ensure this value is less than or equal to {}.", i32::MAX),
            ),
            _ => Ok(limit),
        }
    }
}
