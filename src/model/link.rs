//! What other products hold on to a flag: experiments, early access, surveys,
//! replay settings (architecture 5, `flag_link`).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// Which product a link comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// An experiment on the flag.
    Experiment,
    /// An early-access feature behind the flag.
    EarlyAccess,
    /// A survey shown by the flag.
    Survey,
    /// Session-replay settings that read the flag.
    Replay,
}

impl LinkKind {
    /// The kind by its stored name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "experiment" => Some(Self::Experiment),
            "early_access" => Some(Self::EarlyAccess),
            "survey" => Some(Self::Survey),
            "replay" => Some(Self::Replay),
            _ => None,
        }
    }
}

/// Something that refers to a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Which product it is of.
    pub kind: LinkKind,
    /// Its number in that product.
    pub ref_id: i64,
    /// Its name there.
    pub name: String,
    /// When an experiment began to run.
    pub started_at: Option<DateTime<Utc>>,
    /// When it stopped.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether it was deleted there.
    pub deleted: bool,
}

impl Link {
    /// An experiment that has begun and not stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.is_live(LinkKind::Experiment) && self.started_at.is_some() && self.ended_at.is_none()
    }

    /// Whether it is of this kind and not deleted.
    #[must_use]
    pub fn is_live(&self, kind: LinkKind) -> bool {
        self.kind == kind && !self.deleted
    }

    /// `{id, name}`, as a flag shows what refers to it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"id": self.ref_id, "name": self.name})
    }
}
