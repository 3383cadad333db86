//! The use-cases, one file each: check the caller, apply the rules of `model`,
//! write one transaction, refresh what evaluation reads.
//!
//! Both edges call these and nothing below them, so a permission or a rule
//! cannot be forgotten by one of them.

pub(crate) mod access;
pub(crate) mod activity;
pub(crate) mod bootstrap;
pub(crate) mod evaluation;
pub(crate) mod flags;
pub(crate) mod keys;
pub(crate) mod page;
pub(crate) mod projects;

use crate::{clock::Clock, snapshot::Snapshots, store::Store};

/// What every use-case stands on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Services {
    pub(crate) store: Store,
    pub(crate) snapshots: Snapshots,
    pub(crate) clock: Clock,
}

impl Services {
    /// The use-cases over one store.
    #[must_use]
    pub fn new(store: Store, snapshots: Snapshots, clock: Clock) -> Self {
        Self { store, snapshots, clock }
    }
}
