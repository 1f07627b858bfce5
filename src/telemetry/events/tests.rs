//! What each event counts, and that the frequent ones allocate nothing.

use std::path::Path;
use std::sync::Arc;

use super::process::{ConfigRefused, ConfigReloaded};
use super::*;
use crate::core::admission::limit::LimitRule;
use crate::core::admission::queue::Priority;
use crate::core::ledger::misses::Cause;
use crate::core::ledger::usage::{Operation, RequestOutcome, UsageSource};
use crate::core::recovery::budget::BudgetRule;
use crate::core::recovery::hedge::HedgeRule;
use crate::core::recovery::patience::FirstTokenRule;
use crate::core::topology::{Client, Failover, PoolIx, Route, RouteAccess, Snapshot, Timeouts, Waiting, testing};
use crate::telemetry::view::FleetView;

fn route(name: &str) -> Route {
    let second = Duration::from_secs(1);
    Route {
        id: name.into(),
        aliases: Vec::new(),
        pool: PoolIx(0),
        residency: None,
        policy: crate::core::placement::policy::Policy::Nested,
        failover: Failover {
            max_attempts: 1,
            deadline: second,
            retry_budget: BudgetRule {
                ratio: 0.5,
                min_per_second: 1,
            },
            backoff: second,
            hedging: HedgeRule { max_share: 0.0 },
            first_token: FirstTokenRule {
                base: second,
                per_1k_tokens: second,
                least: second,
            },
        },
        waiting: Waiting {
            max_wait: second,
            queue: 1,
        },
        timeouts: Timeouts {
            connect: second,
            first_byte: second,
            whole_answer: second,
            idle: second,
            total: second,
        },
        limits: LimitRule::default(),
        client_limits: LimitRule::default(),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        clients: ["acme", "zeta"]
            .map(|id| Client {
                priority: Priority::Interactive,
                id: id.into(),
                routes: RouteAccess::All,
                debug_headers: false,
                limits: LimitRule::default(),
            })
            .to_vec(),
        routes: ["support", "legal"].map(route).to_vec(),
        ..testing::fleet(&[("res", "eu", &["one", "two"])])
    }
}

fn record() -> UsageRecord {
    UsageRecord {
        request_id: "r1".into(),
        started_at_ms: 0,
        client: "zeta".into(),
        route: "legal".into(),
        operation: Operation::Chat,
        deployment: Some("res/two".into()),
        region: Some("eu".into()),
        served_region: None,
        spilled_to: None,
        attempts: 2,
        outcome: RequestOutcome::Success,
        status: 200,
        streamed: true,
        source: UsageSource::Reported,
        prompt_tokens: 100,
        cached_tokens: 60,
        completion_tokens: 7,
        first_byte_us: Some(30_000),
        first_token_us: Some(50_000),
        total_us: 700_000,
        upstream_us: 699_000,
        kept: None,
    }
}

fn request(record: &UsageRecord) -> RequestFinished<'_> {
    RequestFinished {
        record,
        client: ClientIx(1),
        route: RouteIx(1),
        deployment: Some(DeploymentIx(1)),
        reason: "affinity",
        gateway: Duration::from_micros(80),
        trace: None,
    }
}

fn attempt() -> AttemptFinished<'static> {
    AttemptFinished {
        request_id: "r1",
        route: RouteIx(1),
        deployment: DeploymentIx(0),
        number: 1,
        outcome: "throttled",
        reason: "home",
        status: Some(429),
        duration: Duration::from_millis(5),
        answer: None,
        retry_after: None,
        maybe_billed_twice: Some(BilledTwice::GivenUp),
        keyed: true,
    }
}

fn series() -> FleetSeries {
    FleetSeries::new(
        Arc::new(Metrics::new().expect("the definitions hold together")),
        &snapshot(),
    )
}

