//! Where the keys for encrypted payloads come from.
//!
//! With an embedded database and no keys given, a key file is made beside the
//! database, readable by its owner alone, so that one machine needs no set-up.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{config::EncryptionKey, store::Store};

/// The keys to encrypt with, newest first; none on a server database without the setting.
///
/// # Errors
///
/// A sentence that names the setting, for a key file that cannot be read or made.
pub fn prepare(given: &[EncryptionKey], database_url: &str) -> Result<Vec<EncryptionKey>, String> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    match Store::sqlite_file(database_url) {
        Some(database) => key_file(&beside(&database)),
        None => Ok(Vec::new()),
    }
}

/// Refuses a key file that cannot be used, before anything is made.
///
/// # Errors
///
/// As [`prepare`].
pub fn check(given: &[EncryptionKey], database_url: &str) -> Result<(), String> {
    let file = Store::sqlite_file(database_url).map(|database| beside(&database));
    match file.filter(|file| given.is_empty() && file.exists()) {
        Some(file) => key_file(&file).map(drop),
        None => Ok(()),
    }
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

/// One key a line, newest first; made with one key when it is not there.
fn key_file(file: &Path) -> Result<Vec<EncryptionKey>, String> {
    let unusable = |why: String| {
        let file = file.display();
        format!(
            "--encryption-keys (FLAGSTAFF_ENCRYPTION_KEYS): cannot use the key file {file}: {why}"
        )
    };
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let keys: Result<Vec<_>, _> = text.split_whitespace().map(str::parse).collect();
            match keys.map_err(unusable)? {
                none if none.is_empty() => Err(unusable("it holds no key".into())),
                keys => Ok(keys),
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(file).map(|key| vec![key]).map_err(|error| unusable(error.to_string()))
        }
        Err(error) => Err(unusable(error.to_string())),
    }
}

fn make(file: &Path) -> std::io::Result<EncryptionKey> {
    let key = EncryptionKey::generate();
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    made.write_all(key.reveal().as_bytes())?;
    made.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flags.db.key");
        let made = key_file(&file).unwrap();
        assert_eq!(key_file(&file).unwrap(), made);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_file_may_hold_older_keys_below_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flags.db.key");
        let (new, old) = (EncryptionKey::generate(), EncryptionKey::generate());
        std::fs::write(&file, format!("{}\n{}\n", new.reveal(), old.reveal())).unwrap();
        assert_eq!(key_file(&file).unwrap(), [new, old]);
    }

    #[test]
    fn a_broken_key_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flags.db.key");
        std::fs::write(&file, "nonsense").unwrap();
        let error = key_file(&file).unwrap_err();
        assert!(
            error.contains("FLAGSTAFF_ENCRYPTION_KEYS") && error.contains("flags.db.key"),
            "{error}"
        );
    }
}
