//! Hears announcements and does nothing else.

use std::time::Instant;

use sea_orm::sqlx::postgres::PgListener;
use tokio::{sync::watch, task::JoinSet};

/// A connection that listens.
#[derive(Debug)]
pub(crate) struct Bare {
    /// The newest revision that it heard of, and when.
    newest: watch::Receiver<(i64, Instant)>,
    _listening: JoinSet<()>,
}

impl Bare {
    pub(crate) async fn listen(url: &str) -> Self {
        let mut listener = PgListener::connect(url).await.expect("the database");
        listener.listen("flagstaff").await.expect("its announcements");
        let (tell, newest) = watch::channel((0, Instant::now()));
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            while let Ok(heard) = listener.recv().await {
                let revision = heard.payload().strip_prefix("revision 1 ");
                let Some(revision) = revision.and_then(|text| text.parse().ok()) else { continue };
                tell.send_replace((revision, Instant::now()));
            }
        });
        Self { newest, _listening: listening }
    }

    /// When it heard of a revision.
    pub(crate) async fn heard(&self, revision: i64) -> Instant {
        let mut newest = self.newest.clone();
        let heard = newest.wait_for(|(heard, _)| *heard >= revision).await;
        heard.expect("it listens").1
    }
}
