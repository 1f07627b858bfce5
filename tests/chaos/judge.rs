//! What must hold whatever happens, checked for every request and for the world at its end. Each rule here is a row in `docs/chaos.md`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use emberway::simulator::record::{Ending, RequestRecord};

use crate::answers::{self, StreamEnd, Told};
use crate::driver::{End, Seen, marker};
use crate::shape::{Kind, Shape};
use crate::world::{Row, sum_of, sum_where};

/// How long after a client had its first byte a request may still reach the simulator: what was under way before.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// Everything that is known of a scenario once its requests are over.
pub(crate) struct Evidence<'a> {
    /// What it was.
    pub(crate) shape: &'a Shape,
    /// When the simulator began.
    pub(crate) sim_began: Instant,
    /// What clients saw.
    pub(crate) seen: &'a [Seen],
    /// Usage records.
    pub(crate) rows: &'a [Row],
    /// What the simulator was asked.
    pub(crate) records: &'a [RequestRecord],
    /// What passed back through each proxy, by connection.
    pub(crate) transcripts: &'a [Vec<Vec<u8>>],
    /// `/metrics` at the end.
    pub(crate) metrics: &'a str,
    /// Requests that were made besides, to see the fleet recover: each with a record.
    pub(crate) besides: &'a [Seen],
}

/// Everything that does not hold.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Vec<String> {
    let mut complaints = Vec::new();
    let rows: HashMap<&str, &Row> = evidence.rows.iter().map(|row| (row.request_id.as_str(), row)).collect();
    if rows.len() != evidence.rows.len() {
        complaints.push("records: one request has two".to_owned());
    }
    for seen in evidence.seen.iter().chain(evidence.besides) {
        let mut say = |rule: &str, what: String| {
            complaints.push(format!(
                "{rule}: request {} ({:?}): {what}",
                seen.ask.number, seen.ask.kind
            ));
        };
        answered(seen, &mut say);
        let told = one_answer(evidence, seen, &mut say);
        recorded(evidence, seen, told.as_ref(), &rows, &mut say);
        justified(evidence, seen, told.as_ref(), &mut say);
    }
    counted(evidence, &mut complaints);
    told_of_others(evidence, &mut complaints);
    budgeted(evidence, &mut complaints);
    complaints
}

/// Every request has an answer, in time and whole as HTTP has it, unless its client left.
fn answered(seen: &Seen, say: &mut impl FnMut(&str, String)) {
    match &seen.end {
        End::Hung => say("answered", "nothing within the time that anything may take".to_owned()),
        End::NoAnswer(error) => say("answered", format!("no answer: {error}")),
        End::Torn(error) => say(
            "answered",
            format!("torn after {} bytes of {}: {error}", seen.body.len(), seen.status),
        ),
        End::Whole | End::Left => {}
    }
    if let (Some(expected), End::Whole) = (seen.ask.kind.refused_as(), &seen.end)
        && seen.status != expected
    {
        say("answered", format!("{} instead of {expected}", seen.status));
    }
    if seen.head_at.is_some() && seen.header("x-request-id").len() != 32 {
        say("answered", format!("no request id in {:?}", seen.headers));
    }
}

