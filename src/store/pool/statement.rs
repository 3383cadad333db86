//! Runs one statement of SeaORM on a connection of sqlx.

use sea_orm::{
    DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
    sqlx::{self, AssertSqlSafe, Executor, PgConnection, SqliteConnection},
};
use sea_query_sqlx::SqlxValues;

/// What to run, and what is expected of it.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// A statement without rows.
    Execute(Statement),
    /// Any number of statements without values and rows.
    Batch(String),
    /// The first row of a statement, if there is one.
    One(Statement),
    /// All rows of a statement.
    All(Statement),
}

/// The outcome of a [`Request`], in the same order.
#[derive(Debug)]
pub(super) enum Answer {
    Done(ExecResult),
    One(Option<QueryResult>),
    All(Vec<QueryResult>),
}

macro_rules! run_on {
    ($connection:expr, $request:expr) => {
        match $request {
            Request::Execute(statement) => {
                let done = query(statement).execute(&mut *$connection).await?;
                Ok(Answer::Done(done.into()))
            }
            Request::Batch(sql) => {
                let done = $connection.execute(AssertSqlSafe(sql.as_str())).await?;
                Ok(Answer::Done(done.into()))
            }
            Request::One(statement) => {
                let row = query(statement).fetch_optional(&mut *$connection).await?;
                Ok(Answer::One(row.map(QueryResult::from)))
            }
            Request::All(statement) => {
                let rows = query(statement).fetch_all(&mut *$connection).await?;
                Ok(Answer::All(rows.into_iter().map(QueryResult::from).collect()))
            }
        }
    };
}

impl Request {
    /// Whether it only reads, so that running it twice does no harm.
    ///
    /// Statements that write and return rows run in transactions, which never repeat a statement.
    pub(super) fn is_read(&self) -> bool {
        matches!(self, Self::One(_) | Self::All(_))
    }

    pub(super) async fn run_on_postgres(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Answer, sqlx::Error> {
        run_on!(connection, self)
    }

    pub(super) async fn run_on_sqlite(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Answer, sqlx::Error> {
        run_on!(connection, self)
    }

    /// A driver's error as SeaORM reports it for a statement of this kind.
    pub(super) fn failure(is_read: bool, error: sqlx::Error) -> DbErr {
        let error = RuntimeErr::SqlxError(error.into());
        if is_read { DbErr::Query(error) } else { DbErr::Exec(error) }
    }
}

/// A statement with its values, for either driver.
pub(super) fn query<DB>(statement: &Statement) -> sqlx::query::Query<'_, DB, SqlxValues>
where
    DB: sqlx::Database,
    SqlxValues: sqlx::IntoArguments<DB>,
{
    let values = statement.values.clone().unwrap_or_else(|| sea_orm::Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}

/// Implements SeaORM's `ConnectionTrait` for a type with `fn backend(&self) -> DbBackend` and
/// `async fn run(&self, Request) -> Result<Answer, sqlx::Error>`.
macro_rules! connection_trait {
    ($name:ty) => {
        #[async_trait::async_trait]
        impl sea_orm::ConnectionTrait for $name {
            fn get_database_backend(&self) -> sea_orm::DbBackend {
                self.backend()
            }

            async fn execute_raw(
                &self,
                statement: sea_orm::Statement,
            ) -> Result<sea_orm::ExecResult, sea_orm::DbErr> {
                match self.run(Request::Execute(statement)).await {
                    Ok(Answer::Done(done)) => Ok(done),
                    Ok(_) => Err(unexpected()),
                    Err(error) => Err(Request::failure(false, error)),
                }
            }

            async fn execute_unprepared(
                &self,
                sql: &str,
            ) -> Result<sea_orm::ExecResult, sea_orm::DbErr> {
                match self.run(Request::Batch(sql.to_owned())).await {
                    Ok(Answer::Done(done)) => Ok(done),
                    Ok(_) => Err(unexpected()),
                    Err(error) => Err(Request::failure(false, error)),
                }
            }

            async fn query_one_raw(
                &self,
                statement: sea_orm::Statement,
            ) -> Result<Option<sea_orm::QueryResult>, sea_orm::DbErr> {
                match self.run(Request::One(statement)).await {
                    Ok(Answer::One(row)) => Ok(row),
                    Ok(_) => Err(unexpected()),
                    Err(error) => Err(Request::failure(true, error)),
                }
            }

            async fn query_all_raw(
                &self,
                statement: sea_orm::Statement,
            ) -> Result<Vec<sea_orm::QueryResult>, sea_orm::DbErr> {
                match self.run(Request::All(statement)).await {
                    Ok(Answer::All(rows)) => Ok(rows),
                    Ok(_) => Err(unexpected()),
                    Err(error) => Err(Request::failure(true, error)),
                }
            }
        }
    };
}
pub(super) use connection_trait;

/// A [`Request`] answers in its own kind, so this is a defect of [`run_on!`].
pub(super) fn unexpected() -> DbErr {
    DbErr::Custom("a statement answered in another form than it was asked for".into())
}
