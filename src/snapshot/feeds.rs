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
    model::error::{Code, Error, Result},
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
    /// The revision that they belong to.
    pub(crate) revision: i64,
    /// The weak entity tag of the body.
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
    newest: ArcSwapOption<Feed>,
    writing: Mutex<()>,
}

impl Feeds {
    /// Forgets what was written: it is not older than what comes, and yet not the same.
    pub(super) fn forget(&self) {
        for cell in [&self.with_cohorts, &self.expanded] {
            cell.newest.store(None);
        }
    }

    fn cell(&self, form: Form) -> &Cell {
        match form {
            Form::WithCohorts => &self.with_cohorts,
            Form::Expanded => &self.expanded,
        }
    }
}

impl Cell {
    fn since(&self, revision: i64) -> Option<Arc<Feed>> {
        self.newest.load_full().filter(|feed| feed.revision >= revision)
    }
}

impl Slot {
    /// The feed that is written already, if it is as new as the snapshot.
    fn feed(&self, form: Form) -> Option<Arc<Feed>> {
        self.feeds.cell(form).since(self.state.load().project.revision)
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
                self.slot(project_id).ok().and_then(newest).ok_or(error)
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
        let feed = Arc::new(written(&self.store, project_id, form).await?);
        cell.newest.store(Some(Arc::clone(&feed)));
        Ok(feed)
    }
}

async fn written(store: &Store, project_id: i64, form: Form) -> Result<Feed> {
    let definitions = store.definitions_for_others(project_id).await?;
    let definitions = definitions.ok_or_else(Error::not_found)?;
    let body = Bytes::from(feed::write(&definitions, form)?);
    let etag = etag::of(&body);
    let etag_header = HeaderValue::try_from(&etag).map_err(Error::internal)?;
    Ok(Feed { revision: definitions.project.revision, etag, etag_header, body })
}
