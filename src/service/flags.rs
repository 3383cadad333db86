//! A flag's life: made, listed, shown, changed, put away (management-api 3.7).

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Services, Written, flag_log,
    flag_rules::{self, KeyHolder, Transition},
    page::{Listing, Sized, Wanted},
    usage_dashboard,
};
use crate::{
    model::{
        caller::{Caller, Scope},
        config_version, conflict, encrypted,
        error::{BodyKind, Error, Result},
        filters::{Origin, PreparedFilters, replace_legacy},
        flag::FeatureFlag,
        flag_filter::{FlagFilter, Order},
        guards,
        history_point::HistoryPoint,
        json::Object,
        project::{Project, ProjectRef},
        shown::{Seen, ShownFlag},
        unknown_fields::{FLAG, Strictness},
        write::{FlagWrite, Method, Typed},
    },
    store::{ProjectWrite, flag_list::FlagPage},
};

/// A wanted change to one flag.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    /// The flag's number.
    pub(crate) id: i64,
    /// The fields sent, as a REST body has them.
    pub(crate) body: Object,
    /// PATCH or PUT.
    pub(crate) method: Method,
    /// What came without a spelling of its own.
    pub(crate) typed: Typed,
    /// The filters of the body, prepared; `None` if there are none, or if they are not yet.
    pub(crate) prepared: Option<PreparedFilters>,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

/// A wanted flag.
#[derive(Debug)]
pub(super) struct Creation<'a> {
    /// The fields sent, as a REST body has them.
    pub(super) body: &'a Object,
    /// See [`Update::prepared`].
    pub(super) prepared: Option<PreparedFilters>,
    /// Where it comes from.
    pub(super) origin: Origin,
}

impl Update {
    /// A PATCH of fields as REST has them.
    pub(crate) fn patch(id: i64, body: Object) -> Self {
        let (method, typed) = (Method::Patch, Typed::default());
        Self { id, body, method, typed, prepared: None, origin: Origin::Request }
    }

    /// A change by an operation that names no filters.
    fn operation(id: i64, body: Object) -> Self {
        Self { origin: Origin::Operation, ..Self::patch(id, body) }
    }
}

/// A wanted state, for the operations that name one and need no body (management-api 5).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Switch {
    Enable,
    Disable,
    Archive,
    Unarchive,
}

