//! Credentials behind what stays open: a stream is opened with a key once, and
//! has to end when the key does.
//!
//! Whoever opens one takes a [`Lease`]. The keys of all leases are looked at
//! together, when keys are announced to have changed and at short intervals; how
//! many streams one key opened makes no difference.
//!
//! Whoever revokes a key in this process says so here, which ends its leases, and the trust in
//! it, at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::known::Keys;
use crate::model::{
    api_key::ApiKey,
    caller::{Caller, CredentialKind},
    error::{Error, Result},
};

/// The leases that are out, by key. Cheap to clone; clones share.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    out: Arc<Mutex<HashMap<i64, Weak<Held>>>>,
    /// What is trusted for a moment.
    known: Keys,
}

/// The right to stay, for as long as the credential holds.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    ended: CancellationToken,
    why: OnceLock<Error>,
}

impl Leases {
    pub(super) fn new(known: Keys) -> Self {
        Self { out: Arc::default(), known }
    }

    /// A key was revoked: forgets that it was known, and ends its leases.
    pub fn revoke(&self, key_id: i64) {
        self.known.forget_key(key_id);
        let held = self.out().remove(&key_id).and_then(|held| held.upgrade());
        held.inspect(|held| held.end(ApiKey::revoked()));
    }

    fn out(&self) -> MutexGuard<'_, HashMap<i64, Weak<Held>>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lease for a caller. A project's public token is never taken back: it ends with the
    /// project.
    #[must_use]
    pub fn take(&self, caller: &Caller) -> Lease {
        if caller.kind == CredentialKind::ProjectToken {
            return Lease(Arc::default());
        }
        let mut leases = self.out();
        let known = leases.get(&caller.credential_id).and_then(Weak::upgrade);
        let held = known.unwrap_or_default();
        leases.insert(caller.credential_id, Arc::downgrade(&held));
        Lease(held)
    }

    /// The keys that have leases out.
    pub(super) fn key_ids(&self) -> Vec<i64> {
        let mut leases = self.out();
        leases.retain(|_, held| held.strong_count() > 0);
        leases.keys().copied().collect()
    }

    /// Ends the leases of those among `ids` whose key does not hold at `now`, or is gone.
    pub(super) fn review(&self, ids: &[i64], keys: &[ApiKey], now: DateTime<Utc>) {
        let verdict = |id: &i64| match keys.iter().find(|key| key.id == *id) {
            Some(key) => key.require_valid(now),
            None => Err(Error::authentication_failed("Invalid API key.")),
        };
        let mut leases = self.out();
        for id in ids {
            let Err(error) = verdict(id) else { continue };
            if let Some(held) = leases.remove(id).and_then(|held| held.upgrade()) {
                held.end(error);
            }
        }
    }
}

impl Held {
    fn end(&self, why: Error) {
        // Whoever was first said why.
        let _ = self.why.set(why);
        self.ended.cancel();
    }
}

impl Lease {
    /// Whether the credential still holds.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, with the reason, when it does not.
    pub fn check(&self) -> Result<()> {
        self.0.why.get().map_or(Ok(()), |why| Err(why.clone()))
    }

    #[cfg(test)]
    pub(crate) fn end(&self) {
        self.0.end(Error::authentication_failed("Ended."));
    }

    /// Waits until the credential holds no more.
    pub async fn ended(&self) {
        self.0.ended.cancelled().await;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::model::caller::Reach;

    /// A key that holds for ever.
    pub(in crate::auth) fn key(id: i64) -> ApiKey {
        ApiKey {
            id,
            kind: CredentialKind::Personal,
            hint: String::new(),
            label: String::new(),
            organization_id: 1,
            user_id: None,
            reach: Reach::Organization,
            scopes: vec!["*".into()],
            created_at: DateTime::UNIX_EPOCH,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        }
    }

    #[test]
    fn a_lease_ends_with_its_key_and_only_then() {
        let (leases, now) = (Leases::default(), DateTime::UNIX_EPOCH);
        let take = |id: i64| leases.take(&key(id).caller());
        let (kept, revoked, expired, gone) = (take(1), take(2), take(3), take(4));
        let also = take(2);
        drop(take(5));
        let mut ids = leases.key_ids();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3, 4], "the fifth was given back");
        let keys = [
            key(1),
            ApiKey { revoked_at: Some(now), ..key(2) },
            ApiKey { expires_at: Some(now), ..key(3) },
        ];
        leases.review(&ids, &keys, now);
        assert!(kept.check().is_ok() && kept.ended().now_or_never().is_none());
        let ended = [
            (&revoked, "API key has been revoked."),
            (&also, "API key has been revoked."),
            (&expired, "API key has expired."),
            (&gone, "Invalid API key."),
        ];
        for (lease, why) in ended {
            assert!(lease.ended().now_or_never().is_some(), "{why}");
            assert_eq!(lease.check().unwrap_err().detail, why);
        }
        assert_eq!(leases.key_ids(), [1]);
    }

    #[test]
    fn what_a_key_opened_ends_where_it_is_revoked() {
        let leases = Leases::default();
        let [kept, revoked] = [1, 2].map(|id| leases.take(&key(id).caller()));
        leases.revoke(2);
        assert!(kept.check().is_ok());
        assert_eq!(revoked.check().unwrap_err().detail, "API key has been revoked.");
        assert_eq!(leases.key_ids(), [1]);
    }

    #[test]
    fn a_public_token_is_not_looked_at() {
        let leases = Leases::default();
        let caller = key(1).caller();
        let _lease = leases.take(&Caller { kind: CredentialKind::ProjectToken, ..caller });
        assert_eq!(leases.key_ids(), [0; 0]);
    }
}