/// The lines of our own metrics that are not zero, without buckets and what every scrape has.
fn counted(series: &FleetSeries) -> Vec<String> {
    let text = series.metrics().render(0, &FleetView::default()).expect("rendered");
    let ours = |line: &&str| line.starts_with("emberway") || line.starts_with("gen_ai");
    let plain = |line: &&str| !line.contains("_bucket") && !line.contains("build_info") && !line.ends_with(" 0");
    text.lines().filter(ours).filter(plain).map(str::to_owned).collect()
}

#[test]
fn a_request_counts_under_its_own_labels() {
    let series = series();
    request(&record()).emit(&series);
    assert_eq!(
        counted(&series),
        [
            r#"emberway_gateway_overhead_seconds_sum{route="legal"} 0.00008"#,
            r#"emberway_gateway_overhead_seconds_count{route="legal"} 1"#,
            r#"emberway_requests_total{client="zeta",outcome="success",route="legal",status_class="2xx"} 1"#,
            r#"emberway_time_to_first_byte_seconds_sum{route="legal"} 0.03"#,
            r#"emberway_time_to_first_byte_seconds_count{route="legal"} 1"#,
            r#"emberway_tokens_total{deployment="res/two",kind="cached",route="legal"} 60"#,
            r#"emberway_tokens_total{deployment="res/two",kind="completion",route="legal"} 7"#,
            r#"emberway_tokens_total{deployment="res/two",kind="prompt",route="legal"} 100"#,
        ]
    );
}

