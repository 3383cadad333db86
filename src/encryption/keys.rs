//! The keys for encrypted payloads: given by the setting, or read from a key file beside an embedded
//! database, which is made at the first start so that one machine needs no set-up.
//!
//! A key file that is lost is never replaced in silence. While encrypted payloads are stored, keys
//! that decrypt none of them are refused, and no file is made.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::Encryptor;
use crate::{
    config::EncryptionKey,
    model::{
        encrypted::{Survey, survey},
        error::{Error, Result as Checked},
    },
    store::Store,
};

const SETTING: &str = "--encryption-keys (FLAGSTAFF_ENCRYPTION_KEYS)";
/// Encrypted flags read at a time.
const PAGE_FLAGS: u64 = 100;
/// Flags that the warning about undecryptable payloads names.
const MAX_NAMED_FLAGS: usize = 5;

/// Why there are no usable keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The setting or the key file is bad; a sentence for the operator.
    #[error("{0}")]
    Setting(String),
    /// The stored payloads could not be read.
    #[error(transparent)]
    Store(#[from] Error),
}

/// An encryptor, and what it finds stored.
#[derive(Debug)]
pub struct Prepared {
    /// Encrypts and decrypts with the keys; without keys on a server database that has no setting.
    pub encryptor: Encryptor,
    /// The stored payloads under these keys.
    pub survey: Survey,
}

/// Finds the keys and tries them on the stored payloads, which takes one decryption each. Makes the
/// key file beside an embedded database if no key is given and no encrypted payload is stored.
///
/// # Errors
///
/// `Setting` for a key file that cannot be read or made, and for keys, or the want of any, that
/// leave every stored payload undecryptable; `Store` if the database cannot be read.
pub async fn prepare(
    given: &[EncryptionKey],
    database_url: &str,
    store: &Store,
) -> Result<Prepared, KeysError> {
    let keys = find(given, database_url).map_err(KeysError::Setting)?;
    let encryptor = Encryptor::new(keys.as_deref().unwrap_or_default());
    let survey = survey_stored(store, &encryptor).await?;
    if survey.is_locked() {
        let place = key_file_of(given, database_url);
        return Err(KeysError::Setting(locked(survey, keys.is_some(), place.as_deref())));
    }
    match (keys, Store::sqlite_file(database_url)) {
        (None, Some(database)) => {
            let key = make_or_read(&beside(&database)).map_err(KeysError::Setting)?;
            Ok(Prepared { encryptor: Encryptor::new(&key), survey })
        }
        _ => Ok(Prepared { encryptor, survey }),
    }
}

/// Returns the keys of the setting, else those of the key file, newest first; `None` if there are
/// neither. Makes nothing.
///
/// # Errors
///
/// A sentence that names the setting, for a key file that cannot be used.
pub fn find(
    given: &[EncryptionKey],
    database_url: &str,
) -> Result<Option<Vec<EncryptionKey>>, String> {
    if !given.is_empty() {
        return Ok(Some(given.to_vec()));
    }
    match key_file_of(given, database_url) {
        Some(file) => read(&file),
        None => Ok(None),
    }
}

/// Refuses a command that needs keys where encrypted payloads are stored and no key is found.
///
/// # Errors
///
/// As [`prepare`].
pub async fn require(
    given: &[EncryptionKey],
    database_url: &str,
    store: &Store,
) -> Result<Encryptor, KeysError> {
    if let Some(keys) = find(given, database_url).map_err(KeysError::Setting)? {
        return Ok(Encryptor::new(&keys));
    }
    let survey = survey_stored(store, &Encryptor::default()).await?;
    match survey.is_locked() {
        true => {
            let place = key_file_of(given, database_url);
            Err(KeysError::Setting(locked(survey, false, place.as_deref())))
        }
        false => Ok(Encryptor::default()),
    }
}

