//! Conversions between messages and nouns, one file a subject.

mod activity;
mod filters;
mod flag;
mod input;
mod project;
mod values;

pub use flag::flag;
pub use activity::activity;
pub use input::{FlagInput, created, updated};
pub use project::project;
pub use values::{object_from_struct, timestamp};
