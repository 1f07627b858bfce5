//! Values that are shown as they could be meant, and settings that are legal and defeat themselves.

use super::mistakes::{added, check, check_hint, check_warnings};

#[test]
fn a_value_of_the_wrong_kind_is_shown_as_it_could_be_meant() {
    let (from, to) = added("usage: {queue: \"300\"}");
    check(
        &[(from, &to)],
        &["22:9: usage.queue: expected a whole number, found the text `300`"],
    );
    check_hint(from, &to, "write `300` without quotes");
    let (from, to) = added("defaults: {waiting: {max_wait: 5}}");
    check(
        &[(from, &to)],
        &["22:22: defaults.waiting.max_wait: expected text, found `5`"],
    );
    check_hint(
        from,
        &to,
        "write `5s` for seconds, or another of `ms`, `s`, `m`, `h` and `d`",
    );
}

#[test]
fn a_deadline_that_nothing_can_keep_is_remarked_upon() {
    let route = |settings: &str| format!("    pool: support\n    {settings}\n");
    let remarks = |settings: &str, expected: &[&str]| {
        check_warnings(&[("    pool: support\n", &route(settings))], expected);
    };
    remarks(
        "failover: {deadline: 300ms}",
        &["22:16: routes[0].failover.deadline: `300ms` is over before most answers begin, so requests would fail"],
    );
    remarks("failover: {deadline: 1s}", &[]);
    remarks(
        "waiting: {max_wait: 10m}",
        &[
            "22:15: routes[0].waiting.max_wait: `10m` never takes effect, since `failover.deadline` (5m) ends the request first",
        ],
    );
    remarks("waiting: {max_wait: 4m}", &[]);
    remarks("waiting: {max_wait: 0s}", &[]);
    let (from, to) = added("defaults: {failover: {deadline: 20s}, waiting: {max_wait: 20s}}");
    check_warnings(
        &[(from, &to)],
        &[
            "22:49: defaults.waiting.max_wait: `20s` never takes effect, since `failover.deadline` (20s) ends the request first",
        ],
    );
}
