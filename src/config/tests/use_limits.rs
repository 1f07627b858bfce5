//! Limits of clients and routes, as they are written.

use crate::config::tests::{SMALL, compile};
use crate::core::admission::limit::LimitRule;

/// The small file with these lines added to its route.
fn with_route(lines: &str) -> String {
    format!("{SMALL}{lines}")
}

fn warnings(lines: &str) -> Vec<String> {
    let checked = compile(&with_route(lines)).expect("compiles");
    checked.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn they_are_compiled_and_bound_nothing_unless_written() {
    let clients = "  - name: team\n    limits: {requests_per_minute: 60, tokens_per_minute: 1000}\n";
    let text = with_route("    limits: {concurrency: 5}\n").replace("  - name: team\n", clients);
    let snapshot = compile(&text).expect("compiles").runtime.snapshot;
    let rule = |requests_per_minute, tokens_per_minute, concurrency| LimitRule {
        requests_per_minute,
        tokens_per_minute,
        concurrency,
    };
    assert_eq!(snapshot.clients[0].limits, rule(Some(60), Some(1_000), None));
    assert_eq!(snapshot.routes[0].limits, rule(None, None, Some(5)));
    assert!(snapshot.routes[0].client_limits.is_none());
}

#[test]
fn a_limit_for_each_client_that_all_reach_first_is_remarked_on() {
    let loose = warnings("    limits: {concurrency: 5, tokens_per_minute: 9}\n    client_limits: {concurrency: 5}\n");
    assert_eq!(loose.len(), 1, "{loose:?}");
    assert!(loose[0].contains("routes[0].client_limits.concurrency"), "{loose:?}");
    assert!(loose[0].contains("lets all clients together have 5"), "{loose:?}");
    let tight = warnings("    limits: {concurrency: 5}\n    client_limits: {concurrency: 4, tokens_per_minute: 9}\n");
    assert_eq!(tight, Vec::<String>::new());
}

#[test]
fn nothing_at_all_is_no_limit() {
    let refused = compile(&with_route("    limits: {requests_per_minute: 0}\n")).expect_err("refused");
    assert!(refused.to_string().contains("`0` is too small"), "{refused}");
}
