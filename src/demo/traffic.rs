//! What is sent: for each route a few prompts that many requests begin with, each head a run of the load driver of its own.
//!
//! One run a head, because the driver can then say where each head was answered. Rates and lengths are chosen to stay within
//! the simulated limits for the whole demo, also while two regions carry what three carried: running into
//! throttling is another story than the one told here.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::demo::DemoError;
use crate::demo::ledger::{Head, Ledger};
use crate::demo::world::Places;
use crate::load::plan::{Auth, Extent, Plan, PlanError, PromptShape, Style, Target};
use crate::load::{self, Run};

/// The model that most requests ask for.
pub const MAIN_ROUTE: &str = "support-bot";
/// Length of a head: above the 1,024 tokens below which Azure caches nothing.
pub const HEAD_TOKENS: u32 = 1_600;
/// Streams that are cut on purpose.
pub const CUT_STREAMS: u32 = 8;

/// What keeps the prompts of the traffic that goes on apart from others.
const GOING_ON_PART: u64 = 9;
/// Its requests, as a part of those of the acts: small enough for a laptop to forget about.
const GOING_ON_SHARE: f64 = 0.25;

/// Length of the question after the head.
const TAIL_TOKENS: u32 = 60;
/// Longest answer asked for.
const ANSWER_TOKENS: u32 = 64;
/// Requests of one head in flight at most; the rates below need two or three.
const IN_FLIGHT: NonZeroU32 = NonZeroU32::MIN.saturating_add(15);
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What goes to one route.
struct Share {
    route: &'static str,
    heads: u32,
    /// Requests a second for each head.
    rate: f64,
    /// Applications built for Azure name the deployment in the path, newer ones the model in the body; both are shown.
    style: Style,
}

const SHARES: [Share; 2] = [
    Share {
        route: MAIN_ROUTE,
        heads: 4,
        rate: 2.5,
        style: Style::Classic,
    },
    Share {
        route: "summary",
        heads: 4,
        rate: 1.0,
        style: Style::V1,
    },
];

/// Whom to send to: an address with a key, and what it calls the model.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    /// Base URL, without a path.
    pub url: &'a str,
    /// A key that is taken there.
    pub key: &'a str,
    /// Model or deployment.
    pub model: &'a str,
}

/// What is sent in one part of the demo.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Keeps the prompts of different parts apart.
    pub number: u64,
    /// Share of streams, 0 to 1.
    pub stream_share: f64,
    /// After how many tokens of each prompt's beginning a time stands, if one does.
    pub stamp_after: Option<u32>,
}

/// The body of the first request of a part to one of its routes, as it is sent to the gateway; that of its first prompt.
///
/// # Errors
/// When the route is none that is sent to.
pub fn example(places: &Places, route: &'static str, part: Part) -> Result<Vec<u8>, DemoError> {
    let heads = SHARES.iter().take_while(|share| share.route != route);
    let before: u32 = heads.map(|share| share.heads).sum();
    let mut plan = plan(gateway(places, route), Style::V1, seed(part, before as usize))?;
    plan.prompts.stamp_after = part.stamp_after;
    Ok(load::first_body(&plan)?)
}

/// What makes a prompt of a part its own.
fn seed(part: Part, index: usize) -> u64 {
    part.number * 1_000 + index as u64
}

/// Starts load on both routes through the gateway for one part of the demo.
///
/// # Errors
/// When the driver cannot start.
pub fn both_routes(places: &Places, ledger: &Arc<Ledger>, part: Part, extent: Extent) -> Result<Vec<Run>, DemoError> {
    shared_among(&|route| vec![gateway(places, route)], ledger, part, extent)
}

/// Starts load on both routes, the requests of each prompt shared evenly among the doors that `doors` gives for its route. Calls
/// with the same `part` send the same prompts.
///
/// # Errors
/// When the driver cannot start.
pub fn shared_among<'a>(
    doors: &dyn Fn(&'static str) -> Vec<Door<'a>>,
    ledger: &Arc<Ledger>,
    part: Part,
    extent: Extent,
) -> Result<Vec<Run>, DemoError> {
    let mut runs = Vec::new();
    let heads = SHARES
        .iter()
        .flat_map(|share| (1..=share.heads).map(move |number| (share, number)));
    for (index, (share, number)) in heads.enumerate() {
        let doors = doors(share.route);
        for &door in &doors {
            let mut plan = Plan {
                rate: Some(share.rate / doors.len() as f64),
                extent,
                stream_share: part.stream_share,
                ..plan(door, share.style, seed(part, index))?
            };
            plan.prompts.stamp_after = part.stamp_after;
            let head = Head {
                route: share.route.to_owned(),
                number,
            };
            runs.push(load::start_observed(plan, ledger.observer(head))?);
        }
    }
    Ok(runs)
}

/// Starts what goes on while a demo stays up: the same routes with prompts of their own, a quarter as many requests, every second
/// answer a stream. Nothing is noted of it but the drivers' own sums, so it may go on for days.
///
/// # Errors
/// When the driver cannot start.
pub fn going_on(places: &Places, stamp_after: Option<u32>) -> Result<Vec<Run>, DemoError> {
    let part = Part {
        number: GOING_ON_PART,
        stream_share: 0.5,
        stamp_after,
    };
    let heads = SHARES.iter().flat_map(|share| (0..share.heads).map(move |_| share));
    let runs = heads.enumerate().map(|(index, share)| {
        let mut plan = Plan {
            rate: Some(share.rate * GOING_ON_SHARE),
            stream_share: part.stream_share,
            ..plan(gateway(places, share.route), share.style, seed(part, index))?
        };
        plan.prompts.stamp_after = part.stamp_after;
        Ok(load::start(plan)?)
    });
    runs.collect()
}

/// Opens [`CUT_STREAMS`] streams at once.
///
/// # Errors
/// When the driver cannot start.
pub fn streams(places: &Places, ledger: &Arc<Ledger>, part: Part) -> Result<Run, DemoError> {
    let mut plan = Plan {
        concurrency: NonZeroU32::new(CUT_STREAMS).unwrap_or(NonZeroU32::MIN),
        extent: Extent::Requests(u64::from(CUT_STREAMS)),
        stream_share: part.stream_share,
        ..plan(gateway(places, MAIN_ROUTE), Style::Classic, seed(part, 0))?
    };
    plan.prompts.stamp_after = part.stamp_after;
    let head = Head {
        route: MAIN_ROUTE.to_owned(),
        number: 1,
    };
    Ok(load::start_observed(plan, ledger.observer(head))?)
}

fn gateway<'a>(places: &'a Places, route: &'a str) -> Door<'a> {
    Door {
        url: &places.gateway,
        key: &places.key,
        model: route,
    }
}

fn plan(door: Door, style: Style, seed: u64) -> Result<Plan, DemoError> {
    let base = door.url.parse();
    Ok(Plan {
        target: Target {
            base: base.map_err(|_| PlanError::Url(door.url.to_owned()))?,
            style,
            api_version: None,
            model: door.model.to_owned(),
            credential: Some(Auth::ApiKey.header(door.key)?),
        },
        prompts: PromptShape {
            heads: NonZeroU32::MIN,
            head_tokens: HEAD_TOKENS,
            tail_tokens: TAIL_TOKENS,
            turns: NonZeroU32::MIN,
            max_tokens: ANSWER_TOKENS,
            stamp_after: None,
            seed,
            first_conversation: 0,
        },
        concurrency: IN_FLIGHT,
        rate: None,
        extent: Extent::UntilStopped,
        stream_share: 0.0,
        timeout: PATIENCE,
        fail_fast: false,
        record: None,
    })
}
