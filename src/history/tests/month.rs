//! What a month at a thousand requests a second costs to ask about.

use super::*;
use crate::core::history::step::Marks;
use crate::core::ids::ClientId;
use crate::storage::history::{Batch, RolledUp, State};

const HOUR_MS: i64 = 60 * MINUTE_MS;

/// An hour of three routes, four clients and six deployments.
fn busy_hour() -> Interval {
    let mut of_hour = Interval::new(0);
    for request in 0..7_200_u64 {
        let mut one = finished(0);
        let deployment = request % 6;
        one.record.client = ClientId::from(format!("client-{}", request / 6 % 4));
        one.record.route = format!("route-{}", request / 24 % 3).into();
        one.record.deployment = Some(format!("r{deployment}/ft").into());
        one.attempts[0].deployment = format!("r{deployment}/ft").into();
        for (time, base) in [(&mut one.record.total_us, 900_000), (&mut one.overhead_us, 300)] {
            *time = base * (80 + request * 37 % 400) / 100;
        }
        one.record.first_token_us = Some(200_000 * (80 + request * 53 % 300) / 100);
        of_hour.add(&one, &RequestCost::default());
    }
    of_hour
}

/// Fills a store with so many such hours, and says how far it goes then.
async fn fill(store: &SqliteStore, of_hour: &Interval, hours: i64) -> Marks {
    let first = Batch {
        now_ms: HOUR,
        ..Batch::default()
    };
    store.write_history(&first, |_| ()).await.expect("written");
    let mut of = State {
        marks: Marks {
            minute_ms: HOUR,
            hour_ms: HOUR,
        },
        writes: 1,
        ..State::default()
    };
    for day in 0..hours / 24 {
        let rows = of_hour.lines().flat_map(|(key, line)| {
            (day * 24..(day + 1) * 24).map(move |hour| (Step::Hour, HOUR + hour * HOUR_MS, key.clone(), line.clone()))
        });
        let until_ms = HOUR + (day + 1) * 24 * HOUR_MS;
        let marks = Marks {
            minute_ms: until_ms,
            hour_ms: until_ms,
        };
        let filled = Batch {
            now_ms: until_ms,
            rolled_up: Some(RolledUp {
                of,
                marks,
                rows: rows.collect(),
            }),
            ..Batch::default()
        };
        store.write_history(&filled, |_| ()).await.expect("written");
        of = State {
            marks,
            writes: of.writes + 1,
            ..of
        };
    }
    of.marks
}

/// A month by deployment reads what it needs and no more: a row a deployment and hour. How long that takes is printed; it is a matter of
/// the machine.
#[tokio::test]
async fn a_month_by_deployment_reads_one_row_an_hour_and_deployment() {
    let directory = directory();
    let store = SqliteStore::open(&directory.path().join("usage.db"))
        .await
        .expect("a store");
    let (hours, of_hour) = (720, busy_hour());
    let marks = fill(&store, &of_hour, hours).await;
    let bytes = std::fs::metadata(store.path()).expect("a file").len();
    let count = of_hour.len() as u64 * hours as u64;
    println!("{count} rows, {} bytes each with index", bytes / count);
    let history = History::new(Arc::new(store), Arc::default(), marks.hour_ms);
    for (by, filter, lines) in [
        (By::Deployment, Filter::default(), 6),
        (By::None, Filter::default(), 1),
        (
            By::Region,
            Filter {
                route: Some("route-1".to_owned()),
                ..Filter::default()
            },
            6,
        ),
        (
            By::Client,
            Filter {
                route: Some("route-1".to_owned()),
                ..Filter::default()
            },
            24,
        ),
    ] {
        let asked = Asked {
            from_ms: HOUR,
            to_ms: marks.hour_ms,
            filter,
        };
        let began = std::time::Instant::now();
        let (series, effort) = history.series(&asked, by, 600, marks.hour_ms).await.expect("read");
        println!("{by:?}: {effort:?} in {:?}", began.elapsed());
        assert_eq!((series.step_ms, series.starts_ms.len()), (2 * HOUR_MS, 360));
        assert_eq!(effort.rows, lines * hours as u64);
        assert_eq!(effort.histograms, 3 * lines * hours as u64);
    }
}
