//! Decides who is calling.
//!
//! One [`Authenticator`] serves both edges: it reads the credential of a request
//! and finds out whose it is; the server leaves the [`Identity`] in the request's
//! extensions. It never answers itself, since some paths need no credential: the operation
//! asks for the [`Caller`] when it needs one, and checks scopes in its use-case.

mod known;
mod layer;
mod lease;
mod secret;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::timeout;

use known::{Keys, Known};
pub use layer::Identity;
pub use lease::{Lease, Leases};
use secret::TokenHash;
pub use secret::{Secret, TokenKind};

use crate::{
    clock::Clock,
    model::{
        api_key::ApiKey,
        caller::{Caller, CredentialKind, Reach},
        error::{Code, Error, Result},
    },
    snapshot::{Snapshots, flights::Flights},
    store::Store,
};

/// How long a key is trusted without asking the database again. Revocation is
/// announced on PostgreSQL; this bounds it where it is not.
const FRESH: Duration = Duration::from_millis(800);
/// How long a known key waits for the database to confirm it.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a key that is not known waits for a database that is slow. For one that is known to be
/// gone it does not wait.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// `last_used_at` is kept to this precision, so that reading flags is not writing keys.
const USE_PRECISION: TimeDelta = TimeDelta::minutes(1);

/// Knows whose credential is whose.
#[derive(Clone, Debug)]
pub struct Authenticator {
    store: Store,
    snapshots: Snapshots,
    clock: Clock,
    known: Keys,
    leases: Leases,
    /// Keys that are being read. Who asks after a change does not join who asked before it.
    reads: Flights<(TokenHash, u64), Result<Arc<Known>>>,
    /// Keys whose use is being noted.
    noting: Arc<Mutex<HashSet<i64>>>,
}

impl Authenticator {
    /// Knows nobody yet.
    #[must_use]
    pub fn new(store: Store, snapshots: Snapshots, clock: Clock) -> Self {
        let known = Keys::default();
        Self {
            store,
            snapshots,
            clock,
            leases: Leases::new(known.clone()),
            known,
            reads: Flights::default(),
            noting: Arc::default(),
        }
    }

    /// The credentials behind what stays open.
    #[must_use]
    pub fn leases(&self) -> Leases {
        self.leases.clone()
    }

    /// Asks whether the credentials behind what stays open still hold, and ends what they do not.
    /// With the database gone they do, as for requests.
    pub async fn review_leases(&self) {
        let ids = self.leases.key_ids();
        if ids.is_empty() || self.store.reachability().is_lost() {
            return;
        }
        let asked = timeout(PATIENCE, self.store.keys_among(&ids)).await;
        match asked.map_err(Error::unavailable).flatten() {
            Ok(keys) => self.leases.review(&ids, &keys, self.clock.now()),
            Err(error) => tracing::debug!(error = error.causes(), "keys were not reviewed"),
        }
    }

    /// Forgets what it knew of a key that was changed, or of all keys where it is not said which,
    /// and what is being read of them.
    pub fn forget(&self, key_id: Option<i64>) {
        match key_id {
            Some(key_id) => self.known.forget_key(key_id),
            None => self.known.forget(),
        }
    }

    /// Finds whose credential it is.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` for one that is unknown, revoked or expired; `Unavailable` when
    /// only the database could tell, and it is gone.
    pub async fn caller(&self, token: &str) -> Result<Arc<Caller>> {
        match TokenKind::of(token) {
            Some(TokenKind::Project) => Box::pin(self.project(token)).await.map(Arc::new),
            Some(TokenKind::Personal | TokenKind::ProjectSecret) => self.key(token).await,
            None => Err(Error::authentication_failed("Invalid API key.")),
        }
    }

    /// Whether this credential was read lately, or is public.
    fn is_known(&self, token: &str) -> bool {
        match TokenKind::of(token) {
            Some(TokenKind::Project) => true,
            Some(TokenKind::Personal | TokenKind::ProjectSecret) => {
                self.known.get(&secret::digest(token), self.clock.instant()).is_some()
            }
            None => false,
        }
    }

    async fn project(&self, token: &str) -> Result<Caller> {
        let unknown = || Error::authentication_failed("Invalid project token.");
        let snapshot = self.snapshots.of_token(token).await?.ok_or_else(unknown)?;
        let project = &snapshot.project;
        Ok(Caller {
            kind: CredentialKind::ProjectToken,
            credential_id: project.id,
            organization_id: project.organization_id,
            user_id: None,
            reach: Reach::Projects(vec![project.id]),
            scopes: Vec::new(),
            expires_at: None,
        })
    }

