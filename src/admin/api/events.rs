//! What happened, in words.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::Sources;
use crate::admin::api::answer::{Answer, Asked, ErrorBody, Refusal};
use crate::admin::api::series::in_bounds;
use crate::admin::history::EventsAsked;
use crate::telemetry::journal::{Event, EventKind, Severity};

/// Events that are told when nobody said how many.
const EVENTS: usize = 200;
/// Most events of an answer.
const EVENTS_MAX: usize = 1_000;
/// The last millisecond of the year 9999.
const TIME_MS_MAX: i64 = 253_402_300_799_999;

/// Which events.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Only those of this kind.
    #[param(inline)]
    kind: Option<EventKind>,
    /// Only those that are at least so severe.
    #[param(inline)]
    severity: Option<Severity>,
    /// Most events; 200 when left out.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
    /// Only those older than the event with this id.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    before_id: Option<u64>,
    /// Only those from this moment on, in milliseconds since the Unix epoch.
    #[param(minimum = 0, maximum = 253_402_300_799_999_i64)]
    from_ms: Option<i64>,
    /// Only those before this moment.
    #[param(minimum = 0, maximum = 253_402_300_799_999_i64)]
    to_ms: Option<i64>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct EventList {
    /// Newest first.
    events: Vec<Event>,
}

/// What happened, newest first: failovers, breakers, throttling, reloads, drains, alarms and more.
#[utoipa::path(
    get, path = "/events", tag = "events", params(EventsQuery),
    responses(
        (status = 200, body = EventList),
        (status = 400, body = ErrorBody, description = "A parameter is not understood or out of bounds."),
        (status = 503, body = ErrorBody, description = "The store cannot be read now."),
    )
)]
pub(super) async fn events(State(sources): State<Arc<Sources>>, Asked(query): Asked<EventsQuery>) -> Answer<EventList> {
    let asked = query.asked()?;
    let events = sources.api.events.events(&asked).await?;
    Ok(Json(EventList { events }))
}

impl EventsQuery {
    fn asked(self) -> Result<EventsAsked, Refusal> {
        for (param, given) in [("from_ms", self.from_ms), ("to_ms", self.to_ms)] {
            if given.is_some_and(|ms| !(0..=TIME_MS_MAX).contains(&ms)) {
                let message = format!("`{param}` must be milliseconds since 1970, up to the year 9999");
                return Err(Refusal::bad_param(param, message));
            }
        }
        // What comes from a browser is a double.
        if self.before_id.is_some_and(|id| id >= 1 << 53) {
            return Err(Refusal::bad_param("before_id", "`before_id` must be an event's id"));
        }
        Ok(EventsAsked {
            kind: self.kind,
            severity: self.severity,
            before_id: self.before_id,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            limit: in_bounds("limit", self.limit, EVENTS, EVENTS_MAX)?,
        })
    }
}
