//! Conversions between messages and nouns, one file a subject.

mod activity;
mod api_key;
mod blast_radius;
mod bulk;
mod dashboard;
mod definitions;
mod directory;
mod event;
mod filter;
mod filters;
mod flag;
mod input;
mod mask;
mod project;
mod test_evaluation;
mod values;
mod version;
mod warning;
mod watch;

pub use activity::{activity, activity_filter, flag_activity_filter};
pub use api_key::api_key;
pub use blast_radius::{reach, reach_body};
pub use bulk::{deletion_body, ids_body, rollout, tags_body};
pub use dashboard::dashboard;
pub use definitions::definitions;
pub use directory::{
    cohort, created_cohort, group, group_type, person, updated_cohort, updated_group_type,
};
pub use event::event;
pub use filter::{list_filter, matching_filter};
pub use flag::{dependent, flag, minimal_flag, rollout_summary, status};
pub use input::{FlagInput, created, updated};
pub use project::{project, project_body};
pub use test_evaluation::{test_body, tested};
pub use values::{instant, object_from_struct, timestamp, to_wire as value};
pub use version::{version, version_summary};
pub use warning::warnings;
pub use watch::{WatchEvent, watched};
pub(crate) use watch::{watch_position, written};
