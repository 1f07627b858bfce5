//! What answers say of times whose rows were deleted, or are kept as hours only.

use super::*;
use crate::core::history::shown::Time;
use crate::core::history::step::Step;
use crate::core::history::times::Times;

const HOUR_MS: i64 = 60 * MINUTE_MS;

fn time_of(from_ms: i64, to_ms: i64) -> Option<Time> {
    (from_ms < to_ms).then_some(Time { from_ms, to_ms })
}

/// A request a minute for four hours and a quarter, in a store with room for ten intervals of ten seconds, half an hour of minutes, and
/// two hours.
async fn crowded(path: &Path) -> World {
    let mut world = World::open(path, HOUR).await;
    world.writer.rows_max = |step| match step {
        Step::Seconds => 60,
        Step::Minute => 180,
        Step::Hour => 12,
    };
    world.run_minutes(HOUR, HOUR + 255 * MINUTE_MS).await;
    world.clock.store(HOUR + 255 * MINUTE_MS, Ordering::Relaxed);
    world
}

#[tokio::test]
async fn what_went_for_want_of_room_is_told_by_longer_rows_and_never_as_nothing() {
    let directory = directory();
    let world = crowded(&directory.path().join("usage.db")).await;
    let now_ms = HOUR + 255 * MINUTE_MS;
    let requests = async |from_ms, points| {
        let series = world.series(from_ms, now_ms, By::None, points).await;
        (series.step_ms, series.groups[0].points.requests.clone())
    };
    // Ten minutes of seconds are there, half an hour of minutes.
    let (step_ms, told) = requests(now_ms - 5 * MINUTE_MS, 600).await;
    assert_eq!((step_ms, told.iter().sum()), (10_000, 5_u64));
    let (step_ms, told) = requests(now_ms - 20 * MINUTE_MS, 600).await;
    assert_eq!((step_ms, told), (MINUTE_MS, vec![1; 20]));
    let (step_ms, told) = requests(now_ms - HOUR_MS, 600).await;
    assert_eq!((step_ms, told), (HOUR_MS, vec![60, 15]));
    assert_eq!(
        world.total(now_ms - 65 * MINUTE_MS, now_ms).await.requests,
        75,
        "the whole of the hour that is not there in minutes"
    );
}

#[tokio::test]
async fn answers_begin_with_what_is_kept() {
    let directory = directory();
    let world = crowded(&directory.path().join("usage.db")).await;
    let (now_ms, begin_ms) = (HOUR + 255 * MINUTE_MS, HOUR + 2 * HOUR_MS);
    let series = world.series(HOUR, now_ms, By::None, 600).await;
    assert_eq!((series.from_ms, series.starts_ms[0]), (begin_ms, begin_ms));
    assert_eq!(series.groups[0].points.requests, [60, 60, 15]);
    let (totals, time) = world
        .history
        .totals(&asked(HOUR + 10 * MINUTE_MS, now_ms), By::None, now_ms)
        .await
        .expect("read");
    assert_eq!((totals[0].total.requests, time), (135, time_of(begin_ms, now_ms)));
    let gone = world.series(HOUR, HOUR + HOUR_MS, By::None, 600).await;
    assert!(gone.starts_ms.is_empty() && gone.groups.is_empty(), "{gone:?}");
    let all = asked(HOUR, now_ms);
    let heatmap = world.history.heatmap(&all, Latency::Total, 600, now_ms);
    assert_eq!(heatmap.await.expect("read").starts_ms[0], begin_ms);
    let compared = async |from_ms| {
        let found = world
            .history
            .compared(&asked(from_ms, now_ms), now_ms)
            .await
            .expect("read");
        (
            found.now.requests,
            found.now_time,
            found.before_time,
            found.before_is_whole,
        )
    };
    let all = time_of(begin_ms, now_ms);
    assert_eq!(compared(begin_ms).await, (135, all, None, false));
    assert_eq!(compared(HOUR).await, (135, all, None, false), "a part of it");
    let half_ms = begin_ms + 90 * MINUTE_MS;
    let (of, before) = (
        time_of(half_ms - 30 * MINUTE_MS, now_ms),
        time_of(begin_ms, begin_ms + HOUR_MS),
    );
    assert_eq!(
        compared(half_ms).await,
        (75, of, before, false),
        "less than the time itself"
    );
    let five = 5 * MINUTE_MS;
    let (of, before) = (
        time_of(now_ms - five, now_ms),
        time_of(now_ms - 2 * five, now_ms - five),
    );
    assert_eq!(compared(now_ms - five).await, (5, of, before, true));
}

#[tokio::test]
async fn a_time_whose_records_went_is_not_told_as_one_without_requests() {
    let directory = directory();
    let world = crowded(&directory.path().join("usage.db")).await;
    let now_ms = HOUR + 255 * MINUTE_MS;
    let gone = asked(HOUR, HOUR + HOUR_MS);
    let found = world.history.compared(&gone, now_ms).await.expect("read");
    assert_eq!(
        (found.now_time, found.before_time, found.before_is_whole),
        (None, None, false)
    );
    let flows = async |asked: &Asked| world.history.flows(asked, now_ms, |_, _| None).await.expect("read");
    assert_eq!(flows(&gone).await.time, None);
    let part = flows(&asked(HOUR, now_ms)).await;
    assert_eq!(
        (part.time, part.flows[0].requests),
        (time_of(HOUR + 2 * HOUR_MS, now_ms), 135)
    );
    // What was kept and had no request is told as that.
    let idle = asked(now_ms - 10_000, now_ms);
    let found = world.history.compared(&idle, now_ms).await.expect("read");
    assert_eq!(
        (found.now.requests, found.now_time),
        (0, time_of(now_ms - 10_000, now_ms))
    );
    assert_eq!(flows(&idle).await.time, time_of(now_ms - 10_000, now_ms));
    // What has not come yet has no figures either, and what runs has them up to now.
    let ahead = asked(now_ms + HOUR_MS, now_ms + 2 * HOUR_MS);
    assert_eq!(flows(&ahead).await.time, None);
    let runs = asked(now_ms - 10_000, now_ms + HOUR_MS);
    assert_eq!(flows(&runs).await.time, time_of(now_ms - 10_000, now_ms));
}

