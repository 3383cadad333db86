//! What a remote-configuration flag delivers (management-api 4.2).

use super::{Services, rate_limits::Limited};
use crate::model::{
    caller::{Caller, CredentialKind},
    encrypted,
    error::{BodyKind, Error, Result},
    flag::FlagRef,
    project::ProjectRef,
};

impl Services {
    /// The payload of a remote-configuration flag, on or off, as JSON text; `None` when it has none.
    ///
    /// `wanted` is an id or a key. An encrypted payload is in clear for personal keys alone.
    ///
    /// # Errors
    ///
    /// `Throttled` beyond 600 calls a minute; `NotFound`, in REST without a body, for anything but a live flag of that sort; `Internal`
    /// when no key decrypts the payload.
    pub(crate) async fn remote_config(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        wanted: &str,
    ) -> Result<Option<String>> {
        let project = self.open_delivery(caller, Limited::RemoteConfig, project).await?;
        let absent = || Error::not_found().with_body(BodyKind::Empty);
        let wanted = FlagRef::parse(wanted).ok_or_else(absent)?;
        let flag = self.store.bare_flag(project.id, &wanted).await?;
        let flag = flag.filter(|flag| flag.is_remote_configuration == Some(true));
        let reader = (caller.kind == CredentialKind::Personal).then_some(&self.encryptor);
        encrypted::delivered(&flag.ok_or_else(absent)?, reader)
    }
}
