//! The flags: made in the order of their dependencies, or brought to what they
//! are elsewhere.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Walk, fields, refusal};
use crate::{
    model::{
        error::Result,
        filters::{Origin, replace_legacy},
        flag::FeatureFlag,
        import::{
            ForeignFlag, OnConflict,
            flag::differing,
            order::referred_first,
            references::Here,
            report::{Kind, Outcome},
        },
        json::Object,
    },
    service::flags::{Creation, Update},
    store::ProjectWrite,
};

/// Its number here, what became of it, and notes; or why it was refused.
type Done = Result<(i64, Outcome, Vec<String>), String>;

impl Walk<'_> {
    /// Makes or changes each flag, after those it reads.
    pub(super) async fn flags(&mut self, write: &mut ProjectWrite) -> Result<()> {
        let foreign = self.foreign;
        let asleep = read_asleep(&foreign.flags);
        let mut put_off = Vec::new();
        for place in in_order(&foreign.flags) {
            let flag = &foreign.flags[place];
            let done = match flag.unreadable() {
                Some(why) => Err(why),
                None => self.flag(write, flag, asleep.contains(&flag.id)).await?,
            };
            if let Ok((here, Outcome::Created, _)) = &done
                && asleep.contains(&flag.id)
            {
                put_off.push((*here, flag));
            }
            self.note_flag(flag, done);
        }
        // The last that was made is read by none of those that are still on.
        for (here, flag) in put_off.into_iter().rev() {
            let wanted = flag.wanted(flag.filters());
            let state = ["active", "archived"].into_iter();
            let body = state.filter_map(|name| Some((name.into(), wanted.get(name)?.clone())));
            self.update(write, here, body.collect()).await?;
        }
        Ok(())
    }

    fn note_flag(&mut self, flag: &ForeignFlag, done: Done) {
        let what = (Kind::Flag, flag.id, flag.key.as_str());
        let here = match done {
            Ok((here, outcome, notes)) => {
                self.tell(what, Some(here), outcome, notes);
                Here::Number(here)
            }
            Err(why) => {
                self.tell(what, None, Outcome::Refused, vec![why]);
                Here::Missing(format!("it reads flag `{}`, which was refused", flag.key))
            }
        };
        // A key of digits alone never stands for another flag's number.
        self.numbers.flags.entry(flag.key.clone()).or_insert(here.clone());
        self.numbers.flags.insert(flag.id.to_string(), here);
    }

    async fn flag(
        &self,
        write: &mut ProjectWrite,
        flag: &ForeignFlag,
        is_read_asleep: bool,
    ) -> Result<Done> {
        let mut filters = match self.numbers.of_flag(&flag.filters()) {
            Ok(filters) => filters,
            Err(why) => return Ok(Err(why)),
        };
        let lost = replace_legacy(&mut filters, &flag.key);
        let wanted = flag.wanted(filters);
        let holder = write.key_holder(&flag.key).await?.filter(|(_, deleted)| !deleted);
        let mut done = match holder {
            Some((id, _)) => self.flag_here(write, flag, &wanted, id).await?,
            None => self.new_flag(write, flag, &wanted, is_read_asleep).await?,
        };
        if let Ok((_, outcome, notes)) = &mut done
            && outcome.is_change()
        {
            notes.extend(lost.into_iter().map(|warning| warning.message));
        }
        Ok(done)
    }

    async fn new_flag(
        &self,
        write: &mut ProjectWrite,
        flag: &ForeignFlag,
        wanted: &Object,
        is_read_asleep: bool,
    ) -> Result<Done> {
        let mut body = flag.creation(wanted);
        if is_read_asleep {
            // Only flags that are on can be read by new ones; it goes to sleep in the end.
            body.insert("active".into(), true.into());
            body.shift_remove("archived");
        }
        let creation = Creation { body: &body, prepared: None, origin: Origin::Import };
        let made = self.services.created(self.caller, write, creation, self.now).await;
        let made = match refusal(made)? {
            Ok(made) => made.value,
            Err(why) => return Ok(Err(why)),
        };
        if self.creation_changed(&made, wanted) {
            let filters = ("filters".to_owned(), wanted["filters"].clone());
            self.update(write, made.id, Object::from_iter([filters])).await?;
        }
        Ok(Ok((made.id, Outcome::Created, flag.left_behind())))
    }

    async fn flag_here(
        &self,
        write: &mut ProjectWrite,
        flag: &ForeignFlag,
        wanted: &Object,
        id: i64,
    ) -> Result<Done> {
        self.may_be_here(Kind::Flag, &flag.key)?;
        let Some(here) = write.lock_flag(id).await? else {
            return Ok(Err("it went away meanwhile".into()));
        };
        let body = differing(wanted, &here, &self.services.encryptor);
        if body.is_empty() {
            return Ok(Ok((id, Outcome::Unchanged, Vec::new())));
        }
        let mut notes = vec![format!("differs in {}", fields(&body))];
        if self.on_conflict == OnConflict::Skip {
            return Ok(Ok((id, Outcome::Kept, notes)));
        }
        notes.extend(flag.left_behind());
        Ok(self.patched(write, here, body).await?.map(|()| (id, Outcome::Updated, notes)))
    }

    /// Whether a creation made something else of the filters, as it does of two kinds: it takes no
    /// flag without conditions, and turns the shares of a remote configuration up.
    fn creation_changed(&self, made: &FeatureFlag, wanted: &Object) -> bool {
        let conditions = wanted["filters"].get("groups").and_then(Value::as_array);
        let is_such =
            conditions.is_none_or(Vec::is_empty) || made.is_remote_configuration == Some(true);
        is_such && differing(wanted, made, &self.services.encryptor).contains_key("filters")
    }

    /// Changes a flag that this import made, which no rule stands against.
    async fn update(&self, write: &mut ProjectWrite, id: i64, body: Object) -> Result<()> {
        let Some(before) = write.lock_flag(id).await? else { return Ok(()) };
        let update = imported(id, body);
        self.services.changed(self.caller, write, before, update, self.now).await.map(drop)
    }

    async fn patched(
        &self,
        write: &mut ProjectWrite,
        before: FeatureFlag,
        body: Object,
    ) -> Result<Result<(), String>> {
        let update = imported(before.id, body);
        let changed = self.services.changed(self.caller, write, before, update, self.now).await;
        Ok(refusal(changed)?.map(drop))
    }
}

