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

use super::StartError;
use crate::{
    config::{EncryptionKey, ServeSettings},
    store::Store,
};

/// The keys to encrypt with, newest first; none on a server database without the setting.
pub(super) fn prepare(
    settings: &ServeSettings,
    database_url: &str,
) -> Result<Vec<EncryptionKey>, StartError> {
    if !settings.encryption_keys.is_empty() {
        return Ok(settings.encryption_keys.clone());
    }
    match Store::sqlite_file(database_url) {
        Some(database) => key_file(&beside(&database)).map(|key| vec![key]),
        None => Ok(Vec::new()),
    }
}

/// Refuses a key file that cannot be used, before anything is made.
pub(super) fn check(settings: &ServeSettings, database_url: &str) -> Result<(), StartError> {
    let file = Store::sqlite_file(database_url).map(|database| beside(&database));
    match file.filter(|file| settings.encryption_keys.is_empty() && file.exists()) {
        Some(file) => key_file(&file).map(drop),
        None => Ok(()),
    }
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

fn key_file(file: &Path) -> Result<EncryptionKey, StartError> {
    let unusable = |why: String| {
        let file = file.display();
        StartError::Setting(format!(
            "--encryption-keys (FLAGSTAFF_ENCRYPTION_KEYS): cannot use the key file {file}: {why}"
        ))
    };
    match std::fs::read_to_string(file) {
        Ok(text) => text.parse().map_err(unusable),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(file).map_err(|error| unusable(error.to_string()))
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
    fn a_broken_key_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flags.db.key");
        std::fs::write(&file, "nonsense").unwrap();
        let error = key_file(&file).unwrap_err().to_string();
        assert!(
            error.contains("FLAGSTAFF_ENCRYPTION_KEYS") && error.contains("flags.db.key"),
            "{error}"
        );
    }
}