/// An answer is one answer: of the request, of the deployment that is named, as the simulator sent it, and nobody was asked after it began.
fn one_answer(evidence: &Evidence<'_>, seen: &Seen, say: &mut impl FnMut(&str, String)) -> Option<Told> {
    if seen.status != 200 {
        return None;
    }
    if seen.end == End::Left && !seen.header("content-type").starts_with("text/event-stream") {
        return None;
    }
    let told = match answers::read(seen) {
        Ok(told) => told,
        Err(problem) => {
            say("one answer", problem);
            return None;
        }
    };
    if told.end == Some(StreamEnd::Open) && seen.end != End::Left {
        say(
            "one answer",
            "a stream ended with neither `[DONE]` nor an error".to_owned(),
        );
    }
    let Some(number) = told.number() else { return Some(told) };
    let Some(record) = evidence.records.iter().find(|record| record.number == number) else {
        say("one answer", format!("the simulator knows no request {number}"));
        return Some(told);
    };
    let is_own = record
        .body
        .as_ref()
        .is_some_and(|body| body.contains(&marker(seen.ask.number)));
    if !is_own || format!("{}/ft", record.account) != seen.header("x-emberway-deployment") {
        say(
            "one answer",
            format!(
                "the answer {number} of {} is another request's or deployment's: {:?}",
                record.account, seen.headers
            ),
        );
    }
    if let Err(problem) = account_of(&record.account).map_or(Ok(()), |account| {
        answers::compare(seen, &told, &evidence.transcripts[account])
    }) {
        say("one answer", problem);
    }
    let first_byte = seen
        .head_at
        .map(|at| at.saturating_duration_since(evidence.sim_began) + UNDER_WAY);
    for later in evidence.records.iter().filter(|later| later.number > number) {
        let is_own = later
            .body
            .as_ref()
            .is_some_and(|body| body.contains(&marker(seen.ask.number)));
        if is_own && first_byte.is_some_and(|at| u128::from(later.at_ms) > at.as_millis()) {
            say(
                "one answer",
                format!(
                    "{} was asked at {} ms, after the first byte at {first_byte:?}",
                    later.account, later.at_ms
                ),
            );
        }
    }
    Some(told)
}

/// A request that reached a route has one record, which says what its client saw.
fn recorded(
    evidence: &Evidence<'_>,
    seen: &Seen,
    told: Option<&Told>,
    rows: &HashMap<&str, &Row>,
    say: &mut impl FnMut(&str, String),
) {
    let row = rows.get(seen.header("x-request-id"));
    if seen.head_at.is_none() {
        return;
    }
    if seen.ask.kind.refused_as().is_some() {
        if row.is_some() {
            say("records", "one was made although it reached no route".to_owned());
        }
        return;
    }
    let Some(row) = row else {
        say("records", "none".to_owned());
        return;
    };
    let expected: &[&str] = match (seen.status, told.and_then(|told| told.end)) {
        (200, _) if seen.end == End::Left => &["client_gone", "success", "broken"],
        (200, None | Some(StreamEnd::Done)) => &["success"],
        (200, _) => &["broken", "rejected"],
        (429, _) if seen.end != End::Left => &["throttled"],
        _ if seen.end == End::Left => &["client_gone", "rejected", "upstream_failed", "refused", "throttled"],
        _ => &["rejected", "upstream_failed", "refused", "throttled"],
    };
    if !expected.contains(&row.outcome.as_str()) {
        say(
            "records",
            format!("`{}` instead of one of {expected:?} for {}", row.outcome, seen.status),
        );
    }
    if row.status != seen.status || seen.attempts() != Some(row.attempts) {
        say(
            "records",
            format!(
                "{} after {} attempts, seen {} after {:?}",
                row.status,
                row.attempts,
                seen.status,
                seen.attempts()
            ),
        );
    }
    if row.deployment.as_deref().unwrap_or_default() != seen.header("x-emberway-deployment") {
        say(
            "records",
            format!(
                "{:?} instead of {}",
                row.deployment,
                seen.header("x-emberway-deployment")
            ),
        );
    }
    let rounds = if evidence.shape.max_wait_ms > 0 { 20 } else { 1 };
    if row.attempts > evidence.shape.max_attempts * rounds {
        say(
            "attempts",
            format!("{} of at most {} a round", row.attempts, evidence.shape.max_attempts),
        );
    }
    let number = told.and_then(Told::number);
    if let Some(record) = evidence.records.iter().find(|record| Some(record.number) == number) {
        same_usage(row, record, say);
    }
}

