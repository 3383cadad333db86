//! Why each flag is what it is for somebody, and what flags are for the caller
//! (management-api 4.10, 5).
//!
//! Both are for the people who manage flags: flags of every runtime and of
//! every kind are evaluated, and nothing is counted as use.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::{
    Services,
    evaluation::{Asked, Scene},
    page::{Page, Wanted},
};
use crate::{
    engine::{Flag, Outcome},
    model::{
        caller::{Caller, Scope},
        error::Result,
        json::Object,
        project::ProjectRef,
        reasons::{self, WantedReasons},
        shown::ShownFlag,
    },
};

/// A flag's value for somebody, and why.
#[derive(Debug)]
pub(crate) struct FlagReason {
    pub(crate) key: String,
    /// A variant's key, or a boolean.
    pub(crate) value: Value,
    pub(crate) reason: &'static str,
    pub(crate) condition_index: Option<u32>,
    /// The reason in words; a flag that is switched off has none.
    pub(crate) description: Option<String>,
}

/// A flag and its value for the caller.
#[derive(Debug)]
pub(crate) struct MyFlag {
    pub(crate) flag: ShownFlag,
    /// A variant's key, or a boolean.
    pub(crate) value: Value,
}

impl Services {
    /// The value of each flag for somebody, known or not, and why; by the set's order, with the
    /// flags that are switched off among them.
    pub(crate) async fn evaluation_reasons(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        sent: &Object,
    ) -> Result<Vec<FlagReason>> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let WantedReasons { distinct_id, groups, flag_keys } = WantedReasons::parse(sent)?;
        let asked_for: Option<HashSet<String>> =
            flag_keys.as_ref().map(|keys| keys.iter().cloned().collect());
        let wanted = |flag: &Flag| asked_for.as_ref().is_none_or(|keys| keys.contains(flag.key()));
        let snapshot = self.snapshots.get(project.id).await?;
        let asked = Asked { distinct_id, groups, ..Asked::default() };
        let scene = Scene { flag_keys, encrypted_too: true, ..Scene::default() };
        let evaluation = self.evaluate(&snapshot, &asked, &scene).await;
        let evaluated = evaluation.outcomes.iter().filter(|outcome| wanted(outcome.flag));
        let off =
            snapshot.flags.flags().iter().filter(|flag| flag.is_switched_off() && wanted(flag));
        Ok(evaluated.map(reason).chain(off.map(|flag| disabled(flag))).collect())
    }

    /// Live flags, newest first, and what they are for the calling user; those that are
    /// switched off are false.
    pub(crate) async fn my_flags(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        sent: &Object,
        wanted: Wanted,
    ) -> Result<Page<MyFlag>> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let groups = reasons::groups(sent)?;
        let user = self.store.user(caller.user_id).await?;
        let distinct_id = user.map(|user| user.distinct_id).unwrap_or_default();
        let (flags, total) = self.store.live_flags(project.id, wanted.offset, wanted.limit).await?;
        let snapshot = self.snapshots.get(project.id).await?;
        let asked = Asked { distinct_id, groups, ..Asked::default() };
        let flag_keys = Some(flags.iter().map(|flag| flag.key.clone()).collect());
        let scene = Scene { flag_keys, encrypted_too: true, ..Scene::default() };
        let evaluation = self.evaluate(&snapshot, &asked, &scene).await;
        let values: HashMap<&str, Value> = evaluation
            .outcomes
            .iter()
            .map(|outcome| (outcome.flag.key(), value(outcome)))
            .collect();
        let shown = self.all_shown(caller, flags, self.clock.now()).await?;
        let mine = |flag: ShownFlag| {
            let value = values.get(flag.flag.key.as_str()).cloned();
            MyFlag { flag, value: value.unwrap_or(Value::Bool(false)) }
        };
        Ok(Page { results: shown.into_iter().map(mine).collect(), total, wanted })
    }
}

fn reason(outcome: &Outcome<'_>) -> FlagReason {
    FlagReason {
        key: outcome.flag.key().to_owned(),
        value: value(outcome),
        reason: outcome.reason.code(),
        condition_index: outcome.condition_index,
        description: Some(outcome.description().into_owned()),
    }
}

/// Not `flag_disabled`, as evaluation would say: the document has a word of its own here.
fn disabled(flag: &Flag) -> FlagReason {
    FlagReason {
        key: flag.key().to_owned(),
        value: Value::Bool(false),
        reason: "disabled",
        condition_index: None,
        description: None,
    }
}

fn value(outcome: &Outcome<'_>) -> Value {
    outcome.variant.map_or_else(|| json!(outcome.enabled), |variant| json!(variant))
}
