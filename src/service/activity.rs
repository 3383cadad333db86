//! Who changed what (management-api 4.6).

use super::{
    Services,
    page::{Listing, MOST, Sized, Wanted, shortened},
};
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
    /// Whether there may be fewer, where they are large.
    pub(crate) may_shorten: bool,
}

/// A part of the log.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub(crate) results: T,
    /// How many there are in all.
    pub(crate) total: i64,
    /// Whether others come after these.
    pub(crate) more: bool,
}

impl Rows<Listing<Activity>> {
    /// Reads all rows.
    pub(crate) async fn into_page(self) -> Result<Rows<Vec<Activity>>> {
        let Self { results, total, more } = self;
        Ok(Rows { results: results.into_page().await?.results, total, more })
    }
}

impl Rows<Vec<Activity>> {
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
    ) -> Result<Rows<Listing<Activity>>> {
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
        let sizes = self.store.activity_sizes(project.id, &page).await?;
        let found = sizes.len();
        let sizes = sizes.into_iter().map(|(id, bytes)| Sized { id, bytes });
        let mut sizes: Vec<_> = sizes.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
        if wanted.may_shorten {
            sizes.truncate(shortened(&sizes));
        }
        let more = sizes.len() < found;
        let total = match is_filtered {
            true => self.store.activity_count(project.id, &page).await?,
            // Rows may have come since the total was read.
            false => kept.max(seen(start, found)),
        };
        let (store, project_id) = (self.store.clone(), project.id);
        let results = Listing::new(Wanted::new(0, limit), total, sizes, move |ids| {
            let store = store.clone();
            async move { store.activity_among(project_id, ids).await }
        });
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
