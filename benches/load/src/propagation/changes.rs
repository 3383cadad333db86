//! Changes a flag in the database, as a replica does.

use std::time::Instant;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement, TransactionTrait};

pub(crate) struct Changes {
    database: DatabaseConnection,
}

/// A change that was made.
pub(crate) struct Committed {
    /// The version that the flag has then, which is the project's revision.
    pub(crate) revision: i64,
    /// When the commit was asked for.
    pub(crate) at: Instant,
}

impl Changes {
    pub(crate) async fn open(url: &str) -> Self {
        Self { database: Database::connect(url).await.expect("the database") }
    }

    /// Changes the flag, announced or not.
    pub(crate) async fn commit(&self, announced: bool) -> Committed {
        let revision = self.revision().await + 1;
        let txn = self.database.begin().await.expect("a transaction");
        let notify = match announced {
            true => {
                "SELECT pg_notify('flagstaff', 'revision 1 ' || revision) FROM project WHERE id = 1"
            }
            false => "SELECT 1",
        };
        let statements = [
            format!("UPDATE project SET revision = {revision} WHERE id = 1"),
            format!(
                "UPDATE feature_flag SET version = {revision}, name = 'At {revision}' WHERE id = 1"
            ),
            "INSERT INTO change_log (project_id, revision, kind, item_id, deleted, created_at) \
             SELECT 1, revision, 'flag', '1', false, now() FROM project WHERE id = 1"
                .to_owned(),
            notify.to_owned(),
        ];
        for statement in statements {
            txn.execute_unprepared(&statement).await.expect("a statement");
        }
        let at = Instant::now();
        txn.commit().await.expect("a commit");
        Committed { revision, at }
    }

    /// The project's revision.
    pub(crate) async fn revision(&self) -> i64 {
        let query = "SELECT revision FROM project WHERE id = 1";
        let statement = Statement::from_string(self.database.get_database_backend(), query);
        let row = self.database.query_one_raw(statement).await.expect("an answer");
        row.expect("the project").try_get_by_index(0).expect("its revision")
    }
}
