//! How many may watch at once. A watcher costs some kilobytes for as long as it
//! stays, so there is a bound; and since anybody may hold a public token, those
//! with one leave room for those with a key.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::{
    caller::CredentialKind,
    error::{Error, Result},
};

/// The most watchers, and the most of them with a public token.
const MOST: usize = 50_000;
const MOST_PUBLIC: usize = 30_000;

/// The places that are left.
#[derive(Clone, Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    public: Arc<Semaphore>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
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
        Self { all: Arc::new(Semaphore::new(all)), public: Arc::new(Semaphore::new(public)) }
    }

    /// Takes a place.
    ///
    /// # Errors
    ///
    /// `Overloaded` when there is none.
    pub(super) fn take(&self, kind: CredentialKind) -> Result<Place> {
        let one = |of: &Arc<Semaphore>| {
            let taken = Arc::clone(of).try_acquire_owned();
            taken.map_err(|_| Error::overloaded().saying(FULL))
        };
        let of_public = match kind {
            CredentialKind::ProjectToken => Some(one(&self.public)?),
            CredentialKind::Personal | CredentialKind::ProjectSecret => None,
        };
        Ok(Place { _of_all: one(&self.all)?, _of_public: of_public })
    }
}

const FULL: &str = "Too many watch already. Please try again later.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::error::Code;

    #[test]
    fn public_tokens_leave_room_for_keys_and_places_come_back() {
        let places = Places::new(3, 2);
        let take = |kind| places.take(kind).map_err(|error| error.code);
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
