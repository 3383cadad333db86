//! What watchers are told, as messages small enough to be sent one after the
//! other while other streams of the connection have their turn.
//!
//! Definitions are read off the texts of the feed, as in
//! [`definitions`](super::definitions()).

use std::sync::Arc;

use serde_json::Value;

use super::{
    definitions::{flag, message},
    values::to_struct,
};
use crate::{
    model::{
        error::{Error, Result},
        history_point::{HistoryPoint, HistoryToken, WatchPosition},
        json,
    },
    sdk::feed::book::Event,
    wire::v1::{
        FeatureFlagDefinition, FlagsDelta, FlagsSnapshot, RemovedFlag, WatchFlagsResponse,
        watch_flags_response,
    },
};

/// What a message of a watch holds.
pub use watch_flags_response::Event as WatchEvent;

/// The size of texts from which on the rest goes into another message, in bytes.
const PIECE: usize = 48 * 1024;

/// One message of a watch, after which its reader is at this position.
pub fn watched(position: WatchPosition, event: WatchEvent) -> WatchFlagsResponse {
    let WatchPosition { revision, token } = position;
    let history_token = token.map(|token| token.to_string()).unwrap_or_default();
    WatchFlagsResponse { revision, history_token, event: Some(event) }
}

/// Parses the position that a watcher resumes from; `None` for one that begins anew.
///
/// # Errors
///
/// `Invalid` for a token that the service never gave.
pub(crate) fn watch_position(
    revision: Option<i64>,
    history_token: Option<&str>,
) -> Result<Option<WatchPosition>> {
    let parse = |text| {
        let detail = "Must be the history token of an event, as it came.";
        HistoryToken::parse(text).ok_or_else(|| Error::field("history_token", "invalid", detail))
    };
    let token = history_token.filter(|text| !text.is_empty()).map(parse).transpose()?;
    Ok(revision.map(|revision| WatchPosition { revision, token }))
}

/// The messages that tell an event of definitions, which leads to a state.
///
/// # Errors
///
/// `Internal`, if its texts were no JSON.
pub(crate) fn written(point: HistoryPoint, event: &Event) -> Result<Vec<WatchFlagsResponse>> {
    match event {
        Event::Snapshot { head, flags } => snapshot(point, head, flags),
        Event::Delta { from, upserted, removed, cohorts } => {
            let tree =
                |(id, tree): (&i64, &Value)| Some((id.to_string(), to_struct(tree.as_object()?)));
            let gone = |(id, key): &(i64, String)| RemovedFlag { id: *id, key: key.clone() };
            let mut first = FlagsDelta {
                upserted: Vec::new(),
                removed: removed.iter().map(gone).collect(),
                cohorts: cohorts.iter().filter_map(tree).collect(),
            };
            let pieces = pieces(0, upserted)?;
            let last = pieces.len() - 1;
            let message = |(at, upserted)| {
                let delta = FlagsDelta { upserted, ..std::mem::take(&mut first) };
                // Whoever has a part of it is still where it was.
                let reached = if at == last { point } else { *from };
                watched(reached.into(), WatchEvent::Delta(delta))
            };
            Ok(pieces.into_iter().enumerate().map(message).collect())
        }
    }
}

fn snapshot(
    point: HistoryPoint,
    head: &str,
    flags: &[Arc<str>],
) -> Result<Vec<WatchFlagsResponse>> {
    let pieces = pieces(head.len(), flags)?;
    let last = pieces.len() - 1;
    let mut first = message(&json::parse_stored(head).map_err(Error::internal)?);
    let message = |(at, flags)| {
        let mut definitions = std::mem::take(&mut first);
        definitions.flags = flags;
        let snapshot = FlagsSnapshot { definitions: Some(definitions), has_more: at < last };
        watched(point.into(), WatchEvent::Snapshot(snapshot))
    };
    Ok(pieces.into_iter().enumerate().map(message).collect())
}

/// Flags in portions, of which the first has `taken` bytes already; at least one portion.
fn pieces(taken: usize, texts: &[Arc<str>]) -> Result<Vec<Vec<FeatureFlagDefinition>>> {
    let (mut pieces, mut size) = (vec![Vec::new()], taken);
    for text in texts {
        if size > 0 && size + text.len() > PIECE {
            pieces.push(Vec::new());
            size = 0;
        }
        size += text.len();
        let definition = flag(&json::parse_stored(text).map_err(Error::internal)?);
        pieces.last_mut().expect("there is always one").push(definition);
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(revision: i64) -> HistoryPoint {
        HistoryPoint::new(revision, HistoryToken::from_stored(revision))
    }

    fn texts(count: usize, bytes: usize) -> Vec<Arc<str>> {
        let text = |id| json!({"id": id, "key": format!("f{id}"), "name": "x".repeat(bytes)});
        (0..count).map(|id| text(id).to_string().into()).collect()
    }

    #[test]
    fn a_large_snapshot_comes_in_pieces_and_the_first_says_what_is_common_to_all() {
        let head = json!({"flags": [], "group_type_mapping": {"0": "company"},
            "property_matching_version": 2});
        let event = Event::Snapshot { head: head.to_string(), flags: texts(10, 20_000) };
        let messages = written(at(7), &event).unwrap();
        let (mut ids, mut more) = (Vec::new(), Vec::new());
        for (at, message) in messages.iter().enumerate() {
            let Some(WatchEvent::Snapshot(piece)) = &message.event else { panic!("{message:?}") };
            let definitions = piece.definitions.as_ref().unwrap();
            assert_eq!(message.revision, 7);
            assert_eq!(definitions.group_type_mapping.len(), usize::from(at == 0));
            ids.extend(definitions.flags.iter().map(|flag| flag.id));
            more.push(piece.has_more);
        }
        assert_eq!(ids, (0..10).collect::<Vec<_>>());
        assert_eq!(more, [true, true, true, true, false]);
    }

    #[test]
    fn a_delta_reaches_its_revision_with_its_last_piece() {
        let event = |upserted| Event::Delta {
            from: at(3),
            upserted,
            removed: vec![(99, "gone".into())],
            cohorts: [(5, json!({"type": "AND", "values": []}))].into(),
        };
        let told = |message: &WatchFlagsResponse| match &message.event {
            Some(WatchEvent::Delta(delta)) => {
                let sizes = (delta.upserted.len(), delta.removed.len(), delta.cohorts.len());
                assert_eq!(message.history_token, at(message.revision).token.to_string());
                (message.revision, sizes)
            }
            other => panic!("{other:?}"),
        };
        let messages = |upserted| -> Vec<_> {
            written(at(9), &event(upserted)).unwrap().iter().map(told).collect()
        };
        assert_eq!(messages(texts(5, 20_000)), [(3, (2, 1, 1)), (3, (2, 0, 0)), (9, (1, 0, 0))]);
        assert_eq!(messages(Vec::new()), [(9, (0, 1, 1))]);
    }

    #[test]
    fn a_position_is_read_as_far_as_it_is_said() {
        let token = at(7).token;
        let cases = [
            (None, None, None),
            (Some(3), None, Some((3, None))),
            (Some(3), Some(String::new()), Some((3, None))),
            (Some(3), Some(token.to_string()), Some((3, Some(token)))),
            (None, Some(token.to_string()), None),
        ];
        for (revision, text, expected) in cases {
            let position = watch_position(revision, text.as_deref()).unwrap();
            assert_eq!(position.map(|it| (it.revision, it.token)), expected, "{text:?}");
        }
        assert!(watch_position(Some(3), Some("mine")).is_err());
    }
}
