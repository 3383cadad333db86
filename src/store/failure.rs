//! Turns a driver's failure into the service's: unavailable, or a defect.

use sea_orm::{DbErr, RuntimeErr, sqlx};

use crate::model::error::Error;

/// A failure of SeaORM.
pub(crate) fn failure(error: DbErr) -> Error {
    match &error {
        DbErr::ConnectionAcquire(_) => Error::unavailable(error),
        DbErr::Conn(RuntimeErr::SqlxError(driver))
        | DbErr::Exec(RuntimeErr::SqlxError(driver))
        | DbErr::Query(RuntimeErr::SqlxError(driver))
            if is_of_database(driver) =>
        {
            Error::unavailable(error)
        }
        DbErr::Exec(RuntimeErr::SqlxError(driver))
        | DbErr::Query(RuntimeErr::SqlxError(driver))
            if is_unstorable_text(driver) =>
        {
            Error::null_characters("non_field_errors")
        }
        _ => Error::internal(error),
    }
}

/// A failure of the driver.
pub(super) fn driver_failure(error: sqlx::Error) -> Error {
    if is_of_database(&error) { Error::unavailable(error) } else { Error::internal(error) }
}

/// Whether PostgreSQL refused a NUL in text: what no check found before it came there.
fn is_unstorable_text(error: &sqlx::Error) -> bool {
    const CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";
    const UNTRANSLATABLE_CHARACTER: &str = "22P05";
    let sqlx::Error::Database(error) = error else { return false };
    let code = error.code().unwrap_or_default();
    [CHARACTER_NOT_IN_REPERTOIRE, UNTRANSLATABLE_CHARACTER].contains(&code.as_ref())
}

/// Whether the database, the way to it or its load is to blame rather than the statement, so that
/// the same call may succeed later.
pub(super) fn is_of_database(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        // A server that is going down answers out of turn.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_of_database_code(&code)),
        _ => false,
    }
}

/// PostgreSQL's classes of lost connections, want of resources, closed databases, shutdown,
/// system errors, conflicts, time-outs and standbys; SQLite's busy, locked, out of memory,
/// read-only, failing, full and unopened files, by the low byte of the extended code.
fn is_of_database_code(code: &str) -> bool {
    const POSTGRES: [&str; 11] =
        ["08", "25006", "25P0", "40001", "40P01", "53", "55000", "55P03", "57014", "57P", "58"];
    const SQLITE: [i64; 7] = [5, 6, 7, 8, 10, 13, 14];
    match code.parse::<i64>() {
        Ok(sqlite) if code.len() < 5 => SQLITE.contains(&(sqlite & 0xff)),
        _ => POSTGRES.iter().any(|prefix| code.starts_with(prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passing_troubles_are_worth_a_retry() {
        let cases = [
            ("57P01", true),
            ("57P02", true),
            ("57P03", true),
            ("08006", true),
            ("55000", true),
            ("55P03", true),
            ("40001", true),
            ("53300", true),
            ("53100", true),
            ("25006", true),
            ("25P02", true),
            ("25P03", true),
            ("58030", true),
            ("5", true),
            ("13", true),
            ("10", true),
            ("778", true),
            ("1032", true),
            ("23505", false),
            ("42P01", false),
            ("22021", false),
            ("1", false),
            ("2067", false),
        ];
        for (code, expected) in cases {
            assert_eq!(is_of_database_code(code), expected, "{code}");
        }
    }

    #[test]
    fn a_connection_that_breaks_is_no_defect() {
        let broken = [
            sqlx::Error::Protocol("unexpected response from SSLRequest".into()),
            sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into()),
            sqlx::Error::BeginFailed,
            sqlx::Error::PoolTimedOut,
            sqlx::Error::WorkerCrashed,
        ];
        for error in broken {
            let text = error.to_string();
            assert_eq!(driver_failure(error).code.http_status(), 503, "{text}");
        }
        assert_eq!(driver_failure(sqlx::Error::RowNotFound).code.http_status(), 500);
    }
}