/// What was recorded as used is what the simulator counted.
fn same_usage(row: &Row, record: &RequestRecord, say: &mut impl FnMut(&str, String)) {
    let counted = &record.outcome;
    let tokens = (row.prompt_tokens, row.cached_tokens, row.completion_tokens);
    if row.source == "reported" && tokens != (counted.prompt_tokens, counted.cached_tokens, counted.output_tokens) {
        say("usage", format!("{tokens:?}, and the simulator counted {counted:?}"));
    }
    // What follows `[DONE]` is not the client's: its connection may break there.
    if row.outcome == "success" && row.source != "reported" && counted.ending == Ending::Complete {
        say(
            "usage",
            format!("`{}` although the answer was whole: {counted:?}", row.source),
        );
    }
}

/// A request fails only where the scenario justifies it.
fn justified(evidence: &Evidence<'_>, seen: &Seen, told: Option<&Told>, say: &mut impl FnMut(&str, String)) {
    let shape = evidence.shape;
    if seen.end != End::Whole || seen.ask.kind.refused_as().is_some() || !shape.is_sheltered() {
        return;
    }
    let rock = format!("a{}/ft", shape.rock.unwrap_or_default());
    let of_rock = seen.header("x-emberway-deployment") == rock;
    if seen.status == 200 {
        if of_rock && told.is_some_and(|told| told.end == Some(StreamEnd::Error)) {
            say("justified", "a stream of the account without faults broke".to_owned());
        }
        return;
    }
    let may_be_filtered = shape.events.iter().any(|event| event.what.name() == "content_filter");
    let is_filtered = seen.status == 400 && may_be_filtered && !of_rock;
    // When its time was over it gets what was known by then, at most a timer's tick before.
    let took = seen.over.saturating_duration_since(seen.asked) + Duration::from_millis(10);
    let is_late = matches!(seen.ask.kind, Kind::Hurried(ms) if took >= Duration::from_millis(ms));
    if !is_filtered && !is_late {
        say(
            "justified",
            format!(
                "{} of {} although {rock} was good all the time: {}",
                seen.status,
                seen.header("x-emberway-deployment"),
                String::from_utf8_lossy(&seen.body)
            ),
        );
    }
}

/// Records and metrics agree with the number of requests, nothing was dropped, and nothing is left running.
fn counted(evidence: &Evidence<'_>, complaints: &mut Vec<String>) {
    let all = || {
        evidence
            .seen
            .iter()
            .chain(evidence.besides)
            .filter(|seen| seen.ask.kind.refused_as().is_none())
    };
    let sure = all().filter(|seen| seen.head_at.is_some()).count();
    let most = all().count();
    let rows = evidence.rows.len();
    if !(sure..=most).contains(&rows) {
        complaints.push(format!("records: {rows} for {sure} to {most} requests"));
    }
    let attempts: u32 = evidence.rows.iter().map(|row| row.attempts).sum();
    let metrics = evidence.metrics;
    for (what, expected, found) in [
        ("requests", rows as f64, sum_of(metrics, "emberway_requests_total")),
        (
            "attempts",
            f64::from(attempts),
            sum_of(metrics, "emberway_attempts_total"),
        ),
        (
            "records dropped",
            0.0,
            sum_of(metrics, "emberway_usage_records_dropped_total"),
        ),
        (
            "requests in flight",
            0.0,
            sum_of(metrics, "emberway_requests_in_flight"),
        ),
        (
            "attempts in flight",
            0.0,
            sum_of(metrics, "emberway_deployment_in_flight"),
        ),
        ("requests waiting", 0.0, sum_of(metrics, "emberway_requests_waiting")),
        ("bytes held", 0.0, sum_of(metrics, "emberway_held_body_bytes")),
        (
            "client connections",
            0.0,
            sum_of(metrics, "emberway_client_connections"),
        ),
        (
            "attempts cut off",
            0.0,
            sum_where(metrics, "emberway_attempts_total", "outcome=\"cut_off\""),
        ),
    ] {
        if (expected - found).abs() > 0.5 {
            complaints.push(format!("counts: {what}: {found} instead of {expected}"));
        }
    }
}