impl Services {
    /// Flags that are not softly deleted.
    pub(crate) async fn list_flags(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        filter: &Object,
        wanted: Wanted,
    ) -> Result<Listing<ShownFlag>> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let order = filter.get("order").and_then(Value::as_str).filter(|order| !order.is_empty());
        let now = self.clock.now();
        let page = FlagPage {
            filter: FlagFilter::parse(filter)?,
            order: order.map(Order::parse).transpose()?.unwrap_or_default(),
            offset: wanted.offset,
            limit: wanted.limit,
            now,
        };
        let (ids, total) = self.lists.page(&project, &page).await?;
        let sizes = self.store.flag_sizes(project.id, ids).await?;
        let sizes = sizes.into_iter().map(|(id, bytes)| Sized { id, bytes }).collect();
        let (all, caller, project_id) = (self.clone(), caller.clone(), project.id);
        Ok(Listing::new(wanted, total, sizes, move |ids| {
            let (all, caller) = (all.clone(), caller.clone());
            async move {
                let flags = all.store.flags_among(project_id, &ids).await?;
                all.all_shown(&caller, flags, now).await
            }
        }))
    }

    /// The numbers of all flags that a filter matches and the caller may edit.
    pub(crate) async fn matching_flag_ids(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        filter: &Object,
    ) -> Result<Vec<i64>> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let filter = FlagFilter::parse(filter)?;
        match caller.granted(Scope::FLAG_WRITE) {
            Ok(()) => self.lists.matching_ids(&project, &filter, self.clock.now()).await,
            Err(_) => Ok(Vec::new()),
        }
    }

    /// A flag by number, softly deleted ones included.
    pub(crate) async fn get_flag(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<ShownFlag> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let flag = self.store.flag(project.id, id).await?.ok_or_else(Error::not_found)?;
        self.shown(caller, flag, self.clock.now()).await
    }

    /// Live, active flags that read this one, by key.
    pub(crate) async fn dependent_flags(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<Vec<FeatureFlag>> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        self.store.flag(project.id, id).await?.ok_or_else(Error::not_found)?;
        self.store.dependent_flags(project.id, id).await
    }

    /// Makes a flag; a softly deleted one that holds its key makes way.
    pub(crate) async fn create_flag(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        body: &Object,
        strictness: Strictness,
    ) -> Result<Written<ShownFlag>> {
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let mut warnings = strictness.check(body, &FLAG, project.strict_writes)?;
        let prepared = flag_rules::prepare(body, Method::Create).await?;
        let mut write = self.begin(project.id).await?;
        // Under the lock, so that rows of the log land in the order of their times.
        let now = self.clock.now();
        let creation = Creation { body, prepared, origin: Origin::Request };
        let made = self.created(caller, &mut write, creation, now).await?;
        self.commit(write, now).await?;
        warnings.extend(made.warnings);
        Ok(Written { value: self.shown(caller, made.value, now).await?, warnings })
    }

    /// Makes a flag within a change of its project; nothing is written when a rule refuses it.
    pub(super) async fn created(
        &self,
        caller: &Caller,
        write: &mut ProjectWrite,
        Creation { body, prepared, origin }: Creation<'_>,
        now: DateTime<Utc>,
    ) -> Result<Written<FeatureFlag>> {
        let fresh = FeatureFlag::fresh(write.project.id, String::new(), now);
        let holder = KeyHolder::of(write, body).await?;
        let filters = (origin, prepared);
        let facts = flag_rules::facts(write, body, &fresh, &holder, filters).await?;
        let wanted = FlagWrite::parse(body, Method::Create, &fresh, &facts)?;
        let (from_survey, wants_dashboard) =
            (wanted.is_from_survey(), wanted.wants_usage_dashboard());
        let mut flag = wanted.apply(&fresh, Method::Create)?;
        let warnings = replace_legacy(&mut flag.filters, &flag.key);
        flag_rules::check_limit(write)?;
        flag_rules::check_contexts(&write.project, &flag, None, from_survey)?;
        encrypted::seal(&mut flag, None, true, &self.encryptor)?;
        holder.make_way(write, None).await?;
        flag.created_by = write.user(caller.user_id).await?;
        flag.last_modified_by.clone_from(&flag.created_by);
        if wants_dashboard {
            flag.usage_dashboard = Some(usage_dashboard::make(write, &flag.key, now).await?);
        }
        flag.id = write.insert_flag(&flag).await?;
        flag_log::creation(write, &flag, caller.user_id, now).await?;
        Ok(Written { value: flag, warnings })
    }

    /// Changes a flag and counts its version.
    pub(crate) async fn update_flag(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        update: Update,
        strictness: Strictness,
    ) -> Result<Written<ShownFlag>> {
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let mut warnings = strictness.check(&update.body, &FLAG, project.strict_writes)?;
        let prepared = flag_rules::prepare(&update.body, update.method).await?;
        let (write, before) = self.lock_flag(project.id, update.id).await?;
        let update = Update { prepared, ..update };
        let changed = self.change(caller, write, before, update).await?;
        warnings.extend(changed.warnings);
        Ok(Written { value: changed.value, warnings })
    }

    /// Brings a flag into a state; in it already, nothing is written.
    pub(crate) async fn switch_flag(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
        switch: Switch,
    ) -> Result<ShownFlag> {
        let (write, before) = self.locked(caller, project, id).await?;
        let body = match switched(&before, switch)? {
            Some(body) => body,
            None => {
                drop(write);
                return self.shown(caller, before, self.clock.now()).await;
            }
        };
        let changed = self.change(caller, write, before, Update::operation(id, body)).await?;
        Ok(changed.value)
    }

    /// Softly deletes a flag, as a PATCH of `deleted: true` does. Doing it again changes nothing.
    pub(crate) async fn delete_flag(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<ShownFlag> {
        let (write, before) = self.locked(caller, project, id).await?;
        if before.deleted {
            drop(write);
            return self.shown(caller, before, self.clock.now()).await;
        }
        // With the version that is stored, which a flag in another rules format needs.
        let version = before.version.unwrap_or(0);
        let body = [("deleted", true.into()), ("version", version.into())];
        let body = body.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let changed = self.change(caller, write, before, Update::operation(id, body)).await?;
        Ok(changed.value)
    }

    /// A flag that the caller may change, under its lock.
    pub(super) async fn locked(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<(ProjectWrite, FeatureFlag)> {
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        self.lock_flag(project.id, id).await
    }

    /// A flag of an opened project, under its lock.
    pub(super) async fn lock_flag(
        &self,
        project_id: i64,
        id: i64,
    ) -> Result<(ProjectWrite, FeatureFlag)> {
        let write = self.begin(project_id).await?;
        let flag = write.lock_flag(id).await?.ok_or_else(Error::not_found)?;
        Ok((write, flag))
    }

    /// Changes a flag, as the only change of its transaction.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        mut write: ProjectWrite,
        before: FeatureFlag,
        update: Update,
    ) -> Result<Written<ShownFlag>> {
        let now = self.clock.now();
        let Written { value, warnings } =
            self.changed(caller, &mut write, before, update, now).await?;
        self.commit(write, now).await?;
        Ok(Written { value: self.shown(caller, value, now).await?, warnings })
    }

    /// The one way in which a flag changes; the rules stand in the order of management-api 3.7,
    /// and nothing is written when one of them refuses.
    pub(super) async fn changed(
        &self,
        caller: &Caller,
        write: &mut ProjectWrite,
        before: FeatureFlag,
        mut update: Update,
        now: DateTime<Utc>,
    ) -> Result<Written<FeatureFlag>> {
        config_version::check_update(&mut update.body, &before)?;
        let sent_filters = update.body.contains_key("filters");
        let conflict = self.resolve_conflicts(write, &mut update.body, caller, &before).await;
        let holder = KeyHolder::of(write, &update.body).await?;
        let filters = (update.origin, update.prepared.take());
        let facts = flag_rules::facts(write, &update.body, &before, &holder, filters).await?;
        let wanted = FlagWrite::parse(&update.body, update.method, &before, &facts)?
            .keeping_spelling_of(&before, update.typed, &self.encryptor);
        let from_survey = wanted.is_from_survey();
        let mut after = wanted.apply(&before, update.method)?;
        flag_rules::check_contexts(&write.project, &after, Some(&before), from_survey)?;
        Transition::between(&before, &after).check(write, &before, &after).await?;
        flag_rules::rekey(write, &before, &mut after, update.body.contains_key("key")).await?;
        encrypted::seal(&mut after, Some(&before), sent_filters, &self.encryptor)?;
        // Every update replaces them, whether it mentions filters or not (3.4).
        let warnings = match update.origin {
            Origin::Operation => Vec::new(),
            Origin::Request | Origin::Import => replace_legacy(&mut after.filters, &after.key),
        };
        conflict?;
        after.version = Some(before.version.unwrap_or(0) + 1);
        after.last_modified_by = write.user(caller.user_id).await?;
        after.updated_at = Some(now);
        holder.make_way(write, Some(before.id)).await?;
        write.update_flag(&before, &after).await?;
        usage_dashboard::retitle(write, &before, &after).await?;
        flag_log::update(write, &before, &after, caller.user_id, now).await?;
        Ok(Written { value: after, warnings })
    }

    /// Refuses a write that disagrees with somebody else's since, and lets go what it only echoes.
    async fn resolve_conflicts(
        &self,
        write: &ProjectWrite,
        body: &mut Object,
        caller: &Caller,
        stored: &FeatureFlag,
    ) -> Result<()> {
        if !body.contains_key("original_flag") {
            return Ok(());
        }
        let names = write.names_in(std::slice::from_ref(stored)).await?;
        let seen = Seen { now: self.clock.now(), cipher: &self.encryptor, names: &names };
        let editor = stored.last_modified_by.as_ref().map(|user| user.email.clone());
        match ShownFlag::to(caller, stored.clone(), seen).to_json() {
            Value::Object(stored) => conflict::resolve(body, &stored, editor.as_deref()),
            _ => Ok(()),
        }
    }

    async fn shown(
        &self,
        caller: &Caller,
        flag: FeatureFlag,
        now: DateTime<Utc>,
    ) -> Result<ShownFlag> {
        let shown = self.all_shown(caller, vec![flag], now).await?;
        shown.into_iter().next().ok_or_else(Error::not_found)
    }

    pub(super) async fn all_shown(
        &self,
        caller: &Caller,
        flags: Vec<FeatureFlag>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ShownFlag>> {
        let names = self.store.names_in(&flags).await?;
        let seen = || Seen { now, cipher: &self.encryptor, names: &names };
        Ok(flags.into_iter().map(|flag| ShownFlag::to(caller, flag, seen())).collect())
    }

    pub(crate) async fn begin(&self, project_id: i64) -> Result<ProjectWrite> {
        ProjectWrite::begin(&self.store, project_id).await?.ok_or_else(Error::not_found)
    }

    /// Commits, and brings the local snapshot to the change before anybody is answered. Where the
    /// database fails meanwhile, that is tried again for as long as the setting says. The change
    /// has landed in any case; polling makes good what could not be read in that time.
    pub(crate) async fn commit(
        &self,
        write: ProjectWrite,
        now: DateTime<Utc>,
    ) -> Result<HistoryPoint> {
        let Project { id, .. } = write.project;
        let point = write.commit(now).await?;
        let refreshed = self.snapshots.refresh_committed(id, point, self.refresh_timeout).await;
        if let Err(error) = refreshed {
            tracing::warn!(project.id = id, error = error.causes(), "snapshot was not patched");
        }
        Ok(point)
    }
}

/// The PATCH that a switch stands for; `None` when the flag is there already.
fn switched(flag: &FeatureFlag, switch: Switch) -> Result<Option<Object>> {
    config_version::check_operation(flag)?;
    let verb = match switch {
        Switch::Enable => "enabling",
        Switch::Disable => "disabling",
        Switch::Archive => "archiving",
        Switch::Unarchive => "unarchiving",
    };
    if flag.deleted {
        let detail = format!("This feature flag has been deleted. Restore it before {verb} it.");
        return Err(Error::blocked(detail).with_body(BodyKind::SuccessError));
    }
    match switch {
        Switch::Enable if flag.archived => {
            return Err(guards::enabling_archived().with_body(BodyKind::SuccessError));
        }
        Switch::Archive if flag.active => {
            return Err(guards::archiving_enabled().with_body(BodyKind::SuccessError));
        }
        _ => {}
    }
    let changes: &[(&str, bool)] = match switch {
        Switch::Enable if !flag.active => &[("active", true)],
        Switch::Disable if flag.active => &[("active", false)],
        Switch::Archive if !flag.archived => &[("archived", true)],
        Switch::Unarchive if flag.archived => &[("archived", false)],
        _ => return Ok(None),
    };
    Ok(Some(changes.iter().map(|(field, on)| ((*field).to_owned(), (*on).into())).collect()))
}
