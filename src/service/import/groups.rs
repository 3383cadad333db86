//! The group types that imported flags go by: found by name, or made.

use super::Walk;
use crate::{
    model::{
        error::Result,
        import::{
            references::Here,
            report::{Kind, Outcome},
        },
    },
    store::ProjectWrite,
};

impl Walk<'_> {
    /// Gives each group type that a flag goes by its number here. One that is new keeps its
    /// number where that is free.
    pub(super) async fn group_types(&mut self, write: &mut ProjectWrite) -> Result<()> {
        let used = self.foreign.flags.iter().flat_map(|flag| flag.referred().group_types);
        let used: std::collections::BTreeSet<i64> = used.collect();
        for there in used {
            let Some(name) = self.foreign.group_types.get(&there).cloned() else { continue };
            let (here, is_new) = write.group_type(&name, i32::try_from(there).ok()).await?;
            let what = (Kind::GroupType, there, name.as_str());
            let Some(here) = here.map(i64::from) else {
                let why = "a project has five group types at most, and there is no room here";
                let missing = format!("it goes by group type `{name}`: {why}");
                self.numbers.group_types.insert(there, Here::Missing(missing));
                self.tell(what, None, Outcome::Refused, vec![why.into()]);
                continue;
            };
            let outcome = if is_new { Outcome::Created } else { Outcome::Unchanged };
            let notes = (here != there).then(|| format!("its index is {there} there"));
            self.tell(what, Some(here), outcome, notes.into_iter().collect());
            self.numbers.group_types.insert(there, Here::Number(here));
        }
        Ok(())
    }
}
