//! How many may watch at once. A watcher costs some kilobytes for as long as it
//! stays, so there is a bound; and since anybody may hold a public token, those
//! with one leave room for those with a key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    auth::Lease,
    model::{
        caller::CredentialKind,
        error::{Error, Result},
    },
};

/// The most watchers, and the most of them with a public token.
const MOST: usize = 50_000;
const MOST_PUBLIC: usize = 30_000;

/// The places that are left.
#[derive(Clone, Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    public: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    taken: Arc<Mutex<Taken>>,
}

/// The places that are taken, each by the credential that it was taken with.
#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_number: HashMap<u64, (Lease, Permits)>,
}

#[derive(Debug)]
struct Permits {
    _of_all: OwnedSemaphorePermit,
    _of_public: Option<OwnedSemaphorePermit>,
}

impl Default for Places {
    fn default() -> Self {
        Self::new(MOST, MOST_PUBLIC)
    }
}

impl Places {
    fn new(all: usize, public: usize) -> Self {
        let (all, public) = (Semaphore::new(all), Semaphore::new(public));
        Self { all: Arc::new(all), public: Arc::new(public), taken: Arc::default() }
    }

    /// Takes a place, for as long as the credential holds.
    ///
    /// # Errors
    ///
    /// `Overloaded` when there is none.
    pub(super) fn take(&self, kind: CredentialKind, lease: &Lease) -> Result<Place> {
        let permits = self.permits(kind).or_else(|_| {
            self.sweep();
            self.permits(kind)
        })?;
        let mut taken = lock(&self.taken);
        let number = taken.next;
        taken.next += 1;
        taken.by_number.insert(number, (lease.clone(), permits));
        Ok(Place { number, taken: Arc::clone(&self.taken) })
    }

    fn permits(&self, kind: CredentialKind) -> Result<Permits> {
        let one = |of: &Arc<Semaphore>| {
            let taken = Arc::clone(of).try_acquire_owned();
            taken.map_err(|_| Error::overloaded().saying(FULL))
        };
        let of_public = match kind {
            CredentialKind::ProjectToken => Some(one(&self.public)?),
            CredentialKind::Personal | CredentialKind::ProjectSecret => None,
        };
        Ok(Permits { _of_all: one(&self.all)?, _of_public: of_public })
    }

    /// Takes places back from those whose credential holds no more: whoever does not read does
    /// not hear that it is over, and would keep its place.
    fn sweep(&self) {
        lock(&self.taken).by_number.retain(|_, (lease, _)| lease.check().is_ok());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).by_number.remove(&self.number);
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

const FULL: &str = "Too many watch already. Please try again later.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::Leases,
        model::{
            caller::{Caller, Reach},
            error::Code,
        },
    };

    fn lease(credential_id: i64) -> Lease {
        Leases::default().take(&Caller {
            kind: CredentialKind::Personal,
            credential_id,
            organization_id: 1,
            user_id: None,
            reach: Reach::Organization,
            scopes: Vec::new(),
            expires_at: None,
        })
    }

    #[test]
    fn whoever_stays_after_its_key_makes_room() {
        let places = Places::new(2, 2);
        let (kept, ended) = (lease(1), lease(2));
        let take = |lease| places.take(CredentialKind::Personal, lease);
        let held = [take(&kept).unwrap(), take(&ended).unwrap()];
        assert!(take(&kept).is_err());
        ended.end();
        let third = take(&kept).unwrap();
        assert!(take(&kept).is_err(), "the first is still there");
        drop(held);
        let fourth = take(&kept).unwrap();
        assert!(take(&kept).is_err(), "what was taken back was not given back again");
        drop((third, fourth));
    }

    #[test]
    fn public_tokens_leave_room_for_keys_and_places_come_back() {
        let places = Places::new(3, 2);
        let lease = lease(1);
        let take = |kind| places.take(kind, &lease).map_err(|error| error.code);
        let (token, key) = (CredentialKind::ProjectToken, CredentialKind::Personal);
        let held = [take(token).unwrap(), take(token).unwrap()];
        assert_eq!(take(token).unwrap_err(), Code::Overloaded);
        let last = take(key).unwrap();
        assert_eq!(take(key).unwrap_err(), Code::Overloaded);
        drop(held);
        let again = [take(key).unwrap(), take(token).unwrap()];
        assert_eq!(take(token).unwrap_err(), Code::Overloaded, "all are taken");
        drop((last, again));
        assert!(take(token).is_ok());
    }
}
