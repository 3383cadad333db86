//! How processes on one PostgreSQL hear of each other's changes.
//!
//! A change announces itself with NOTIFY in its own transaction, so nobody
//! hears of what did not land. A lost notification is made good by polling,
//! which is `snapshot`'s affair.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DbBackend,
    sqlx::{
        Executor,
        postgres::{PgListener, PgPoolOptions},
    },
};
use tokio::time::timeout;

use super::{Store, project_write::run};
use crate::model::{
    error::{Error, Result},
    history_point::{HistoryPoint, HistoryToken},
    json,
    people::PeopleChanged,
};

const CHANNEL: &str = "flagstaff";
/// How long nothing is announced before the other end is asked whether it is there.
const QUIET: Duration = Duration::from_secs(5);
/// How long a connection may take. A server that refuses one is asked again within it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// PostgreSQL refuses a payload of 8,000 bytes or more.
const MOST_BYTES: usize = 7_999;

/// What was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Announcement {
    /// A project reached a revision.
    Revision {
        /// Which project.
        project_id: i64,
        /// The state it reached; `None` from a release that announces no token.
        point: Option<HistoryPoint>,
    },
    /// A credential was made, changed or revoked: the one with this number, or any.
    Keys(Option<i64>),
    /// Stored facts of people or groups changed.
    People {
        /// In which project.
        project_id: i64,
        /// Whose.
        changed: PeopleChanged,
    },
}

impl Announcement {
    fn payload(&self) -> String {
        match self {
            Self::Revision { project_id, point: Some(HistoryPoint { revision, token }) } => {
                format!("revision {project_id} {revision} {token}")
            }
            Self::Revision { project_id, point: None } => format!("revision {project_id} 0"),
            Self::Keys(None) => "keys".into(),
            Self::Keys(Some(id)) => format!("keys {id}"),
            Self::People { project_id, changed } => {
                let payload = people(*project_id, changed);
                match payload.len() {
                    0..=MOST_BYTES => payload,
                    _ => people(*project_id, &PeopleChanged::many()),
                }
            }
        }
    }

    fn parse(payload: &str) -> Option<Self> {
        let mut words = payload.splitn(3, ' ');
        match words.next()? {
            "keys" => Some(Self::Keys(words.next().and_then(|id| id.parse().ok()))),
            "revision" => {
                let project_id = words.next()?.parse().ok()?;
                let (revision, token) = match words.next()?.split_once(' ') {
                    Some((revision, token)) => (revision, HistoryToken::parse(token)),
                    None => return Some(Self::Revision { project_id, point: None }),
                };
                let point = HistoryPoint::new(revision.parse().ok()?, token?);
                Some(Self::Revision { project_id, point: Some(point) })
            }
            "people" => {
                let project_id = words.next()?.parse().ok()?;
                // What cannot be read may be about anyone.
                let changed = json::parse_typed(words.next()?);
                Some(Self::People {
                    project_id,
                    changed: changed.unwrap_or_else(|_| PeopleChanged::many()),
                })
            }
            _ => None,
        }
    }
}

fn people(project_id: i64, changed: &PeopleChanged) -> String {
    // A map with texts for keys always has a JSON form.
    let names = serde_json::to_string(changed).unwrap_or_else(|_| r#"{"many":true}"#.into());
    format!("people {project_id} {names}")
}

/// Announces whose stored facts the transaction changes; to be followed, after the commit, by
/// forgetting them here. Use-cases do both with `Services::commit_people`.
pub(crate) async fn announce_people(
    txn: &impl ConnectionTrait,
    project_id: i64,
    changed: &PeopleChanged,
) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    announce(txn, Announcement::People { project_id, changed: changed.clone() }).await
}

pub(super) async fn announce_revision(
    txn: &impl ConnectionTrait,
    project_id: i64,
    point: HistoryPoint,
) -> Result<()> {
    announce(txn, Announcement::Revision { project_id, point: Some(point) }).await
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
        // Whoever listens tries again soon; a pool would wait longer and longer between its tries.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(CONNECT_TIMEOUT);
        let pool = pool.connect_lazy(&store.url).map_err(Error::unavailable)?;
        let mut listener = PgListener::connect_with(&pool).await.map_err(Error::unavailable)?;
        listener.eager_reconnect(false);
        listener.ignore_pool_close_event(true);
        let listening = timeout(CONNECT_TIMEOUT, listener.listen(CHANNEL)).await;
        listening.map_err(Error::unavailable)?.map_err(Error::unavailable)?;
        Ok(Some(Self(listener)))
    }

    /// Waits for the next announcement; `None` when the connection was lost and
    /// things may have been missed.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the connection cannot be had again, or looks alive and is not.
    pub(crate) async fn next(&mut self) -> Result<Option<Announcement>> {
        loop {
            let Ok(heard) = timeout(QUIET, self.0.try_recv()).await else {
                self.ask().await?;
                continue;
            };
            let Some(heard) = heard.map_err(Error::unavailable)? else {
                return Ok(None);
            };
            if let Some(announcement) = Announcement::parse(heard.payload()) {
                return Ok(Some(announcement));
            }
        }
    }

    /// Whether the other end is there: one that vanished without a word is silent as well.
    async fn ask(&mut self) -> Result<()> {
        let asked = timeout(PATIENCE, self.0.execute("SELECT 1")).await;
        asked.map_err(Error::unavailable)?.map(|_| ()).map_err(Error::unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_what_is_heard() {
        let mut changed = PeopleChanged::default();
        changed.note_person("ann \"with\" spaces\n");
        changed.note_group(4, "acme");
        for said in [
            Announcement::Keys(None),
            Announcement::Keys(Some(12)),
            Announcement::Revision {
                project_id: 7,
                point: Some(HistoryPoint::new(12, HistoryToken::from_stored(-3))),
            },
            Announcement::Revision { project_id: 7, point: None },
            Announcement::People { project_id: 7, changed },
            Announcement::People { project_id: 8, changed: PeopleChanged::many() },
        ] {
            assert_eq!(Announcement::parse(&said.payload()), Some(said));
        }
        for noise in ["", "revision", "revision x 1", "revision 1 2 x", "hello", "people x {}"] {
            assert_eq!(Announcement::parse(noise), None, "{noise}");
        }
    }

    #[test]
    fn people_who_do_not_fit_are_many() {
        let mut changed = PeopleChanged::default();
        changed.note_person("x".repeat(7_960));
        let heard = |changed: &PeopleChanged| {
            let said = Announcement::People { project_id: 7, changed: changed.clone() }.payload();
            assert!(said.len() < 8_000, "{}", said.len());
            match Announcement::parse(&said) {
                Some(Announcement::People { changed, .. }) => changed,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(heard(&changed), changed);
        changed.note_person("y".repeat(100));
        assert_eq!(heard(&changed), PeopleChanged::many());
    }
}