/// Tries the keys on every stored payload, and logs the first flags whose payload stays closed.
async fn survey_stored(store: &Store, encryptor: &Encryptor) -> Checked<Survey> {
    let (mut total, mut named, mut after) = (Survey::default(), Vec::new(), 0);
    loop {
        let flags = store.encrypted_flags_after(after, PAGE_FLAGS).await?;
        let Some(last) = flags.last() else { break };
        after = last.id;
        let cipher = encryptor.clone();
        let surveyed = tokio::task::spawn_blocking(move || {
            let survey = |flag: &crate::store::EncryptedFlag| survey(&flag.filters, &cipher);
            flags.into_iter().map(|flag| (survey(&flag), flag)).collect::<Vec<_>>()
        });
        for (survey, flag) in surveyed.await.map_err(Error::internal)? {
            total.add(survey);
            if survey.unreadable() > 0 && named.len() < MAX_NAMED_FLAGS {
                named.push(format!("{} (project {})", flag.key, flag.project_id));
            }
        }
    }
    if total.unreadable() > 0 && !total.is_locked() {
        tracing::warn!(
            payloads = total.unreadable(),
            flags = named.join(", "),
            "no key of {SETTING} decrypts some stored payloads; these flags deliver none"
        );
    }
    Ok(total)
}

/// The refusal of keys that decrypt nothing of what is stored.
fn locked(survey: Survey, has_keys: bool, file: Option<&Path>) -> String {
    let stored = survey.undecryptable;
    let what = match (has_keys, file) {
        (true, Some(file)) => format!("the key file {} decrypts none of", file.display()),
        (true, None) => "the given keys decrypt none of".to_owned(),
        (false, Some(file)) => {
            format!("the key file {} is missing, which decrypts", file.display())
        }
        (false, None) => "no key is given for".to_owned(),
    };
    format!(
        "{SETTING}: {what} the {stored} encrypted payloads stored in the database; give the keys \
         that they were encrypted with, newest first"
    )
}

/// Refuses a key file that cannot be used, before anything is made.
///
/// # Errors
///
/// As [`find`].
pub fn check(given: &[EncryptionKey], database_url: &str) -> Result<(), String> {
    find(given, database_url).map(drop)
}

/// The file that keys come from when none are given; `None` for a server database.
fn key_file_of(given: &[EncryptionKey], database_url: &str) -> Option<PathBuf> {
    let database = Store::sqlite_file(database_url).filter(|_| given.is_empty())?;
    Some(beside(&database))
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

/// Reads a key file: one key a line, newest first. `None` if there is no such file.
fn read(file: &Path) -> Result<Option<Vec<EncryptionKey>>, String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(file, &error.to_string())),
    };
    let keys: Result<Vec<EncryptionKey>, String> =
        text.split_whitespace().map(str::parse).collect();
    match keys.map_err(|why| unusable(file, &why))? {
        none if none.is_empty() => Err(unusable(file, "it holds no key")),
        keys => Ok(Some(keys)),
    }
}

/// Makes a key file with one key, or reads the one that another process made meanwhile.
fn make_or_read(file: &Path) -> Result<Vec<EncryptionKey>, String> {
    match make(file) {
        Ok(key) => Ok(vec![key]),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read(file)?.ok_or_else(|| unusable(file, "it was removed just now"))
        }
        Err(error) => Err(unusable(file, &error.to_string())),
    }
}

fn make(file: &Path) -> std::io::Result<EncryptionKey> {
    let key = EncryptionKey::generate();
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    made.write_all(key.reveal().as_bytes())?;
    made.sync_all()?;
    Ok(key)
}

fn unusable(file: &Path, why: &str) -> String {
    format!("{SETTING}: cannot use the key file {}: {why}", file.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flags.db.key");
        assert_eq!(read(&file).unwrap(), None, "reading makes nothing");
        let made = make_or_read(&file).unwrap();
        assert_eq!(make_or_read(&file).unwrap(), made, "the second process reads it");
        assert_eq!(read(&file).unwrap(), Some(made));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_file_may_hold_older_keys_below_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flags.db.key");
        let (new, old) = (EncryptionKey::generate(), EncryptionKey::generate());
        std::fs::write(&file, format!("{}\n{}\n", new.reveal(), old.reveal())).unwrap();
        assert_eq!(read(&file).unwrap(), Some(vec![new, old]));
    }

    #[test]
    fn a_broken_key_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flags.db.key");
        std::fs::write(&file, "nonsense").unwrap();
        let error = read(&file).unwrap_err();
        assert!(
            error.contains("FLAGSTAFF_ENCRYPTION_KEYS") && error.contains("flags.db.key"),
            "{error}"
        );
    }
}
