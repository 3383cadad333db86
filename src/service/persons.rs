//! Persons: listed, shown, deleted with all that is known of them.

use futures::{FutureExt, future::BoxFuture};
use uuid::Uuid;

use super::{
    Services,
    page::{Listing, Sized, Wanted, shortened},
};
use crate::{
    model::{
        caller::{Caller, Scope},
        error::{Error, Result},
        people::PeopleChanged,
        person::{Person, PersonFilter},
        project::ProjectRef,
    },
    store::persons::Start,
};

/// Which part of the persons is wanted, told by whom the page before ended with, and how many
/// there were when the first page was read: counting a million for every page is dear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// How many at most.
    pub(crate) limit: u64,
    /// The last person of the page before, and the total; `None` for the first page.
    pub(crate) after: Option<(i64, i64)>,
}

impl Turn {
    /// Reads gRPC's page size and token.
    ///
    /// # Errors
    ///
    /// `Invalid` for a negative size, and for a token that is none.
    pub(crate) fn by_token(page_size: i32, page_token: &str, default: u64) -> Result<Self> {
        let limit = Wanted::by_token(page_size, "", default)?.limit;
        let parse = |token: &str| {
            let (last, total) = token.strip_prefix("before-")?.split_once("-of-")?;
            Some((last.parse().ok()?, total.parse().ok().filter(|total| *total >= 0_i64)?))
        };
        let after = match page_token {
            "" => None,
            token => Some(parse(token).ok_or_else(super::page::unknown_token)?),
        };
        Ok(Self { limit, after })
    }
}

/// Persons of one page, and how to go on.
#[derive(Clone, Debug)]
pub(crate) struct Turned {
    pub(crate) results: Vec<Person>,
    pub(crate) total: i64,
    /// gRPC's token for the next page; empty on the last one.
    pub(crate) next_token: String,
}

impl Services {
    /// Persons of a project, newest first, from an offset.
    pub(crate) async fn list_persons(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        filter: &PersonFilter,
        wanted: Wanted,
    ) -> Result<Listing<Person>> {
        let project = self.open(caller, Scope::PERSON_READ, project).await?;
        let total = self.store.count_persons(project.id, filter).await?;
        let start = Start::Offset(wanted.offset);
        let results = match i64::try_from(wanted.offset).is_ok_and(|offset| offset < total) {
            true => self.person_sizes(project.id, filter, start, wanted.limit).await?,
            false => Vec::new(),
        };
        Ok(Listing::new(wanted, total, results, self.read_persons(project.id)))
    }

    /// Persons of a project, newest first, page after page.
    pub(crate) async fn turn_persons(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        filter: &PersonFilter,
        turn: Turn,
    ) -> Result<Turned> {
        let project = self.open(caller, Scope::PERSON_READ, project).await?;
        let (start, total) = match turn.after {
            Some((last, total)) => (Start::Before(last), total),
            None => (Start::Offset(0), self.store.count_persons(project.id, filter).await?),
        };
        // One more than wanted tells whether this is the last page.
        let mut sizes = self.person_sizes(project.id, filter, start, turn.limit + 1).await?;
        let limit = usize::try_from(turn.limit).unwrap_or(usize::MAX);
        let found = sizes.len();
        sizes.truncate(limit);
        sizes.truncate(shortened(&sizes));
        let next_token = match sizes.last() {
            Some(last) if sizes.len() < found => format!("before-{}-of-{total}", last.id),
            _ => String::new(),
        };
        let wanted = Wanted::new(0, turn.limit);
        let read = Listing::new(wanted, total, sizes, self.read_persons(project.id));
        Ok(Turned { results: read.into_page().await?.results, total, next_token })
    }

    async fn person_sizes(
        &self,
        project_id: i64,
        filter: &PersonFilter,
        start: Start,
        limit: u64,
    ) -> Result<Vec<Sized<i64>>> {
        let sizes = self.store.person_sizes(project_id, filter, start, limit).await?;
        Ok(sizes.into_iter().map(|(id, bytes)| Sized { id, bytes }).collect())
    }

    /// Reads persons by their numbers.
    fn read_persons(
        &self,
        project_id: i64,
    ) -> impl Fn(Vec<i64>) -> BoxFuture<'static, Result<Vec<Person>>> + Send + use<> {
        let store = self.store.clone();
        move |ids| {
            let store = store.clone();
            async move { store.persons_among(project_id, ids).await }.boxed()
        }
    }

    /// One person.
    pub(crate) async fn get_person(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        uuid: &str,
    ) -> Result<Person> {
        let project = self.open(caller, Scope::PERSON_READ, project).await?;
        self.store.person(project.id, read(uuid)?).await?.ok_or_else(Error::not_found)
    }

    /// Deletes a person with their ids, history, memberships and fixed hash keys, for good.
    pub(crate) async fn delete_person(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        uuid: &str,
    ) -> Result<()> {
        let project = self.open(caller, Scope::PERSON_WRITE, project).await?;
        let uuid = read(uuid)?;
        let txn = self.store.begin_persons(project.id).await?;
        let person = self.store.delete_person(&txn, project.id, uuid).await?;
        let mut changed = PeopleChanged::default();
        for id in person.ok_or_else(Error::not_found)?.distinct_ids {
            changed.note_person(id);
        }
        self.commit_people(txn, [(project.id, &changed)]).await
    }
}

/// What is no UUID names nobody.
fn read(uuid: &str) -> Result<Uuid> {
    uuid.parse().map_err(|_| Error::not_found())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_where_to_go_on_and_anything_else_is_refused() {
        let turn = Turn::by_token(5, "before-17-of-40", 100).unwrap();
        assert_eq!(turn, Turn { limit: 5, after: Some((17, 40)) });
        assert_eq!(Turn::by_token(0, "", 100).unwrap(), Turn { limit: 100, after: None });
        for token in ["after-3", "before-x-of-4", "before-3", "before-3-of--1"] {
            let error = Turn::by_token(5, token, 100).unwrap_err();
            assert_eq!(error.attr.as_deref(), Some("page_token"), "{token}");
        }
        assert!(Turn::by_token(-1, "", 100).is_err());
    }
}
