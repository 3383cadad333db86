//! What the operator is told of an import: what came, what changed, what could
//! not come along, and why.

/// What kind of thing an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A type of groups, such as `company`.
    GroupType,
    /// A cohort.
    Cohort,
    /// A feature flag.
    Flag,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not here, and is now.
    Created,
    /// It was here, and is now as it is there.
    Updated,
    /// It was here, and like it is there.
    Unchanged,
    /// It was here, is different, and stays so.
    Kept,
    /// It could not come along.
    Refused,
}

impl Outcome {
    /// Every outcome, in the order of summaries.
    pub const ALL: [Self; 5] =
        [Self::Created, Self::Updated, Self::Unchanged, Self::Kept, Self::Refused];

    /// The word for programs and for tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
            Self::Refused => "refused",
        }
    }

    /// Whether something was written.
    #[must_use]
    pub const fn is_change(self) -> bool {
        matches!(self, Self::Created | Self::Updated)
    }
}

impl Kind {
    /// Every kind, in the order of the walk.
    pub const ALL: [Self; 3] = [Self::GroupType, Self::Cohort, Self::Flag];

    /// The word for programs and for tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::GroupType => "group type",
            Self::Cohort => "cohort",
            Self::Flag => "flag",
        }
    }
}

/// One thing, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// A flag's key, a cohort's or a group type's name.
    pub name: String,
    /// Its number there.
    pub there: i64,
    /// Its number here; `None` for what could not come along.
    pub here: Option<i64>,
    /// What became of it.
    pub outcome: Outcome,
    /// What was left behind, what is different, or why it was refused.
    pub notes: Vec<String>,
}

/// What became of everything, in the order in which it was made.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One entry for each group type, cohort and flag.
    pub entries: Vec<Entry>,
}

impl Report {
    /// How many things of a kind had an outcome.
    #[must_use]
    pub fn count(&self, kind: Kind, outcome: Outcome) -> usize {
        self.entries.iter().filter(|entry| (entry.kind, entry.outcome) == (kind, outcome)).count()
    }

    /// Whether anything was, or would be, written.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.entries.iter().any(|entry| entry.outcome.is_change())
    }

    /// Whether everything came along.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.entries.iter().all(|entry| entry.outcome != Outcome::Refused)
    }
}
