//! Decides what a credential may do.
//!
//! A [`Caller`] is who authentication found; [`Caller::require`] and
//! [`Caller::opens`] are the two questions a use-case asks of it. Nothing here
//! reads the database: a caller carries all that was granted.
//!
//! The scope table is management-api 1.2.

use chrono::{DateTime, Utc};

use super::error::{Error, Result};

/// One permission, such as `feature_flag:write`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What it is about: `feature_flag`, `activity_log`, …
    pub object: &'static str,
    /// Whether it allows changes; a write scope implies the read scope.
    pub write: bool,
}

impl Scope {
    /// Read flags, evaluate by key, see dashboards.
    pub const FLAG_READ: Self = Self { object: "feature_flag", write: false };
    /// Change flags.
    pub const FLAG_WRITE: Self = Self { object: "feature_flag", write: true };
    /// Read who changed what.
    pub const ACTIVITY_READ: Self = Self { object: "activity_log", write: false };
    /// See persons and groups.
    pub const PERSON_READ: Self = Self { object: "person", write: false };
    /// Delete persons.
    pub const PERSON_WRITE: Self = Self { object: "person", write: true };
    /// See cohorts.
    pub const COHORT_READ: Self = Self { object: "cohort", write: false };
    /// Change cohorts and their members.
    pub const COHORT_WRITE: Self = Self { object: "cohort", write: true };
    /// See a project and its keys.
    pub const PROJECT_READ: Self = Self { object: "project", write: false };
    /// Change a project and its keys.
    pub const PROJECT_WRITE: Self = Self { object: "project", write: true };

    const ALL: [Self; 9] = [
        Self::FLAG_READ,
        Self::FLAG_WRITE,
        Self::ACTIVITY_READ,
        Self::PERSON_READ,
        Self::PERSON_WRITE,
        Self::COHORT_READ,
        Self::COHORT_WRITE,
        Self::PROJECT_READ,
        Self::PROJECT_WRITE,
    ];

    /// Whether `text` is a scope that a key can be given, `*` included.
    #[must_use]
    pub fn is_known(text: &str) -> bool {
        text == "*" || Self::ALL.iter().any(|scope| scope.to_string() == text)
    }

    /// Every scope a key can be given, for help texts.
    #[must_use]
    pub fn known() -> String {
        let names: Vec<_> = Self::ALL.iter().map(ToString::to_string).collect();
        format!("{}, *", names.join(", "))
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.object, if self.write { "write" } else { "read" })
    }
}

/// What kind of credential was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// `phx_…`: a person's key, the only kind that manages flags.
    Personal,
    /// `phs_…`: a project's secret; evaluation, definitions, remote configuration.
    ProjectSecret,
    /// `phc_…`: a project's public token; evaluation and ingestion only.
    ProjectToken,
}

/// Which projects a credential reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every project of the caller's organization.
    Organization,
    /// These projects alone.
    Projects(Vec<i64>),
}

impl Reach {
    /// Whether a project of the organization is reached.
    #[must_use]
    pub fn includes(&self, project_id: i64) -> bool {
        match self {
            Self::Organization => true,
            Self::Projects(ids) => ids.contains(&project_id),
        }
    }
}

/// Somebody, as authentication found them.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The kind of credential shown.
    pub kind: CredentialKind,
    /// The key's number, or that of the project for its public token: with the kind, it tells
    /// one credential from another.
    pub credential_id: i64,
    /// The organization that everything this caller sees belongs to.
    pub organization_id: i64,
    /// The user behind a personal key; changes are signed with it.
    pub user_id: Option<i64>,
    /// The projects the credential was made for.
    pub reach: Reach,
    /// Scope texts as granted; `*` is everything.
    pub scopes: Vec<String>,
    /// When the credential stops to hold; `None` is never. It hands on no longer life than this.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Caller {
    /// Asks for a permission on an operation of the management API.
    ///
    /// # Errors
    ///
    /// `Forbidden` with the documented text, when the scope was not granted or
    /// the kind of credential never opens such operations.
    pub fn require(&self, scope: Scope) -> Result<()> {
        match self.kind {
            CredentialKind::Personal => self.granted(scope),
            CredentialKind::ProjectSecret => {
                Err(Error::forbidden("This action does not support project secret API key access"))
            }
            CredentialKind::ProjectToken => {
                Err(Error::forbidden("This action does not support project token access"))
            }
        }
    }

    /// As [`Caller::require`], for the operations that deliver to programs: a project's secret
    /// opens them too.
    ///
    /// # Errors
    ///
    /// As [`Caller::require`].
    pub fn require_or_secret(&self, scope: Scope) -> Result<()> {
        match self.kind {
            CredentialKind::ProjectSecret => self.granted(scope),
            CredentialKind::Personal | CredentialKind::ProjectToken => self.require(scope),
        }
    }

    /// Whether the caller may change a flag: any flag, with the scope to change flags.
    #[must_use]
    pub fn may_edit(&self, _flag_id: i64) -> bool {
        self.granted(Scope::FLAG_WRITE).is_ok()
    }

    /// Asks whether a scope was granted, whatever the kind of key.
    ///
    /// # Errors
    ///
    /// `Forbidden`, naming the missing scope.
    pub fn granted(&self, scope: Scope) -> Result<()> {
        if self.scopes.iter().any(|granted| covers(granted, scope)) {
            return Ok(());
        }
        Err(missing(scope))
    }

    /// Asks whether the caller may hand on a scope, given as text: nobody hands on what they
    /// do not have.
    ///
    /// # Errors
    ///
    /// `Forbidden`, naming the scope.
    pub fn may_grant(&self, scope: &str) -> Result<()> {
        match Scope::ALL.into_iter().find(|known| known.to_string() == scope) {
            Some(known) => self.granted(known),
            None if self.scopes.iter().any(|granted| granted == scope) => Ok(()),
            None => Err(missing(scope)),
        }
    }

    /// Whether the credential reaches a project of its organization.
    #[must_use]
    pub fn opens(&self, project_id: i64) -> bool {
        self.reach.includes(project_id)
    }

    /// Whether the credential reaches all that `reach` does.
    #[must_use]
    pub fn opens_all_of(&self, reach: &Reach) -> bool {
        match reach {
            Reach::Organization => self.reach == Reach::Organization,
            Reach::Projects(ids) => ids.iter().all(|id| self.opens(*id)),
        }
    }
}