fn imported(id: i64, body: Object) -> Update {
    Update { origin: Origin::Import, ..Update::patch(id, body) }
}

fn in_order(flags: &[ForeignFlag]) -> Vec<usize> {
    let by_name = by_name(flags);
    let numbers = |flag: &ForeignFlag| {
        let named = flag.referred().flags.into_iter();
        named.filter_map(|name| by_name.get(&name).copied()).collect()
    };
    let referring: Vec<_> = flags.iter().map(|flag| (flag.id, numbers(flag))).collect();
    referred_first(&referring)
}

/// Numbers of flags by what conditions call them: their number, or their key.
fn by_name(flags: &[ForeignFlag]) -> HashMap<String, i64> {
    let keys = flags.iter().map(|flag| (flag.key.clone(), flag.id));
    keys.chain(flags.iter().map(|flag| (flag.id.to_string(), flag.id))).collect()
}

/// Flags that are off, and that only flags read which are off too: these may be made while
/// nothing sees them, and turned off in the end.
fn read_asleep(flags: &[ForeignFlag]) -> HashSet<i64> {
    let by_name = by_name(flags);
    let (mut read, mut read_awake) = (HashSet::new(), HashSet::new());
    for flag in flags {
        for id in flag.referred().flags.iter().filter_map(|name| by_name.get(name)) {
            if flag.is_active() {
                read_awake.insert(*id)
            } else {
                read.insert(*id)
            };
        }
    }
    let asleep = flags.iter().filter(|flag| !flag.is_active()).map(|flag| flag.id);
    asleep.filter(|id| read.contains(id) && !read_awake.contains(id)).collect()
}
