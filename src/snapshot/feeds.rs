//! The feeds of a project's definitions: written when first asked for, and
//! kept as bytes for as long as nothing changes.
//!
//! Stored texts are not held in memory for them; they are read when a feed is
//! written. Whoever asks while one is being written waits for it.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::HeaderValue;
use tokio::{sync::Mutex, time::timeout};

use super::{Slot, Snapshots};
use crate::{
    model::{
        error::{Code, Error, Result},
        history_point::HistoryPoint,
    },
    sdk::{
        etag,
        feed::{self, Form},
    },
    store::Store,
};

/// How long a feed that is not written yet is waited for, those who write it before included.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A project's definitions, ready to be sent.
#[derive(Debug)]
pub(crate) struct Feed {
    /// The state that they belong to.
    pub(crate) point: HistoryPoint,
    /// The weak entity tag of the body and of the history that it belongs to.
    pub(crate) etag: String,
    /// The same as a header carries it.
    pub(crate) etag_header: HeaderValue,
    /// JSON.
    pub(crate) body: Bytes,
}

/// A project's feeds, one a form.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    with_cohorts: Cell,
    expanded: Cell,
}

/// The newest feed of one form, and the right to replace it.
#[derive(Debug, Default)]
struct Cell {
    newest: ArcSwapOption<Written>,
    writing: Mutex<()>,
}

/// A feed, with how often its project had been rebuilt before the feed was read.
#[derive(Debug)]
struct Written {
    feed: Arc<Feed>,
    rebuilds: u64,
}

impl Feeds {
    fn cell(&self, form: Form) -> &Cell {
        match form {
            Form::WithCohorts => &self.with_cohorts,
            Form::Expanded => &self.expanded,
        }
    }
}

impl Cell {
    /// Returns the newest feed, unless it is of another history or an earlier revision.
    fn since(&self, revision: i64, rebuilds: u64) -> Option<Arc<Feed>> {
        let newest = self.newest.load();
        let is_valid =
            |it: &&Arc<Written>| it.rebuilds == rebuilds && it.feed.point.revision >= revision;
        newest.as_ref().filter(is_valid).map(|it| Arc::clone(&it.feed))
    }
}

impl Slot {
    /// The feed that is written already, if it is as new as the snapshot.
    fn feed(&self, form: Form) -> Option<Arc<Feed>> {
        let revision = self.state.load().project.revision;
        self.feeds.cell(form).since(revision, self.rebuilds())
    }
}

impl Snapshots {
    /// A project's feed, at least as new as its snapshot. With the database gone it is the newest
    /// that was ever written.
    ///
    /// # Errors
    ///
    /// `NotFound` for a project that is not there; `Unavailable` for a feed that was never
    /// written, when the database is gone.
    pub(crate) async fn feed(&self, project_id: i64, form: Form) -> Result<Arc<Feed>> {
        if let Some(feed) = self.slot(project_id).ok().and_then(|slot| slot.feed(form)) {
            return Ok(feed);
        }
        // Apart, so that those who find it written do not take room along for it.
        Box::pin(self.feed_to_be_written(project_id, form)).await
    }

    /// Writes a feed, or gives the newest there is where the database does not answer in time.
    async fn feed_to_be_written(&self, project_id: i64, form: Form) -> Result<Arc<Feed>> {
        let written = self.store.reachability().unless_lost(self.write_feed(project_id, form));
        match timeout(WRITE_TIMEOUT, written).await.map_err(Error::unavailable).flatten() {
            Err(error) if error.code == Code::Unavailable => {
                let newest = |slot: Arc<Slot>| slot.feeds.cell(form).newest.load_full();
                let newest = self.slot(project_id).ok().and_then(newest);
                newest.map(|newest| Arc::clone(&newest.feed)).ok_or(error)
            }
            outcome => outcome,
        }
    }

    async fn write_feed(&self, project_id: i64, form: Form) -> Result<Arc<Feed>> {
        self.get(project_id).await?;
        let slot = self.slot(project_id)?;
        let cell = slot.feeds.cell(form);
        let _writing = cell.writing.lock().await;
        if let Some(feed) = slot.feed(form) {
            return Ok(feed);
        }
        // Taken before the feed is read: one that is read while the project is rebuilt may be of
        // the history before.
        let rebuilds = slot.rebuilds();
        let feed = Arc::new(written(&self.store, project_id, form).await?);
        cell.newest.store(Some(Arc::new(Written { feed: Arc::clone(&feed), rebuilds })));
        Ok(feed)
    }
}

async fn written(store: &Store, project_id: i64, form: Form) -> Result<Feed> {
    let definitions = store.definitions_for_others(project_id).await?;
    let definitions = definitions.ok_or_else(Error::not_found)?;
    let body = Bytes::from(feed::write(&definitions, form)?);
    let point = definitions.project.point();
    let etag = etag::of(definitions.project.definitions_token, &body);
    let etag_header = HeaderValue::try_from(&etag).map_err(Error::internal)?;
    Ok(Feed { point, etag, etag_header, body })
}
