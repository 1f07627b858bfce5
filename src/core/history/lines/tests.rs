//! What lines add up to, and that merging loses nothing.

use super::*;
use crate::core::ledger::finished::testing::finished;

fn of(client: &str, deployment: &str) -> Finished {
    let mut request = finished(0);
    request.record.client = client.into();
    request.record.deployment = Some(deployment.into());
    for attempt in &mut request.attempts {
        attempt.deployment = deployment.into();
    }
    request
}

/// Requests by the names of their lines.
fn requests(interval: &Interval, kind: Kind) -> Vec<(String, u64, u64)> {
    let mut found: Vec<_> = interval
        .lines()
        .filter(|(key, _)| key.kind == kind)
        .map(|(key, line)| {
            let name = format!("{}|{}|{}", key.route, key.client, key.deployment);
            (name, line.sums.requests, line.sums.attempts)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_request_is_in_one_line_of_each_kind() {
    let mut interval = Interval::new(0);
    interval.add(&of("shop", "eu/one"), &RequestCost::default());
    interval.add(&of("shop", "eu/two"), &RequestCost::default());
    interval.add(&of("desk", "eu/two"), &RequestCost::default());
    let line = |name: &str, count: u64| (name.to_owned(), count, count);
    assert_eq!(requests(&interval, Kind::All), [line("||", 3)]);
    assert_eq!(requests(&interval, Kind::Route), [line("support||", 3)]);
    assert_eq!(
        requests(&interval, Kind::Client),
        [line("|desk|", 1), line("|shop|", 2)]
    );
    assert_eq!(
        requests(&interval, Kind::Deployment),
        [line("||eu/one", 1), line("||eu/two", 2)]
    );
    assert_eq!(
        requests(&interval, Kind::Flow),
        [line("support||eu/one", 1), line("support||eu/two", 2)]
    );
    assert_eq!(requests(&interval, Kind::Full).len(), 3);
    assert!(!interval.has_others());
}

#[test]
fn an_attempt_counts_at_its_own_deployment() {
    let mut request = of("shop", "eu/two");
    let mut failed = request.attempts[0].clone();
    (failed.deployment, failed.outcome) = ("eu/one".into(), "throttled");
    request.attempts.insert(0, failed);
    let mut interval = Interval::new(0);
    interval.add(&request, &RequestCost::default());
    assert_eq!(
        requests(&interval, Kind::Deployment),
        [("||eu/one".to_owned(), 0, 1), ("||eu/two".to_owned(), 1, 1)]
    );
    let by_name = |name: &str| {
        let of = |(key, _): &(&Key, &Line)| key.kind == Kind::Deployment && &*key.deployment == name;
        interval.lines().find(of).expect("a line").1.sums.clone()
    };
    assert_eq!((by_name("eu/one").throttled, by_name("eu/one").failovers()), (1, 1));
    assert_eq!((by_name("eu/two").throttled, by_name("eu/two").failovers()), (0, 0));
}

#[test]
fn a_request_that_nobody_was_asked_for_has_a_line_too() {
    let mut request = finished(0);
    (request.record.deployment, request.record.region) = (None, None);
    request.attempts.clear();
    let mut interval = Interval::new(0);
    interval.add(&request, &RequestCost::default());
    assert_eq!(requests(&interval, Kind::Deployment), [("||(none)".to_owned(), 1, 0)]);
}

#[test]
fn beyond_their_bound_lines_are_added_together_and_other_kinds_stay_exact() {
    let mut interval = Interval::new(0);
    let all = LINES_MAX as u64 + 20;
    for _ in 0..2 {
        for client in 0..all {
            interval.add(&of(&format!("client-{client}"), "eu/one"), &RequestCost::default());
        }
    }
    let clients = requests(&interval, Kind::Client);
    assert_eq!(clients.len(), LINES_MAX + 1);
    assert_eq!(clients[0], ("|(other)|".to_owned(), 40, 40));
    assert_eq!(clients[1].1, 2, "those that were there first stay");
    assert_eq!(requests(&interval, Kind::Deployment)[0].1, 2 * all);
    let others: Vec<_> = requests(&interval, Kind::Full);
    assert_eq!(
        (others.len(), others[0].0.as_str()),
        (LINES_MAX + 1, "(other)|(other)|(other)")
    );
    assert!(interval.has_others());
    assert_eq!(interval.len(), 1 + 1 + 1 + 1 + 2 * (LINES_MAX + 1));
}

#[test]
fn a_question_is_answered_by_the_kind_with_the_fewest_lines() {
    let filter = |route: bool, client: bool, region: bool| Filter {
        route: route.then(String::new),
        client: client.then(String::new),
        region: region.then(String::new),
        deployment: None,
    };
    for (by, (route, client, region), expected) in [
        (By::None, (false, false, false), Kind::All),
        (By::Route, (false, false, false), Kind::Route),
        (By::Region, (false, false, false), Kind::Deployment),
        (By::Deployment, (true, false, false), Kind::Flow),
        (By::None, (true, false, true), Kind::Flow),
        (By::Client, (false, true, false), Kind::Client),
        (By::Client, (true, false, false), Kind::Full),
    ] {
        assert_eq!(
            Kind::for_question(by, &filter(route, client, region)),
            expected,
            "{by:?}"
        );
    }
    assert!(
        Kind::ALL
            .iter()
            .all(|kind| Kind::of_number(*kind as i64) == Some(*kind))
    );
}
