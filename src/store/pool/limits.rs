//! How long the database may take, and what its errors say about a connection.

use std::{io, time::Duration};

use sea_orm::sqlx;
use tokio::time::{sleep, timeout};

use super::trust::Trust;

/// Time limits of a pool.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Limits {
    /// A free connection, a new connection, a BEGIN, a sign of life.
    pub(in crate::store) round_trip: Duration,
    /// Any other statement, and a COMMIT.
    pub(in crate::store) statement: Duration,
}

impl Limits {
    /// A sign of life. Shorter than the wait for a connection, which asks for one or more.
    pub(super) fn ping(&self) -> Duration {
        self.round_trip / 2
    }
}

/// Runs `work`, at most for `limit`; if all open connections are found dead meanwhile, at most for
/// `grace` from then on.
pub(super) async fn limited<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
    limit: Duration,
    grace: Duration,
    trust: &Trust,
) -> Result<T, sqlx::Error> {
    let lost = async {
        trust.all_are_lost().await;
        sleep(grace).await;
    };
    let work = timeout(limit, work);
    tokio::pin!(work, lost);
    tokio::select! {
        biased;
        outcome = &mut work => outcome.unwrap_or_else(|_| Err(timed_out())),
        () = &mut lost => Err(timed_out()),
    }
}

pub(super) fn timed_out() -> sqlx::Error {
    let text = "the database did not answer in time";
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text))
}

/// Whether the connection is gone or cannot be told to be there: it is closed, and others like it
/// are asked before their next use.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.len() == 5 && is_lost_code(&code))
        }
        _ => false,
    }
}

/// Whether the time limit ended the work, rather than the other side.
pub(super) fn is_timed_out(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Whether other transactions were in the way, which says nothing of the database.
pub(super) fn is_of_others(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| is_of_others_code(&code))
}

/// PostgreSQL's conflicts and waits for locks; SQLite's busy and locked.
fn is_of_others_code(code: &str) -> bool {
    let is_sqlite = code.len() < 5 && code.parse::<i64>().is_ok_and(|c| matches!(c & 0xff, 5 | 6));
    is_sqlite || ["40001", "40P01", "55P03", "57014", "25P02"].contains(&code)
}

/// PostgreSQL's classes of lost connections and of shutdown.
fn is_lost_code(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P")
}

/// Whether a transaction in which a statement failed so can still be rolled back by a statement.
///
/// PostgreSQL says which errors end the session. SQLite may end the transaction by itself when
/// the disk is full, memory or the file fails or the database cannot be written, and does not say
/// so; only a violated constraint is sure to leave it open.
pub(super) fn may_roll_back(error: &sqlx::Error, is_postgres: bool) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    match is_postgres {
        true => !is_lost(error),
        false => database.code().is_some_and(|code| is_constraint(&code)),
    }
}

/// SQLite's constraint violations: the low byte of the extended code is 19.
fn is_constraint(code: &str) -> bool {
    code.parse::<i64>().is_ok_and(|code| code & 0xff == 19)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_violated_constraints_leave_a_transaction_of_sqlite_open() {
        let cases = [
            ("2067", true),
            ("19", true),
            ("787", true),
            ("13", false),
            ("10", false),
            ("778", false),
            ("8", false),
            ("5", false),
            ("1", false),
            ("", false),
        ];
        for (code, open) in cases {
            assert_eq!(is_constraint(code), open, "{code}");
        }
    }

    #[test]
    fn a_session_that_ended_is_lost() {
        for (code, lost) in [("57P01", true), ("08006", true), ("57014", false), ("23505", false)] {
            assert_eq!(is_lost_code(code), lost, "{code}");
        }
    }

    #[tokio::test]
    async fn work_ends_with_its_limit_or_with_its_connection() {
        let (long, short) = (Duration::from_secs(600), Duration::from_millis(1));
        let endless = || std::future::pending::<Result<(), sqlx::Error>>();
        let trust = Trust::default();
        assert!(limited(endless(), short, long, &trust).await.is_err_and(|e| is_timed_out(&e)));

        let lose = async {
            tokio::task::yield_now().await;
            trust.lost_all();
        };
        let (outcome, ()) = tokio::join!(limited(endless(), long, short, &trust), lose);
        assert!(outcome.is_err_and(|error| is_timed_out(&error)));
        let done = limited(async { Ok(7) }, long, short, &trust).await;
        assert_eq!(done.unwrap(), 7);
    }
}
