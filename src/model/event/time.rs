//! When an event happened.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::Value;

use crate::model::{fields, json::Object};

/// Smaller differences between the sender's clock and ours are the journey, not a wrong clock.
const JOURNEY: TimeDelta = TimeDelta::seconds(10);
/// How far ahead of its arrival an event may lie: people live in time zones, and clocks differ.
const MAX_AHEAD: TimeDelta = TimeDelta::hours(23);

/// When a request was sent, by its sender's clock, and when it arrived, by ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// By the sender's clock, where the sender says.
    pub at: Option<DateTime<Utc>>,
    /// By our clock.
    pub arrived_at: DateTime<Utc>,
}

/// When an event happened, by our clock.
///
/// - `timestamp` is taken at its word. Where the request says when it was sent (`sent_at`) and that
///   differs from its arrival by more than ten seconds, the sender's clock is wrong, and the event
///   is moved by the difference, unless it asks not to (`$ignore_sent_at`).
/// - Without one, `offset` tells how many milliseconds before its arrival it happened.
/// - With neither, it happened when it arrived; so did one that claims to happen more than 23 hours
///   after its arrival.
///
/// # Errors
///
/// A sentence, for a `timestamp` that is no instant or lies before 1970.
pub(super) fn occurred_at(
    event: &Object,
    properties: &Object,
    sent: &Sent,
) -> Result<DateTime<Utc>, String> {
    let stated = event.get("timestamp").filter(|stated| !stated.is_null() && *stated != "");
    let happened = match stated {
        Some(stated) => {
            let stated = instant(stated).ok_or("`timestamp` is not a date and time")?;
            stated.checked_add_signed(skew(event, properties, sent)).unwrap_or(stated)
        }
        None => sent.arrived_at - offset(event),
    };
    match happened < DateTime::UNIX_EPOCH {
        true => Err("`timestamp` is before 1970".into()),
        false if happened - sent.arrived_at > MAX_AHEAD => Ok(sent.arrived_at.trunc_subsecs(6)),
        false => Ok(happened.trunc_subsecs(6)),
    }
}

/// How far the sender's clock is behind ours.
fn skew(event: &Object, properties: &Object, sent: &Sent) -> TimeDelta {
    let option = event.get("options").and_then(|options| options.get("disable_skew_correction"));
    let ignored = properties.get("$ignore_sent_at").or(option).is_some_and(|said| said == true);
    let skew = sent.at.filter(|_| !ignored).map(|at| sent.arrived_at - at).unwrap_or_default();
    if skew.abs() > JOURNEY { skew } else { TimeDelta::zero() }
}

fn offset(event: &Object) -> TimeDelta {
    let millis = event.get("offset").and_then(Value::as_f64).filter(|millis| *millis > 0.0);
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and is bounded next")]
    let millis = millis.unwrap_or_default() as i64;
    // Longer ago than all of history is a defect of the sender.
    TimeDelta::try_milliseconds(millis).filter(|ago| ago.num_days() < 3_650).unwrap_or_default()
}

/// An instant as clients spell it: any documented spelling; without an offset, UTC.
#[must_use]
pub fn instant(value: &Value) -> Option<DateTime<Utc>> {
    fields::datetime("timestamp", value).ok()
}
