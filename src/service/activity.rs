//! Who changed what (management-api 4.6).

use super::{Services, page::MOST};
use crate::{
    model::{
        activity::{Activity, ActivityFilter, Mark, Start},
        caller::{Caller, Scope},
        error::{Error, Result},
        json::Object,
        project::ProjectRef,
    },
    store::activity::ActivityPage,
};

/// Which rows are asked for.
#[derive(Debug)]
pub(crate) struct WantedRows<'a> {
    /// About one flag, or about all flags of the project, gone ones included.
    pub(crate) flag_id: Option<i64>,
    /// What they are narrowed to, by name.
    pub(crate) filter: &'a Object,
    /// Where they begin.
    pub(crate) start: Start,
    /// How many at most; more than a page holds are clipped.
    pub(crate) limit: u64,
}

/// A part of the log.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) results: Vec<Activity>,
    /// How many there are in all.
    pub(crate) total: i64,
    /// Whether others come after these.
    pub(crate) more: bool,
}

impl Rows {
    /// gRPC's token for the next page; empty on the last one. It names the last row rather than
    /// count, so that rows that come meanwhile move nothing.
    pub(crate) fn next_token(&self) -> String {
        let last = self.results.last().filter(|_| self.more);
        last.map(|row| row.mark().token()).unwrap_or_default()
    }
}

/// Where gRPC's page token says that a page begins.
///
/// # Errors
///
/// `Invalid` for what is no token.
pub(crate) fn start(page_token: &str) -> Result<Start> {
    let unknown = || Error::field("page_token", "invalid_input", "This is no token of this list.");
    match page_token {
        "" => Ok(Start::Offset(0)),
        token => Mark::parse(token).map(Start::After).ok_or_else(unknown),
    }
}

impl Services {
    /// Rows of the log, newest first.
    ///
    /// The total is kept, and so costs nothing, unless a filter asks for fewer rows.
    pub(crate) async fn activity(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        wanted: WantedRows<'_>,
    ) -> Result<Rows> {
        let project = self.open(caller, Scope::ACTIVITY_READ, project).await?;
        let filter = ActivityFilter::parse(wanted.filter)?;
        let kept = match wanted.flag_id {
            None => project.activity_count,
            Some(id) => self
                .store
                .flag_activity_count(project.id, id)
                .await?
                .ok_or_else(Error::not_found)?,
        };
        let limit = wanted.limit.clamp(1, MOST);
        let is_filtered = filter != ActivityFilter::default();
        let (flag_id, start) = (wanted.flag_id, wanted.start);
        let page = ActivityPage { flag_id, filter, start, limit: limit + 1 };
        let mut results = self.store.activity(project.id, &page).await?;
        let at_most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = results.len() > at_most;
        let total = match is_filtered {
            true => self.store.activity_count(project.id, &page).await?,
            // Rows may have come since the total was read.
            false => kept.max(seen(start, results.len())),
        };
        results.truncate(at_most);
        Ok(Rows { results, total, more })
    }
}

/// How many rows there are at least, by those that were found.
fn seen(start: Start, found: usize) -> i64 {
    match start {
        Start::Offset(offset) if found > 0 => {
            i64::try_from(offset.saturating_add(found as u64)).unwrap_or(i64::MAX)
        }
        _ => 0,
    }
}
