//! Views and interactions of features: the tiles that show them, and the mark
//! on flags that have any (management-api 3.10, 4.1).
//!
//! The mark is set in the background, soon after such events were ingested, by
//! whichever replica comes first: each looks again under the flag's lock, so
//! one row is written however many of them saw the same events.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Services, flag_log, usage_dashboard};
use crate::{
    model::{
        caller::{Caller, Scope},
        config_version,
        error::{BodyKind, Code, Error, Result},
        flag::FeatureFlag,
        project::ProjectRef,
    },
    store::ProjectWrite,
};

/// Flags marked in one look; the next look takes the rest.
const MOST_MARKED: u64 = 1_000;
/// Whatever was asked for, looking is not all there is to do.
const LEAST_INTERVAL: Duration = Duration::from_millis(20);
/// Under constant ingestion one look serves all commits of this long.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// And however long looks take, twenty times as long nobody looks.
const IDLE_PARTS: u32 = 20;

/// Tells the background that usage was committed. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct UsageSeen(Arc<Notify>);

impl UsageSeen {
    /// Says that views or interactions may have been counted. Cheap, and never waits.
    pub fn tell(&self) {
        self.0.notify_one();
    }
}

impl Services {
    /// Adds the tiles of views and interactions to a flag's usage dashboard.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Blocked`, each with its documented text, in the order of the document.
    pub(crate) async fn enrich_usage_dashboard(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<()> {
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let write = self.begin(project.id).await?;
        let enriched = self.enrich(write, id).await;
        enriched.map_err(|error| unable(error, "Unable to enrich usage dashboard"))
    }

    async fn enrich(&self, write: ProjectWrite, id: i64) -> Result<()> {
        let flag = write.lock_flag(id).await?.ok_or_else(Error::not_found)?;
        if flag.deleted {
            return Err(refused(
                "This feature flag has been deleted. Restore it before enriching its usage dashboard.",
            ));
        }
        let Some(dashboard) = usage_dashboard::live(&write, &flag).await? else {
            return Err(refused("Usage dashboard not found"));
        };
        if usage_dashboard::is_enriched(&dashboard) {
            return Err(refused("Usage dashboard already has enriched data"));
        }
        if flag.has_enriched_analytics != Some(true) {
            return Err(refused("No enriched analytics available for this feature flag"));
        }
        usage_dashboard::enrich(&write, dashboard.id, &flag, self.clock.now()).await?;
        write.commit_unseen().await
    }

    /// Makes a flag's usage dashboard where it has none; one that is there is kept.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Blocked` when it cannot be made.
    pub(crate) async fn create_usage_dashboard(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<()> {
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let write = self.begin(project.id).await?;
        let made = self.make_dashboard(write, id).await;
        made.map_err(|error| unable(error, "Unable to generate usage dashboard"))
    }

    async fn make_dashboard(&self, write: ProjectWrite, id: i64) -> Result<()> {
        let now = self.clock.now();
        let flag = write.lock_flag(id).await?.ok_or_else(Error::not_found)?;
        config_version::check_operation(&flag)?;
        let (dashboard_id, is_enriched) = match usage_dashboard::live(&write, &flag).await? {
            Some(dashboard) => (dashboard.id, usage_dashboard::is_enriched(&dashboard)),
            None => {
                let made = usage_dashboard::make(&write, &flag.key, now).await?;
                write.link_usage_dashboard(flag.id, made).await?;
                (made, false)
            }
        };
        if flag.has_enriched_analytics == Some(true) && !is_enriched {
            usage_dashboard::enrich(&write, dashboard_id, &flag, now).await?;
        }
        write.commit_unseen().await
    }

    /// Starts to mark flags whose views or interactions were seen, until `stop`: when told, and
    /// every `interval`, which finds what other replicas ingested.
    pub fn mark_enriched_flags(
        &self,
        interval: Duration,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let services = self.clone();
        let interval = interval.max(LEAST_INTERVAL);
        let looks = async move {
            loop {
                let began = Instant::now();
                services.look_for_enriched_flags().await;
                sleep(BETWEEN_LOOKS.max(began.elapsed() * IDLE_PARTS).min(interval)).await;
                // Told or not, it is time.
                let _ = timeout(interval, services.usage_seen.0.notified()).await;
            }
        };
        tasks.spawn(stop.clone().run_until_cancelled_owned(looks));
    }

    async fn look_for_enriched_flags(&self) {
        let found = match self.store.unmarked_enriched_flags(MOST_MARKED).await {
            Ok(found) => found,
            Err(error) => {
                return tracing::debug!(error = error.causes(), "no look for enriched usage");
            }
        };
        for (project_id, flag_id) in found {
            if let Err(error) = self.mark_enriched(project_id, flag_id).await {
                let error = error.causes();
                tracing::warn!(
                    project.id = project_id,
                    flag.id = flag_id,
                    error,
                    "flag not marked"
                );
            }
        }
    }

    /// Saves the mark, one activity row and the tiles, unless somebody else did.
    async fn mark_enriched(&self, project_id: i64, flag_id: i64) -> Result<()> {
        let mut write = self.begin(project_id).await?;
        let Some(before) = write.lock_flag(flag_id).await? else { return Ok(()) };
        let is_due = !before.deleted && before.has_enriched_analytics != Some(true);
        if !is_due || !write.has_enriching_usage(&before.key).await? {
            return Ok(());
        }
        let now = self.clock.now();
        let after = FeatureFlag {
            has_enriched_analytics: Some(true),
            updated_at: Some(now),
            ..before.clone()
        };
        write.update_flag(&before, &after).await?;
        flag_log::update(&mut write, &before, &after, None, now).await?;
        let dashboard = usage_dashboard::live(&write, &after).await?;
        if let Some(dashboard) = dashboard.filter(|it| !usage_dashboard::is_enriched(it)) {
            usage_dashboard::enrich(&write, dashboard.id, &after, now).await?;
        }
        self.commit(write, now).await.map(|_| ())
    }
}

fn refused(detail: &str) -> Error {
    Error::blocked(detail).with_body(BodyKind::SuccessError)
}

/// Once such an operation has begun, a failure of storage is a documented 400, so its cause is
/// logged here rather than by the edge.
fn unable(error: Error, detail: &str) -> Error {
    if !matches!(error.code, Code::Internal | Code::Unavailable) {
        return error;
    }
    tracing::error!(code = ?error.code, causes = error.causes(), "usage dashboard was not written");
    refused(detail)
}
