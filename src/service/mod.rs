//! The use-cases, one file each: check the caller, apply the rules of `model`,
//! write one transaction, refresh what evaluation reads.
//!
//! Both edges call these and nothing below them, so a permission or a rule
//! cannot be forgotten by one of them.

pub(crate) mod access;
pub(crate) mod activity;
pub(crate) mod batch;
pub(crate) mod bootstrap;
mod cohort_members;
mod cohorts;
mod continuity;
mod dashboards;
pub(crate) mod definitions;
mod enrichment;
pub(crate) mod evaluation;
mod flag_log;
mod flag_rules;
pub(crate) mod flags;
mod groups;
pub(crate) mod keys;
mod known;
pub(crate) mod page;
mod people;
pub(crate) mod persons;
pub(crate) mod projects;
pub(crate) mod rotation;
mod usage_dashboard;

pub use enrichment::UsageSeen;

use crate::{
    clock::Clock,
    encryption::Encryptor,
    snapshot::{Snapshots, lists::Lists},
    store::Store,
};

/// What every use-case stands on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Services {
    pub(crate) store: Store,
    pub(crate) snapshots: Snapshots,
    pub(crate) lists: Lists,
    pub(crate) clock: Clock,
    pub(crate) encryptor: Encryptor,
    pub(crate) usage_seen: UsageSeen,
}

impl Services {
    /// The use-cases over one store.
    #[must_use]
    pub fn new(store: Store, snapshots: Snapshots, clock: Clock, encryptor: Encryptor) -> Self {
        let lists = Lists::new(store.clone());
        Self { store, snapshots, lists, clock, encryptor, usage_seen: UsageSeen::default() }
    }
}
