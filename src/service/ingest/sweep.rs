//! Forgets the ids of events that are older than anybody sends again.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::before;
use crate::service::Services;

/// How often ids are looked for that are to be forgotten, at the most and at the least.
const SWEEP_INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

impl Services {
    /// Forgets the ids of events beyond the window, in small transactions, until `stop`.
    pub(crate) fn sweep_ingested_events(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        let (services, stop) = (self.clone(), stop.clone());
        tasks.spawn(async move { stop.run_until_cancelled(services.sweep_on()).await });
    }

    async fn sweep_on(self) {
        let window = self.ingest_settings.dedup_window;
        let (shortest, longest) = SWEEP_INTERVALS;
        let mut interval = tokio::time::interval((window / 10).clamp(shortest, longest));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            loop {
                match self.store.forget_events(before(self.clock.now(), window)).await {
                    Ok(true) => tokio::task::yield_now().await,
                    Ok(false) => break,
                    Err(error) => {
                        tracing::debug!(error = error.causes(), "ids of events were not swept");
                        break;
                    }
                }
            }
        }
    }
}
