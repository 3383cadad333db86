//! The cohorts that imported flags go by: found by name and kind, or made.
//!
//! A cohort's name need not be unique, so of several with one name the oldest
//! there is the oldest here, and so on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Walk, fields, refusal};
use crate::{
    model::{
        cohort::{Cohort, write::CohortWrite},
        error::Result,
        import::{
            ForeignCohort, OnConflict,
            order::referred_first,
            references::Here,
            report::{Kind, Outcome},
        },
        json::Object,
        write::Method,
    },
    service::flag_rules::GRAMMAR,
    store::ProjectWrite,
};

/// The cohorts that are here, oldest first, by name and by whether they are static.
type Known = BTreeMap<(String, bool), VecDeque<Cohort>>;

impl<'f> Walk<'f> {
    /// Makes each cohort that a flag goes by, directly or through another, and gives it its
    /// number here.
    pub(super) async fn cohorts(&mut self, write: &mut ProjectWrite) -> Result<()> {
        let mut known = Known::new();
        let mut here = write.cohorts().await?;
        here.sort_unstable_by_key(|cohort| cohort.id);
        for cohort in here {
            known.entry((cohort.name.clone(), cohort.is_static)).or_default().push_back(cohort);
        }
        for cohort in self.used_cohorts() {
            let key = (cohort.name.trim().to_owned(), cohort.is_static);
            let found = known.get_mut(&key).and_then(VecDeque::pop_front);
            self.cohort(write, cohort, found).await?;
        }
        Ok(())
    }

    /// Those that the rest needs, each after those it refers to.
    fn used_cohorts(&self) -> Vec<&'f ForeignCohort> {
        let foreign = self.foreign;
        let by_id: BTreeMap<i64, &'f ForeignCohort> =
            foreign.cohorts.iter().map(|cohort| (cohort.id, cohort)).collect();
        let mut used = BTreeSet::new();
        let mut pending: Vec<i64> =
            foreign.flags.iter().flat_map(|flag| flag.referred().cohorts).collect();
        while let Some(id) = pending.pop() {
            if let Some(cohort) = by_id.get(&id).filter(|_| used.insert(id)) {
                pending.extend(cohort.referred().cohorts);
            }
        }
        let used: Vec<&'f ForeignCohort> = used.iter().map(|id| by_id[id]).collect();
        let referring: Vec<_> = used
            .iter()
            .map(|cohort| (cohort.id, cohort.referred().cohorts.into_iter().collect()))
            .collect();
        referred_first(&referring).into_iter().map(|place| used[place]).collect()
    }

    async fn cohort(
        &mut self,
        write: &mut ProjectWrite,
        cohort: &ForeignCohort,
        found: Option<Cohort>,
    ) -> Result<()> {
        let what = (Kind::Cohort, cohort.id, cohort.name.as_str());
        let readable = cohort.unreadable().map_or(Ok(()), Err);
        let done = match readable.and_then(|()| self.numbers.of_cohort(&cohort.filters)) {
            Err(why) => Err(why),
            Ok(filters) => {
                let body = cohort.body(&filters);
                match found {
                    Some(here) => self.cohort_here(write, &body, &here).await?,
                    None => self.new_cohort(write, body).await?,
                }
            }
        };
        match done {
            Ok((here, outcome, mut notes)) => {
                if cohort.is_static {
                    notes.push(members_left(cohort.count));
                }
                self.numbers.cohorts.insert(cohort.id, Here::Number(here));
                self.tell(what, Some(here), outcome, notes);
            }
            Err(why) => {
                let missing = format!("it goes by cohort `{}`, which was refused", cohort.name);
                self.numbers.cohorts.insert(cohort.id, Here::Missing(missing));
                self.tell(what, None, Outcome::Refused, vec![why]);
            }
        }
        Ok(())
    }

    async fn new_cohort(&self, write: &mut ProjectWrite, body: Object) -> Result<Done> {
        let wanted = CohortWrite { body, method: Method::Create, is_typed: false };
        let tree = wanted.tree(&GRAMMAR);
        let made = self.services.created_cohort(self.caller, write, &wanted, tree, self.now).await;
        Ok(refusal(made)?.map(|made| (made.id, Outcome::Created, Vec::new())))
    }

    async fn cohort_here(
        &self,
        write: &mut ProjectWrite,
        body: &Object,
        here: &Cohort,
    ) -> Result<Done> {
        self.may_be_here(Kind::Cohort, &here.name)?;
        let body = ForeignCohort::differing(body, here);
        if body.is_empty() {
            return Ok(Ok((here.id, Outcome::Unchanged, Vec::new())));
        }
        let differing = format!("differs in {}", fields(&body));
        if self.on_conflict == OnConflict::Skip {
            return Ok(Ok((here.id, Outcome::Kept, vec![differing])));
        }
        let wanted = CohortWrite { body, method: Method::Patch, is_typed: false };
        let tree = wanted.tree(&GRAMMAR);
        let changed = self.services.changed_cohort(write, here, &wanted, tree).await;
        Ok(refusal(changed)?.map(|after| (after.id, Outcome::Updated, vec![differing])))
    }
}

/// Its number here, what became of it, and notes; or why it was refused.
type Done = Result<(i64, Outcome, Vec<String>), String>;

fn members_left(count: Option<i64>) -> String {
    let count = count.map(|count| format!("{count} ")).unwrap_or_default();
    format!("its {count}members stay behind: add them to the static cohort here")
}
