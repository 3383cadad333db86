//! Rows of a statement as they come, for results that are not held as a whole.

use std::pin::Pin;

use futures::{FutureExt, StreamExt};
use sea_orm::{DbBackend, DbErr, QueryResult, Statement, StreamTrait};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::{Pool, connection::Connection, limits::timed_out, statement::Request};

/// Rows that may wait for their reader.
const MAX_ROWS_WAITING: usize = 64;

type Row = Result<QueryResult, DbErr>;
type Rows = ReceiverStream<Row>;

impl StreamTrait for Pool {
    type Stream<'a> = Rows;

    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    fn stream_raw<'a>(
        &'a self,
        statement: Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Rows, DbErr>> + 'a + Send>> {
        async move {
            let connection = self.acquire().await.map_err(|error| Request::failure(true, error))?;
            let (rows, received) = mpsc::channel(MAX_ROWS_WAITING);
            tokio::spawn(send(connection, statement, rows));
            Ok(ReceiverStream::new(received))
        }
        .boxed()
    }
}

/// Sends the rows to their reader; each must come within the time limit of a statement.
async fn send(mut connection: Connection, statement: Statement, rows: mpsc::Sender<Row>) {
    let limit = connection.limits().statement;
    let mut found = connection.rows(&statement);
    let is_done = loop {
        let next = timeout(limit, found.next()).await;
        let row = match next.unwrap_or_else(|_| Some(Err(timed_out()))) {
            None => break true,
            Some(row) => row,
        };
        let is_last = row.is_err();
        let row = row.map_err(|error| Request::failure(true, error));
        // A reader that stopped does not want the rest.
        if rows.send(row).await.is_err() || is_last {
            break false;
        }
    };
    drop(found);
    match is_done {
        true => connection.release().await,
        false => connection.close().await,
    }
}
