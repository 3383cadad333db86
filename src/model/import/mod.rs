//! A project's flags as another service lists them, and what became of them
//! here.
//!
//! Nothing in here reads the network or the database: [`flag`] and [`cohort`]
//! read what a list of the public API holds, [`references`] gives its numbers
//! new ones, [`order`] says what comes first, and [`report`] is what the
//! operator is told.

pub mod cohort;
pub mod flag;
pub mod order;
pub mod references;
pub mod report;

use std::collections::BTreeMap;

pub use cohort::ForeignCohort;
pub use flag::ForeignFlag;

/// What was read of a project elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    /// Its flags that are not deleted, in any order.
    pub flags: Vec<ForeignFlag>,
    /// Its cohorts that are not deleted, in any order.
    pub cohorts: Vec<ForeignCohort>,
    /// What its group types are called, by index; empty where nobody told.
    pub group_types: BTreeMap<i64, String>,
}

/// What becomes of a flag or a cohort that is here already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// It stays as it is here.
    Skip,
    /// It becomes as it is there.
    Update,
    /// Nothing at all is imported.
    Fail,
}
