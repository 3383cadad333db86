//! What lists of flags are chosen from, held in memory and never behind the database.
//!
//! A list tells how many flags match, and a database that counts 100,000 rows takes its time.
//! So the columns that filters ask for are held here, for projects whose lists are asked for.
//! A request comes with the revision that its project has in the database: what changed since is
//! read first, and a caller sees what anybody wrote before asking. The flags of the page itself,
//! and what names in a filter stand for, are read from the database each time.
//!
//! The database chooses where memory cannot: by when flags were called, which moves without a
//! revision, in orders by other columns, and in projects too large to hold.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use moka::sync::Cache;
use tokio::sync::Mutex;

use crate::{
    model::{
        error::Result,
        flag_filter::{Activity, FlagFilter, Order},
        history_point::HistoryPoint,
        listed::{Chosen, FlagIndex, Part},
        project::Project,
    },
    store::{Store, flag_list::FlagPage},
};

/// The most flags that are held for all projects together, at some 300 bytes each.
const MOST_FLAGS: u64 = 1_000_000;

/// How long a project's flags are held after the last look at its lists.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// Beyond this many changed flags, reading all anew is cheaper.
const MOST_PATCHED: usize = 500;

/// The lists of every project. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    store: Store,
    held: Cache<i64, Arc<Slot>>,
}

/// A project's place: what is held, and the right to replace it.
#[derive(Debug)]
struct Slot {
    /// How many flags the project had when it came.
    flags: u32,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    /// Of this state, or newer.
    point: HistoryPoint,
    index: Arc<FlagIndex>,
}

impl Lists {
    /// Holds nothing yet.
    pub(crate) fn new(store: Store) -> Self {
        let held = Cache::builder()
            .max_capacity(MOST_FLAGS)
            .weigher(|_, slot: &Arc<Slot>| slot.flags.max(1))
            .time_to_idle(IDLE)
            .build();
        Self { store, held }
    }

    /// The numbers of the flags of one page, and how many there are in all. `project` is as the
    /// database has it now.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is.
    pub(crate) async fn page(&self, project: &Project, page: &FlagPage) -> Result<(Vec<i64>, i64)> {
        match self.choose(project, &page.filter, &page.order, (page.offset, page.limit)).await? {
            Some(Chosen { ids, total }) => Ok((ids, i64::try_from(total).unwrap_or(i64::MAX))),
            None => self.store.flags(project.id, page).await,
        }
    }

    /// The numbers of all matching flags, newest first.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is.
    pub(crate) async fn matching_ids(
        &self,
        project: &Project,
        filter: &FlagFilter,
        now: DateTime<Utc>,
    ) -> Result<Vec<i64>> {
        match self.choose(project, filter, &Order::default(), (0, u64::MAX)).await? {
            Some(chosen) => Ok(chosen.ids),
            None => self.store.matching_ids(project.id, filter, now).await,
        }
    }

    /// What a list holds; `None` where the database has to choose.
    async fn choose(
        &self,
        project: &Project,
        filter: &FlagFilter,
        order: &Order,
        (offset, limit): (u64, u64),
    ) -> Result<Option<Chosen>> {
        let is_here = order.field == Order::default().field
            && filter.activity != Some(Activity::Stale)
            && u64::try_from(project.flag_count).is_ok_and(|count| count <= MOST_FLAGS / 2);
        if !is_here {
            return Ok(None);
        }
        let Some(outside) = self.store.outside(project.id, filter).await? else {
            return Ok(None);
        };
        let number = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let part =
            Part { newest_first: order.descending, offset: number(offset), limit: number(limit) };
        Ok(self.current(project).await?.choose(filter, &outside, part))
    }

    /// The flags of a project, no older than the state that `project` was read in.
    async fn current(&self, project: &Project) -> Result<Arc<FlagIndex>> {
        let flags = u32::try_from(project.flag_count).unwrap_or(u32::MAX);
        let fresh = || Arc::new(Slot { flags, state: Mutex::default() });
        let slot = self.held.get_with(project.id, fresh);
        let mut state = slot.state.lock().await;
        let newest = match &*state {
            Some(held) if self.is_current(project, held).await? => {
                return Ok(Arc::clone(&held.index));
            }
            Some(held) => self.patched(project, held).await?,
            None => self.whole(project).await?,
        };
        let index = Arc::clone(&newest.index);
        *state = Some(newest);
        Ok(index)
    }

    async fn whole(&self, project: &Project) -> Result<State> {
        let flags = self.store.listed(project.id, None).await?;
        Ok(State { point: project.point(), index: Arc::new(FlagIndex::new(flags)) })
    }

    /// Whether what is held is of the project's state, or of a later one of the same history.
    async fn is_current(&self, project: &Project, held: &State) -> Result<bool> {
        if held.point.revision <= project.revision {
            return Ok(held.point == project.point());
        }
        let later = self.store.changes_since(project.id, project.point()).await?;
        Ok(later.is_some_and(|later| later.points.contains(&held.point)))
    }

    async fn patched(&self, project: &Project, before: &State) -> Result<State> {
        let Some(changes) = self.store.changes_since(project.id, before.point).await? else {
            return self.whole(project).await;
        };
        let reached = changes.newest().unwrap_or(before.point);
        let is_behind = reached.revision < project.revision;
        if is_behind || changes.other || changes.flag_ids.len() > MOST_PATCHED {
            return self.whole(project).await;
        }
        let found = self.store.listed(project.id, Some(&changes.flag_ids)).await?;
        Ok(State {
            point: reached,
            index: Arc::new(before.index.patched(&changes.flag_ids, found)),
        })
    }
}