    async fn key(&self, token: &str) -> Result<Arc<Caller>> {
        let now = self.clock.instant();
        let hash = secret::digest(token);
        let known = match self.known.get(&hash, now) {
            Some(known) if now.duration_since(known.read_at) < FRESH => known,
            // Seldom, and much larger than the rest of what a call takes with it.
            stale => Box::pin(self.read(hash, stale)).await?,
        };
        known.key.require_valid(self.clock.now())?;
        Ok(Arc::clone(&known.caller))
    }

    /// Reads a key anew, together with whoever wants it just now.
    async fn read(&self, hash: TokenHash, stale: Option<Arc<Known>>) -> Result<Arc<Known>> {
        let (all, stamp) = (self.clone(), self.known.stamp());
        let read = || async move { all.read_alone(hash, stale, stamp).await };
        self.reads.join((hash, stamp), read).await
    }

    /// With the database gone, what was known of it still counts.
    async fn read_alone(
        self,
        hash: TokenHash,
        stale: Option<Arc<Known>>,
        stamp: u64,
    ) -> Result<Arc<Known>> {
        let (now, read_at) = (self.clock.now(), self.clock.instant());
        let text = hex::encode(hash);
        // Who is known waits no longer than it takes to trust a key without asking.
        let limit = if stale.is_some() { PATIENCE } else { READ_TIMEOUT };
        let asked = self.store.reachability().unless_lost(self.store.key_by_hash(&text));
        let asked = timeout(limit, asked).await.map_err(Error::unavailable).flatten();
        match (asked, stale) {
            (Ok(Some(key)), _) => {
                self.note_use(&key, now);
                let caller = Arc::new(key.caller());
                let known = Arc::new(Known { key, caller, read_at });
                self.known.keep(hash, &known, stamp);
                Ok(known)
            }
            (Ok(None), _) => Err(Error::authentication_failed("Invalid API key.")),
            // Not inserted anew, so that trust without asking has an end.
            (Err(error), Some(known)) if error.code == Code::Unavailable => Ok(known),
            (Err(error), _) => Err(error),
        }
    }

    fn note_use(&self, key: &ApiKey, now: DateTime<Utc>) {
        // A time that is far ahead was noted under a clock that was wrong.
        let is_noted = key.last_used_at.is_some_and(|used| (now - used).abs() < USE_PRECISION);
        if is_noted || !self.noting().insert(key.id) {
            return;
        }
        let (all, id) = (self.clone(), key.id);
        tokio::spawn(async move {
            if let Err(error) = all.store.key_used(id, now, USE_PRECISION).await {
                tracing::debug!(key.id = id, error = error.causes(), "use of a key was not noted");
            }
            all.noting().remove(&id);
        });
    }

    fn noting(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.noting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        encryption::Encryptor,
        service::{Services, bootstrap::ChosenSecrets},
        store::Access,
    };

    /// Knows nobody yet; and a key that is stored.
    async fn authenticator() -> (Authenticator, String) {
        let store = Store::connect("sqlite::memory:", Access::Create).await.unwrap();
        store.migrate_up().await.unwrap();
        let (snapshots, clock) = (Snapshots::new(store.clone()), Clock::system());
        let services =
            Services::new(store.clone(), snapshots.clone(), clock.clone(), Encryptor::new(&[]));
        let made = services.bootstrap(ChosenSecrets::default()).await.unwrap().unwrap();
        let token = made.personal_api_key.reveal().to_owned();
        (Authenticator::new(store, snapshots, clock), token)
    }

    #[tokio::test]
    async fn those_who_need_a_key_at_the_same_time_wait_for_one_query() {
        let (authenticator, token) = authenticator().await;
        let callers = futures::future::join_all((0..50).map(|_| authenticator.caller(&token)));
        let callers: Vec<_> = callers.await.into_iter().map(Result::unwrap).collect();
        assert!(callers.iter().all(|caller| Arc::ptr_eq(caller, &callers[0])));
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_kept_after_it() {
        let (authenticator, token) = authenticator().await;
        let mut early = Box::pin(authenticator.caller(&token));
        assert!(futures::poll!(&mut early).is_pending(), "it is being read");
        authenticator.forget(None);
        let late = authenticator.caller(&token);
        let (early, late) = futures::join!(early, late);
        let (early, late) = (early.unwrap(), late.unwrap());
        assert!(!Arc::ptr_eq(&early, &late), "who asks after the change is told what is after it");
        let known = authenticator.caller(&token).await.unwrap();
        assert!(Arc::ptr_eq(&known, &late));
    }
}
