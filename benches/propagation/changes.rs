//! Changes a flag in the database, as a replica does.

use std::sync::atomic::{AtomicI64, Ordering};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement, TransactionTrait};

pub(crate) struct Changes {
    database: DatabaseConnection,
    version: AtomicI64,
}

impl Changes {
    pub(crate) async fn open(url: &str) -> Self {
        let database = Database::connect(url).await.expect("the database");
        Self { database, version: AtomicI64::new(1) }
    }

    /// Changes the flag, announced or not, and gives the version it has then.
    pub(crate) async fn commit(&self, announced: bool) -> i64 {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let txn = self.database.begin().await.unwrap();
        let notify = match announced {
            true => {
                "SELECT pg_notify('flagstaff', 'revision 1 ' || revision) FROM project WHERE id = 1"
            }
            false => "SELECT 1",
        };
        let statements = [
            "UPDATE project SET revision = revision + 1 WHERE id = 1".to_owned(),
            format!(
                "UPDATE feature_flag SET version = {version}, name = 'At {version}' WHERE id = 1"
            ),
            "INSERT INTO change_log (project_id, revision, kind, item_id, deleted, created_at) \
             SELECT 1, revision, 'flag', '1', false, now() FROM project WHERE id = 1"
                .to_owned(),
            notify.to_owned(),
        ];
        for statement in statements {
            txn.execute_unprepared(&statement).await.unwrap();
        }
        txn.commit().await.unwrap();
        version
    }

    /// The project's revision.
    pub(crate) async fn revision(&self) -> i64 {
        let query = "SELECT revision FROM project WHERE id = 1";
        let statement = Statement::from_string(self.database.get_database_backend(), query);
        let row = self.database.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }
}
