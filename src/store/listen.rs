//! How processes on one PostgreSQL hear of each other's changes.
//!
//! A change announces itself with NOTIFY in its own transaction, so nobody
//! hears of what did not land. A lost notification is made good by polling,
//! which is `snapshot`'s affair.

use sea_orm::{ConnectionTrait, DbBackend, sqlx::postgres::PgListener};

use super::{Store, project_write::run};
use crate::model::error::{Error, Result};

const CHANNEL: &str = "flagstaff";

/// What was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announcement {
    /// A project reached a revision.
    Revision {
        /// Which project.
        project_id: i64,
        /// The revision it reached.
        revision: i64,
    },
    /// Some credential was made, changed or revoked.
    Keys,
}

impl Announcement {
    fn payload(self) -> String {
        match self {
            Self::Revision { project_id, revision } => format!("revision {project_id} {revision}"),
            Self::Keys => "keys".into(),
        }
    }

    fn parse(payload: &str) -> Option<Self> {
        let mut words = payload.split(' ');
        match words.next()? {
            "keys" => Some(Self::Keys),
            "revision" => {
                let mut number = || words.next()?.parse().ok();
                Some(Self::Revision { project_id: number()?, revision: number()? })
            }
            _ => None,
        }
    }
}

pub(super) async fn announce_revision(
    txn: &impl ConnectionTrait,
    project_id: i64,
    revision: i64,
) -> Result<()> {
    announce(txn, Announcement::Revision { project_id, revision }).await
}

pub(super) async fn announce(txn: &impl ConnectionTrait, what: Announcement) -> Result<()> {
    if txn.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    run(txn, "SELECT pg_notify($1, $2)", vec![CHANNEL.into(), what.payload().into()]).await
}

/// A connection of its own that hears announcements.
#[derive(Debug)]
pub(crate) struct Listener(PgListener);

impl Listener {
    /// Starts listening; `None` on a database without NOTIFY.
    pub(crate) async fn open(store: &Store) -> Result<Option<Self>> {
        if !store.is_postgres() {
            return Ok(None);
        }
        let mut listener = PgListener::connect(&store.url).await.map_err(Error::unavailable)?;
        listener.listen(CHANNEL).await.map_err(Error::unavailable)?;
        Ok(Some(Self(listener)))
    }

    /// Waits for the next announcement; `None` when the connection was lost and
    /// things may have been missed.
    pub(crate) async fn next(&mut self) -> Result<Option<Announcement>> {
        loop {
            let Some(heard) = self.0.try_recv().await.map_err(Error::unavailable)? else {
                return Ok(None);
            };
            if let Some(announcement) = Announcement::parse(heard.payload()) {
                return Ok(Some(announcement));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_what_is_heard() {
        for said in [Announcement::Keys, Announcement::Revision { project_id: 7, revision: 12 }] {
            assert_eq!(Announcement::parse(&said.payload()), Some(said));
        }
        for noise in ["", "revision", "revision x 1", "hello"] {
            assert_eq!(Announcement::parse(noise), None, "{noise}");
        }
    }
}