#[tokio::test]
async fn an_hour_between_two_times_that_are_compared_counts_once() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    world.run_minutes(HOUR + 20 * MINUTE_MS, HOUR + 130 * MINUTE_MS).await;
    // Seen from three days later only hours are left.
    let later = HOUR + 3 * 24 * HOUR_MS;
    let asked = asked(HOUR + 90 * MINUTE_MS, HOUR + 120 * MINUTE_MS);
    let found = world.history.compared(&asked, later).await.expect("read");
    assert_eq!((found.now.requests, found.before.requests), (60, 40));
    assert_eq!(found.now_time, time_of(HOUR + HOUR_MS, HOUR + 2 * HOUR_MS));
    assert_eq!(
        (found.before_time, found.before_is_whole),
        (time_of(HOUR, HOUR + HOUR_MS), true)
    );
    // While minutes are there, nothing is widened.
    let found = world
        .history
        .compared(&asked, HOUR + 130 * MINUTE_MS)
        .await
        .expect("read");
    assert_eq!((found.now.requests, found.before.requests), (30, 30));
    assert_eq!(found.now_time, time_of(asked.from_ms, asked.to_ms));
}

#[tokio::test]
async fn a_clock_that_is_ahead_for_a_while_does_not_empty_the_history() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    world.run_minutes(HOUR, HOUR + 90 * MINUTE_MS).await;
    let ahead = HOUR + 400 * 24 * HOUR_MS + 90 * MINUTE_MS;
    world.run_minutes(ahead, ahead + 30 * MINUTE_MS).await;
    world.run_minutes(HOUR + 120 * MINUTE_MS, HOUR + 125 * MINUTE_MS).await;
    let now_ms = HOUR + 125 * MINUTE_MS;
    world.clock.store(now_ms, Ordering::Relaxed);
    assert_eq!(world.total(HOUR, now_ms).await.requests, 95);
    let series = world.series(HOUR, HOUR + 90 * MINUTE_MS, By::None, 90).await;
    assert_eq!(
        (series.step_ms, &series.groups[0].points.requests),
        (MINUTE_MS, &vec![1; 90])
    );
    // And again by seconds, from when the clock was right again.
    let series = world.series(now_ms - 4 * MINUTE_MS, now_ms, By::None, 600).await;
    assert_eq!((series.step_ms, series.groups[0].total.requests), (10_000, 4));
    let wanted = EventsWanted {
        limit: 9,
        ..EventsWanted::default()
    };
    let told: Vec<_> = world.history.events(&wanted).await.expect("read");
    let told: Vec<_> = told.iter().map(|event| (event.severity, &*event.text)).collect();
    let text = "the clock is 400 days ahead of the history: what is too old by it goes bit by bit, not at once";
    assert_eq!(told, [(Severity::Warn, text)]);
}

#[tokio::test]
async fn percentiles_are_of_the_streams_among_the_requests_beside_them() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    let (from_ms, to_ms) = (HOUR + 25 * MINUTE_MS, HOUR + 130 * MINUTE_MS);
    let (mut times, mut requests) = (Times::default(), 0);
    for minute in 0..130 {
        let at_ms = HOUR + minute * MINUTE_MS;
        let mut request = took(9_000_000);
        // Slower and slower, and every third is no stream.
        let first_token_us = minute.cast_unsigned() * 20_000 + 1;
        request.record.first_token_us = (minute % 3 > 0).then_some(first_token_us);
        world.at(at_ms).take(std::slice::from_ref(&request));
        if at_ms >= from_ms {
            requests += 1;
            if let Some(us) = request.record.first_token_us {
                times.record(us);
            }
        }
        // The last ones are in memory only.
        if minute < 127 {
            world.at(at_ms + 10_000).writer.write().await;
        }
    }
    world.clock.store(to_ms, Ordering::Relaxed);
    let [p50, p95, p99] = times.quantiles_ms([0.5, 0.95, 0.99]);
    let figures = world.total(from_ms, to_ms).await;
    let told = |figures: &Figures| {
        let latency = figures.latency;
        let percentiles = [latency.ttft_p50_ms, latency.ttft_p95_ms, latency.ttft_p99_ms];
        (figures.requests, percentiles)
    };
    assert_eq!(told(&figures), (requests, [p50, p95, p99]));
    for points in [600, 120] {
        let series = world.series(from_ms, to_ms, By::Client, points).await;
        assert_eq!(told(&series.groups[0].total), (requests, [p50, p95, p99]), "{points}");
    }
    let all = asked(from_ms, to_ms);
    let heatmap = world.history.heatmap(&all, Latency::Ttft, 600, to_ms);
    let counts = heatmap.await.expect("read").counts;
    assert_eq!(counts.iter().flatten().sum::<u64>(), times.len());
}
