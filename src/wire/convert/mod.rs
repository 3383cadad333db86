//! Conversions between messages and nouns, one file a subject.

mod activity;
mod filters;
mod flag;
mod input;
mod mask;
mod project;
mod values;

pub use activity::activity;
pub use flag::flag;
pub use input::{FlagInput, created, updated};
pub use project::{project, project_update};
pub use values::{object_from_struct, timestamp};
