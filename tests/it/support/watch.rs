//! A client of `WatchFlags` that keeps a copy of the definitions, as a program would.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use flagstaff::wire::v1::{
    FeatureFlagDefinition, FeatureFlagDefinitions, FlagsDelta, FlagsSnapshot,
    GetFlagDefinitionsRequest, WatchFlagsRequest, WatchFlagsResponse, watch_flags_response::Event,
};
use tokio::time::timeout;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::{Service, grpc::bearing};

const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody who watches.
#[derive(Debug)]
pub(crate) struct Watcher {
    stream: Streaming<WatchFlagsResponse>,
    /// What it holds besides flags.
    common: FeatureFlagDefinitions,
    flags: BTreeMap<i64, FeatureFlagDefinition>,
    /// Flags of a snapshot that is not complete yet.
    coming: Vec<FeatureFlagDefinition>,
    /// The revision of the last event that was complete.
    pub(crate) revision: i64,
    /// The token that came with it.
    pub(crate) history_token: String,
    /// A letter for each message so far: `s`napshot, `d`elta, `n`otice, `h`eartbeat, s`t`op.
    pub(crate) heard: String,
}

impl Service {
    /// Watches project 1.
    pub(crate) async fn watch(&self, key: &str, from_revision: Option<i64>) -> Watcher {
        self.try_watch(key, "", from_revision).await.unwrap()
    }

    pub(crate) async fn try_watch(
        &self,
        key: &str,
        project_id: &str,
        from_revision: Option<i64>,
    ) -> Result<Watcher, Status> {
        let request = WatchFlagsRequest {
            project_id: project_id.into(),
            from_revision,
            ..Default::default()
        };
        let answer = self.evaluation_as(Some(key)).watch_flags(request).await?;
        Ok(Watcher::new(answer.into_inner()))
    }

    /// Watches project 1 from the state that a watcher has.
    pub(crate) async fn resume(&self, key: &str, left: &Watcher) -> Watcher {
        let request = WatchFlagsRequest {
            from_revision: Some(left.revision),
            history_token: Some(left.history_token.clone()),
            ..Default::default()
        };
        let answer = self.evaluation_as(Some(key)).watch_flags(request).await.unwrap();
        Watcher::new(answer.into_inner())
    }

    /// What a watcher's copy should come to.
    pub(crate) async fn told_definitions(&self) -> FeatureFlagDefinitions {
        let mut client = self.evaluation_as(Some(&self.secret));
        let answer = client.get_flag_definitions(GetFlagDefinitionsRequest::default()).await;
        answer.unwrap().into_inner().definitions.unwrap()
    }
}

/// A connection on which no more than 64 KiB are under way unread.
pub(crate) fn slow_channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(1 << 20)
        .connect_lazy()
}

impl Watcher {
    fn new(stream: Streaming<WatchFlagsResponse>) -> Self {
        Self {
            stream,
            common: FeatureFlagDefinitions::default(),
            flags: BTreeMap::new(),
            coming: Vec::new(),
            revision: 0,
            history_token: String::new(),
            heard: String::new(),
        }
    }

    /// Watches the credential's project over a connection.
    pub(crate) async fn of(channel: Channel, key: &str, from_revision: Option<i64>) -> Self {
        let request = WatchFlagsRequest { from_revision, ..Default::default() };
        Self::new(bearing(channel, key).watch_flags(request).await.unwrap().into_inner())
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Result<WatchFlagsResponse, Status> {
        let next = timeout(PATIENCE, self.stream.message()).await.expect("something is heard");
        Ok(next?.expect("a watch ends with a status"))
    }

    /// Takes over the next message.
    pub(crate) async fn hear(&mut self) -> Event {
        self.try_hear().await.unwrap()
    }

    /// As [`Self::hear`], with the status at the end.
    pub(crate) async fn try_hear(&mut self) -> Result<Event, Status> {
        let message = self.next().await?;
        assert!(message.revision >= self.revision, "{} after {}", message.revision, self.revision);
        let event = message.event.unwrap();
        let complete = self.take(event.clone());
        if complete {
            self.revision = message.revision;
            self.history_token = message.history_token;
        }
        Ok(event)
    }

    /// Whether the event is complete.
    fn take(&mut self, event: Event) -> bool {
        self.heard.push(match &event {
            Event::Snapshot(_) => 's',
            Event::Delta(_) => 'd',
            Event::RevisionNotice(_) => 'n',
            Event::Heartbeat(_) => 'h',
            Event::Shutdown(_) => 't',
        });
        match event {
            Event::Snapshot(snapshot) => return self.take_snapshot(snapshot),
            Event::Delta(delta) => self.take_delta(delta),
            Event::RevisionNotice(_) | Event::Heartbeat(_) | Event::Shutdown(_) => {}
        }
        true
    }

    fn take_snapshot(&mut self, snapshot: FlagsSnapshot) -> bool {
        let mut definitions = snapshot.definitions.unwrap();
        let flags = std::mem::take(&mut definitions.flags);
        if self.coming.is_empty() {
            self.common = definitions;
        }
        self.coming.extend(flags);
        if !snapshot.has_more {
            let flags = std::mem::take(&mut self.coming);
            self.flags = flags.into_iter().map(|flag| (flag.id, flag)).collect();
        }
        !snapshot.has_more
    }

    fn take_delta(&mut self, delta: FlagsDelta) {
        for flag in delta.removed {
            self.flags.remove(&flag.id);
        }
        self.flags.extend(delta.upserted.into_iter().map(|flag| (flag.id, flag)));
        self.common.cohorts.extend(delta.cohorts);
    }

    /// The copy, as `GetFlagDefinitions` would say it.
    pub(crate) fn copy(&self) -> FeatureFlagDefinitions {
        let mut flags: Vec<_> = self.flags.values().cloned().collect();
        flags.sort_by(|a, b| a.key.cmp(&b.key));
        FeatureFlagDefinitions { flags, ..self.common.clone() }
    }

    /// Hears until the copy is so.
    pub(crate) async fn until(&mut self, what: &str, seen: impl Fn(&Self) -> bool) {
        let hearing = async {
            while !seen(self) {
                self.hear().await;
            }
        };
        let outcome = timeout(PATIENCE, hearing).await;
        assert!(outcome.is_ok(), "not heard in time: {what}; {}: {:?}", self.heard, self.flags);
    }

    /// Hears until a flag has a version, `None` for one that is gone.
    pub(crate) async fn until_version(&mut self, id: i64, version: Option<i64>) {
        let what = format!("flag {id} at version {version:?}");
        self.until(&what, |copy| copy.version(id) == version).await;
    }

    /// The version of a flag in the copy.
    pub(crate) fn version(&self, id: i64) -> Option<i64> {
        self.flags.get(&id)?.version
    }

    /// Hears to the end, and gives the status there.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(message) => drop(self.take(message.event.unwrap())),
                Err(status) => return status,
            }
        }
    }
}
