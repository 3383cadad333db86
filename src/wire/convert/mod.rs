//! Conversions between messages and nouns, one file a subject.

mod activity;
mod dashboard;
mod definitions;
mod directory;
mod filter;
mod filters;
mod flag;
mod input;
mod mask;
mod project;
mod values;

pub use activity::activity;
pub use dashboard::dashboard;
pub use definitions::definitions;
pub use directory::{cohort, created_cohort, group, group_type, person, updated_cohort};
pub use filter::{list_filter, matching_filter};
pub use flag::{dependent, flag};
pub use input::{FlagInput, created, updated};
pub use project::{project, project_update};
pub use values::{object_from_struct, timestamp};
