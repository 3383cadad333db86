//! `WatchFlags`: what a watcher hears, as frames.

use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use tonic::Status;

use super::{framed::frame, status};
use crate::{
    clock::Clock,
    model::{error::Result, history_point::HistoryPoint},
    sdk::feed::book::Event,
    service::watch::{Heard, Watch},
    snapshot::told::Told,
    wire::{
        convert::{WatchEvent, timestamp, watched, written},
        v1::{Heartbeat, RevisionNotice, ShutdownNotice},
    },
};

/// A watch on its way to its reader.
struct Sending {
    watch: Watch,
    clock: Clock,
    /// What is being told, and how many pieces of it are sent.
    told: Option<(Arc<Told>, usize)>,
    over: bool,
}

/// The frames of a watch, made as the reader takes them.
pub(super) fn frames(watch: Watch, clock: Clock) -> impl Stream<Item = Result<Bytes, Status>> {
    let sending = Sending { watch, clock, told: None, over: false };
    futures::stream::unfold(sending, async |mut sending| {
        if sending.over {
            return None;
        }
        let frame = sending.next().await;
        sending.over = frame.is_err();
        let status = match sending.watch.is_stopping() {
            true => status::expected,
            false => Status::from,
        };
        Some((frame.map_err(status), sending))
    })
}

impl Sending {
    async fn next(&mut self) -> Result<Bytes> {
        loop {
            if let Some((told, sent)) = &mut self.told {
                self.watch.check()?;
                if let Some(piece) = told.piece(*sent, pieces).await? {
                    *sent += 1;
                    return Ok(piece);
                }
                self.told = None;
            }
            let (position, event) = match self.watch.next().await? {
                Heard::Told(told) => {
                    self.told = Some((told, 0));
                    continue;
                }
                Heard::Noticed(point) => {
                    (point.into(), WatchEvent::RevisionNotice(RevisionNotice {}))
                }
                Heard::Nothing(position) => {
                    let sent_at = Some(timestamp(self.clock.now()));
                    (position, WatchEvent::Heartbeat(Heartbeat { sent_at }))
                }
                Heard::Stopping(position) => {
                    (position, WatchEvent::Shutdown(ShutdownNotice { reconnect_after: None }))
                }
            };
            return Ok(frame(&watched(position, event)));
        }
    }
}

fn pieces(point: HistoryPoint, event: &Event) -> Result<Vec<Bytes>> {
    Ok(written(point, event)?.iter().map(frame).collect())
}