#[test]
fn attempts_count_by_outcome_and_time_only_answers() {
    let series = series();
    attempt().emit(&series);
    attempt().emit(&series);
    let answer = AnswerTimes {
        first_chunk: Some(Duration::from_millis(250)),
        total: Duration::from_secs(2),
    };
    let answered = AttemptFinished {
        outcome: "success",
        answer: Some(answer),
        maybe_billed_twice: None,
        keyed: false,
        ..attempt()
    };
    answered.emit(&series);
    let overtaken = AttemptFinished {
        outcome: "overtaken",
        maybe_billed_twice: Some(BilledTwice::Hedged),
        keyed: false,
        ..attempt()
    };
    overtaken.emit(&series);
    let label = r#"deployment="res/one",route="legal""#;
    assert_eq!(
        counted(&series),
        [
            format!(r#"emberway_attempts_maybe_billed_twice_total{{cause="given_up",{label}}} 2"#),
            format!(r#"emberway_attempts_maybe_billed_twice_total{{cause="hedged",{label}}} 1"#),
            r#"emberway_attempts_total{deployment="res/one",outcome="overtaken",reason="home",route="legal"} 1"#
                .to_owned(),
            r#"emberway_attempts_total{deployment="res/one",outcome="success",reason="home",route="legal"} 1"#
                .to_owned(),
            r#"emberway_attempts_total{deployment="res/one",outcome="throttled",reason="home",route="legal"} 2"#
                .to_owned(),
            format!("emberway_cache_keys_sent_total{{{label}}} 2"),
            format!("gen_ai_client_operation_duration_seconds_sum{{{label}}} 2"),
            format!("gen_ai_client_operation_duration_seconds_count{{{label}}} 1"),
            format!("gen_ai_client_operation_time_to_first_chunk_seconds_sum{{{label}}} 0.25"),
            format!("gen_ai_client_operation_time_to_first_chunk_seconds_count{{{label}}} 1"),
        ]
    );
}

#[test]
fn missed_tokens_count_by_cause() {
    let series = series();
    let judged = |miss| CacheJudged {
        route: RouteIx(1),
        deployment: DeploymentIx(0),
        expected: 2_048,
        miss,
    };
    let miss = |cause, tokens| Some(Miss { cause, tokens });
    judged(miss(Cause::Overflow, 2_048)).emit(&series);
    judged(miss(Cause::Overflow, 512)).emit(&series);
    judged(miss(Cause::Expired, 128)).emit(&series);
    judged(None).emit(&series);
    let label = r#"deployment="res/one",route="legal""#;
    assert_eq!(
        counted(&series),
        [
            format!("emberway_cache_expected_tokens_total{{{label}}} 8192"),
            r#"emberway_cache_missed_tokens_total{cause="expired",deployment="res/one",route="legal"} 128"#.to_owned(),
            r#"emberway_cache_missed_tokens_total{cause="overflow",deployment="res/one",route="legal"} 2560"#
                .to_owned(),
        ]
    );
}

#[test]
fn a_new_snapshot_goes_on_with_the_same_counters() {
    let before = series();
    request(&record()).emit(&before);
    let metrics = Arc::clone(before.metrics());
    let after = FleetSeries::new(metrics, &snapshot());
    request(&record()).emit(&after);
    let requests = counted(&after)
        .into_iter()
        .find(|line| line.starts_with("emberway_requests_total"));
    assert!(requests.is_some_and(|line| line.ends_with(" 2")));
}

/// `increase` sees nothing of a series that is born with its first increment.
#[test]
fn what_is_rare_and_alerted_of_is_there_before_it_happens() {
    let series = series();
    let text = series.metrics().render(0, &FleetView::default()).expect("rendered");
    for line in [
        r#"emberway_alerts_total{result="dropped"} 0"#,
        r#"emberway_alerts_total{result="failed"} 0"#,
        r#"emberway_alerts_total{result="sent"} 0"#,
        r#"emberway_keepalives_total{deployment="res/one",result="answered"} 0"#,
        r#"emberway_keepalives_total{deployment="res/one",result="failed"} 0"#,
    ] {
        assert!(text.lines().any(|one| one == line), "no `{line}` in {text}");
    }
}

#[test]
fn the_rest_counts_too() {
    let series = series();
    UpstreamConnected {
        resource: ResourceIx(0),
        reused: true,
    }
    .emit(&series);
    AuthFailed {
        request_id: "r1",
        reason: AuthFailure::Unknown,
    }
    .emit(series.metrics());
    GatewayRefused {
        request_id: "r1",
        reason: "body_too_large",
    }
    .emit(series.metrics());
    ConfigRefused {
        path: Path::new("x.yaml"),
        error: "no",
    }
    .emit(series.metrics());
    ConfigReloaded {
        path: Path::new("x.yaml"),
        generation: 2,
    }
    .emit(series.metrics());
    assert_eq!(
        counted(&series),
        [
            r#"emberway_client_auth_failures_total{reason="unknown"} 1"#,
            r#"emberway_config_reloads_total{result="loaded"} 1"#,
            r#"emberway_config_reloads_total{result="refused"} 1"#,
            r#"emberway_gateway_refusals_total{reason="body_too_large"} 1"#,
            r#"emberway_upstream_connections_total{resource="res",reused="true"} 1"#,
        ]
    );
}

#[test]
fn counting_a_known_request_allocates_nothing() {
    let series = series();
    let record = record();
    request(&record).emit(&series);
    attempt().emit(&series);
    let judged = CacheJudged {
        route: RouteIx(1),
        deployment: DeploymentIx(0),
        expected: 1,
        miss: Some(Miss {
            cause: Cause::Cold,
            tokens: 1,
        }),
    };
    judged.emit(&series);
    let allocations = allocation_counter::measure(|| {
        judged.emit(&series);
        request(&record).emit(&series);
        attempt().emit(&series);
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn status_classes_are_a_closed_set() {
    let classes = [0, 200, 304, 429, 503, 999].map(status_class);
    assert_eq!(classes, ["none", "2xx", "3xx", "4xx", "5xx", "none"]);
}

#[test]
fn measured_times_have_three_decimals_at_most() {
    for (nanos, shown) in [
        (44_125, "0.044"),
        (44_500, "0.045"),
        (1_234_567_891, "1234.568"),
        (300_000, "0.3"),
    ] {
        assert_eq!(to_microsecond(Duration::from_nanos(nanos)).to_string(), shown);
    }
}
