//! Encrypts and decrypts payloads with Fernet: the newest key encrypts, every
//! key decrypts, so keys can be rotated without a pause (management-api 3.9).

pub mod keys;

use std::{fmt, sync::Arc};

use fernet::{Fernet, MultiFernet};

use crate::{
    config::EncryptionKey,
    model::{
        encrypted::Cipher,
        error::{Error, Result},
    },
};

/// The service's keys, if it has any.
#[derive(Clone, Default)]
pub struct Encryptor(Option<Arc<MultiFernet>>);

impl Encryptor {
    /// Uses these keys, newest first; with none, writes that need one are refused.
    #[must_use]
    pub fn new(keys: &[EncryptionKey]) -> Self {
        let fernets: Vec<_> = keys.iter().filter_map(|key| Fernet::new(key.reveal())).collect();
        Self((!fernets.is_empty()).then(|| Arc::new(MultiFernet::new(fernets))))
    }
}

impl Cipher for Encryptor {
    /// The token that stands for a text.
    ///
    /// # Errors
    ///
    /// `Blocked`, naming the setting, without a key.
    fn encrypt(&self, text: &str) -> Result<String> {
        let missing = || {
            Error::blocked(
                "Encrypted payloads need an encryption key: set --encryption-keys \
                 (FLAGSTAFF_ENCRYPTION_KEYS).",
            )
        };
        Ok(self.0.as_ref().ok_or_else(missing)?.encrypt(text.as_bytes()))
    }

    /// The text that a token stands for; `None` when no key fits.
    fn decrypt(&self, token: &str) -> Option<String> {
        String::from_utf8(self.0.as_ref()?.decrypt(token).ok()?).ok()
    }
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Encryptor(***)" } else { "Encryptor(no key)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_decrypts_and_the_newest_encrypts() {
        let (old, new) = (EncryptionKey::generate(), EncryptionKey::generate());
        let before = Encryptor::new(std::slice::from_ref(&old));
        let rotated = Encryptor::new(&[new.clone(), old]);
        let token = before.encrypt("{\"a\": 1}").unwrap();
        assert_eq!(rotated.decrypt(&token).as_deref(), Some("{\"a\": 1}"));
        let fresh = rotated.encrypt("x").unwrap();
        assert_eq!(Encryptor::new(&[new]).decrypt(&fresh).as_deref(), Some("x"));
        assert_eq!(before.decrypt(&fresh), None);
    }

    #[test]
    fn without_a_key_the_setting_is_named() {
        let error = Encryptor::default().encrypt("x").unwrap_err();
        assert!(error.detail.contains("FLAGSTAFF_ENCRYPTION_KEYS"), "{error}");
    }
}