/// No more clients are said to have left than did, and the simulator was not asked more often than is told.
fn told_of_others(evidence: &Evidence<'_>, complaints: &mut Vec<String>) {
    let all = || {
        evidence
            .seen
            .iter()
            .chain(evidence.besides)
            .filter(|seen| seen.ask.kind.refused_as().is_none())
    };
    let gone = evidence.rows.iter().filter(|row| row.outcome == "client_gone").count();
    let left = evidence.seen.iter().filter(|seen| seen.end == End::Left).count();
    if gone > left {
        complaints.push(format!("records: {gone} clients left, and in truth {left}"));
    }
    for seen in all().filter(|seen| seen.end != End::Left) {
        let asked = evidence
            .records
            .iter()
            .filter(|record| {
                record
                    .body
                    .as_ref()
                    .is_some_and(|body| body.contains(&marker(seen.ask.number)))
            })
            .count();
        // A pooled connection that had just been closed is no attempt.
        if seen.attempts().is_some_and(|attempts| asked > 2 * attempts as usize) {
            complaints.push(format!(
                "attempts: request {}: {:?}, and {asked} reached the simulator",
                seen.ask.number,
                seen.attempts()
            ));
        }
    }
}

/// Attempts that follow failures stay within the route's budget.
fn budgeted(evidence: &Evidence<'_>, complaints: &mut Vec<String>) {
    let (ratio, least) = evidence.shape.budget;
    let total: u32 = evidence.rows.iter().map(|row| row.attempts).sum();
    let first = evidence.rows.iter().filter(|row| row.attempts > 0).count() as f64;
    // An answer is the last attempt; what follows the other ends costs nothing.
    let free: f64 = [
        "throttled",
        "unavailable",
        "credential_refused",
        "misconfigured",
        "rejected",
    ]
    .iter()
    .map(|outcome| {
        sum_where(
            evidence.metrics,
            "emberway_attempts_total",
            &format!("outcome=\"{outcome}\""),
        )
    })
    .sum();
    let paid = f64::from(total) - first - free;
    // What was spent is forgotten after five seconds at the soonest.
    let all = || evidence.seen.iter().chain(evidence.besides);
    let began = all().map(|seen| seen.asked).min();
    let lasted = all()
        .map(|seen| seen.over)
        .max()
        .zip(began)
        .map_or(0.0, |(over, began)| (over - began).as_secs_f64());
    let windows = 1.0 + (lasted / 5.0).floor();
    let most = (ratio * evidence.rows.len() as f64 + f64::from(least) * 10.0) * windows;
    if paid > most.ceil() {
        complaints.push(format!("retry budget: {paid} retries at least, of {most}"));
    }
}

/// The account of that name.
fn account_of(name: &str) -> Option<usize> {
    name.strip_prefix('a')?.parse().ok()
}

/// The tier of an account's deployment.
pub(crate) fn tier_of(shape: &Shape, deployment: &str) -> Option<usize> {
    let account = account_of(deployment.strip_suffix("/ft")?)?;
    shape.accounts.get(account).map(|account| account.tier)
}

/// Accounts of the best tier that a request can use again as soon as the weather is over.
pub(crate) fn returning(shape: &Shape) -> Vec<String> {
    let outlasted: Vec<_> = shape.events.iter().filter_map(|event| event.what.outlasts()).collect();
    let is_back = |index: &usize| shape.accounts[*index].resolves && !outlasted.contains(index);
    let best = (0..shape.accounts.len())
        .filter(is_back)
        .map(|index| shape.accounts[index].tier)
        .min();
    (0..shape.accounts.len())
        .filter(is_back)
        .filter(|&index| Some(shape.accounts[index].tier) == best)
        .map(|index| format!("a{index}/ft"))
        .collect()
}

/// What was in force anywhere while a request ran.
pub(crate) fn met(shape: &Shape, began: Instant, seen: &Seen) -> Vec<String> {
    let in_force = |event: &&crate::shape::Event| began + event.at <= seen.over && seen.asked <= began + event.until;
    let mut names: Vec<_> = shape
        .events
        .iter()
        .filter(in_force)
        .map(|event| event.what.name())
        .collect();
    names.sort();
    names.dedup();
    names
}
