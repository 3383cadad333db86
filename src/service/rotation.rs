//! Encrypts payloads anew with the newest key, so that older ones can be retired.
//!
//! What a payload says does not change, so no version is counted and no
//! activity row written.

use serde_json::Value;

use super::Services;
use crate::model::{encrypted::Cipher, error::Result, flag::FeatureFlag, json::Object};

/// What a rotation came to.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    /// How many flags' payloads are now under the newest key.
    pub(crate) rotated: u64,
    /// Keys of the flags whose payload no key decrypts; they are left as they are.
    pub(crate) undecryptable: Vec<String>,
}

impl Services {
    /// Encrypts every payload anew, one project a transaction.
    ///
    /// # Errors
    ///
    /// `Blocked` without a key; `Unavailable` when the database is gone. What was done stays done.
    pub(crate) async fn rotate_encryption(&self, cipher: &impl Cipher) -> Result<Rotation> {
        let mut rotation = Rotation::default();
        for project in self.store.projects().await? {
            let mut write = self.begin(project.id).await?;
            let before = rotation.rotated;
            for flag in write.encrypted_flags().await? {
                match resealed(&flag, cipher)? {
                    Some(after) => {
                        write.update_flag(&flag, &after).await?;
                        rotation.rotated += 1;
                    }
                    None => rotation.undecryptable.push(flag.key),
                }
            }
            if rotation.rotated > before {
                write.commit(self.clock.now()).await?;
            }
        }
        Ok(rotation)
    }
}

/// The flag with its payloads under the newest key; `None` when no key decrypts one of them.
fn resealed(flag: &FeatureFlag, cipher: &impl Cipher) -> Result<Option<FeatureFlag>> {
    let mut after = flag.clone();
    let payloads = after.filters.get_mut("payloads").and_then(Value::as_object_mut);
    for payload in payloads.into_iter().flat_map(Object::values_mut) {
        let Some(text) = payload.as_str().and_then(|token| cipher.decrypt(token)) else {
            return Ok(None);
        };
        *payload = cipher.encrypt(&text)?.into();
    }
    Ok(Some(after))
}