fn missing(scope: impl std::fmt::Display) -> Error {
    Error::forbidden(format!("API key missing required scope '{scope}'"))
}

fn covers(granted: &str, wanted: Scope) -> bool {
    if granted == "*" {
        return true;
    }
    match granted.split_once(':') {
        Some((object, "write")) => object == wanted.object,
        Some((object, "read")) => object == wanted.object && !wanted.write,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn personal(scopes: &[&str]) -> Caller {
        Caller {
            kind: CredentialKind::Personal,
            credential_id: 1,
            organization_id: 1,
            user_id: Some(1),
            reach: Reach::Organization,
            scopes: scopes.iter().map(ToString::to_string).collect(),
            expires_at: None,
        }
    }

    #[test]
    fn a_scope_opens_what_the_table_says() {
        let cases: [(&str, &[&str], Scope, bool); 8] = [
            ("star opens everything", &["*"], Scope::FLAG_WRITE, true),
            ("read opens read", &["feature_flag:read"], Scope::FLAG_READ, true),
            ("write implies read", &["feature_flag:write"], Scope::FLAG_READ, true),
            ("read is not write", &["feature_flag:read"], Scope::FLAG_WRITE, false),
            ("another object's scope does not help", &["person:write"], Scope::FLAG_READ, false),
            ("flags do not open activity", &["feature_flag:write"], Scope::ACTIVITY_READ, false),
            ("activity does not open flags", &["activity_log:read"], Scope::FLAG_READ, false),
            ("no scope opens nothing", &[], Scope::FLAG_READ, false),
        ];
        for (name, scopes, wanted, allowed) in cases {
            assert_eq!(personal(scopes).require(wanted).is_ok(), allowed, "{name}");
        }
    }

    #[test]
    fn the_refusal_names_the_missing_scope() {
        let error = personal(&["feature_flag:read"]).require(Scope::FLAG_WRITE).unwrap_err();
        assert_eq!(error.detail, "API key missing required scope 'feature_flag:write'");
    }

    #[test]
    fn only_personal_keys_open_the_management_api() {
        for kind in [CredentialKind::ProjectSecret, CredentialKind::ProjectToken] {
            let caller = Caller { kind, ..personal(&["*"]) };
            assert!(caller.require(Scope::FLAG_READ).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn a_secret_opens_what_is_delivered_to_programs_by_its_scope() {
        let secret =
            |scopes: &[&str]| Caller { kind: CredentialKind::ProjectSecret, ..personal(scopes) };
        assert!(secret(&["feature_flag:read"]).require_or_secret(Scope::FLAG_READ).is_ok());
        assert!(secret(&["person:read"]).require_or_secret(Scope::FLAG_READ).is_err());
        let token = Caller { kind: CredentialKind::ProjectToken, ..personal(&["*"]) };
        assert!(token.require_or_secret(Scope::FLAG_READ).is_err());
        assert!(personal(&["feature_flag:read"]).require_or_secret(Scope::FLAG_READ).is_ok());
    }

    #[test]
    fn nobody_hands_on_a_scope_that_they_do_not_have() {
        let caller = personal(&["project:write", "feature_flag:read"]);
        for scope in ["project:write", "project:read", "feature_flag:read"] {
            assert!(caller.may_grant(scope).is_ok(), "{scope}");
        }
        for scope in ["feature_flag:write", "person:read", "*", "nonsense"] {
            assert!(caller.may_grant(scope).is_err(), "{scope}");
        }
        assert!(personal(&["*"]).may_grant("*").is_ok());
    }

    #[test]
    fn a_key_made_for_one_project_does_not_open_another() {
        let caller = Caller { reach: Reach::Projects(vec![2]), ..personal(&["*"]) };
        assert!(caller.opens(2));
        assert!(!caller.opens(1));
    }
}
