//! The files of an embedded database: who may read them, and whether they are still in their
//! place.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::model::error::{Error, Result};

/// Only the owner may read and write.
const PRIVATE: u32 = 0o600;
/// What the group and others may do.
const GROUP_AND_OTHERS: u32 = 0o077;
/// What others may do. A certificate's key is often shared with a group, on purpose.
const OTHERS: u32 = 0o007;
/// What is appended to the name of a database for the files beside it, the key file included.
const BESIDE: [&str; 5] = ["", "-wal", "-shm", "-journal", ".key"];

/// Makes the file of a new database for its owner alone. SQLite gives the files beside it the
/// same mode. A failure is left to SQLite, which says what is wrong in its own words.
pub(super) fn create_private(file: &Path) {
    // One that is there is not opened: closing it would end the locks of this process on it.
    if !file.exists() {
        let mut made = OpenOptions::new();
        made.write(true).create(true).truncate(false).mode(PRIVATE);
        drop(made.open(file));
    }
}

/// Logs a warning for each file of a database that others than its owner may use.
pub(super) fn warn_if_wide(file: &Path) {
    BESIDE.iter().for_each(|suffix| warn(&beside(file, suffix), GROUP_AND_OTHERS));
}

/// Logs a warning if everybody may use the private key of a certificate.
pub(crate) fn warn_if_wide_key(file: &Path) {
    warn(file, OTHERS);
}

fn warn(file: &Path, refused: u32) {
    let Ok(found) = fs::metadata(file) else { return };
    let mode = found.permissions().mode() & 0o777;
    if mode & refused != 0 {
        let (file, mode) = (file.display(), format!("{mode:04o}"));
        tracing::warn!(%file, mode, "a file with secrets is open to others than its owner");
    }
}

/// Returns the path of a file beside a database.
pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The file that connections were opened on, as the file system knows it.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    opened: Identity,
}

/// A file, whatever its name: the device and the number on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }
}

impl OpenFile {
    /// Notes which file is at `path` now; `None` if there is none.
    pub(super) fn at(path: PathBuf) -> Option<Self> {
        let opened = Identity::of(&path)?;
        Some(Self { path, opened })
    }

    /// Makes sure that the file is still at its path. What is written to a file that was moved,
    /// removed or replaced is found by nobody.
    ///
    /// # Errors
    ///
    /// `Unavailable`, until the same file is back.
    pub(super) fn check(&self) -> Result<()> {
        match Identity::of(&self.path) {
            Some(found) if found == self.opened => Ok(()),
            Some(_) => Err(displaced("the database file was replaced by another")),
            None => Err(displaced("the database file is gone")),
        }
    }
}

fn displaced(why: &'static str) -> Error {
    const DETAIL: &str = "The database file was moved or replaced. \
                          Nothing is stored until it is back or the service was restarted.";
    Error::unavailable(why).saying(DETAIL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_its_owners_and_an_old_one_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flags.db");
        create_private(&file);
        assert_eq!(mode(&file), PRIVATE);
        fs::write(&file, "data").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        create_private(&file);
        assert_eq!((mode(&file), fs::read(&file).unwrap()), (0o644, b"data".to_vec()));
        create_private(&folder.path().join("absent").join("flags.db"));
    }

    #[test]
    fn a_file_is_missed_until_the_same_one_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let [file, away] = ["flags.db", "away.db"].map(|name| folder.path().join(name));
        assert!(OpenFile::at(file.clone()).is_none());
        fs::write(&file, "data").unwrap();
        let open = OpenFile::at(file.clone()).unwrap();
        open.check().unwrap();
        fs::rename(&file, &away).unwrap();
        assert_eq!(open.check().unwrap_err().causes(), "the database file is gone");
        fs::copy(&away, &file).unwrap();
        let replaced = open.check().unwrap_err();
        assert_eq!(replaced.causes(), "the database file was replaced by another");
        assert!(replaced.detail.contains("moved or replaced"), "{replaced}");
        fs::rename(&away, &file).unwrap();
        open.check().unwrap();
    }
}
