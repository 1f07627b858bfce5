//! The scrape: every definition is there, and state is as of the moment.

use std::sync::Arc;

use super::*;
use crate::core::recovery::absence::Absence;
use crate::core::recovery::health::BreakerState;
use crate::core::recovery::outcome::Alarm;
use crate::telemetry::view::{
    CareView, CaredView, EndView, NextView, PlacementView, PoolView, ResourceView, RouteView, UsageView,
};

fn deployment(name: &str) -> DeploymentView {
    DeploymentView {
        deployment: name.into(),
        region: "east".into(),
        in_flight: 3,
        alarm: None,
        breaker: BreakerState::HalfOpen,
        limit_tokens_per_minute: Some(10_000),
        limit_used: Some(0.25),
        cache_life_s: 600.0,
        cooling_until_ms: Some(12_500),
        drained: None,
        absent: None,
        last_success_at_ms: None,
        deletion_at_ms: Some(9_000),
        last_failure: None,
    }
}

fn cared(name: &str) -> CareView {
    CareView {
        acts: true,
        writes: true,
        read_at_ms: Some(9_000),
        deployments: vec![CaredView {
            deployment: name.into(),
            policy: "keep",
            state: "creating",
            last_success_at_ms: None,
            idle_ms: Some(1_000),
            deletion_at_ms: Some(20_000),
            deletion_is_exact: true,
            urgency: "urgent",
            next: Some(NextView {
                action: "call",
                at_ms: 12_000,
                usd: Some(0.1),
            }),
            end: Some(EndView {
                cause: "retirement",
                at_ms: 70_000,
            }),
            sentence: None,
        }],
    }
}

#[test]
fn what_the_guard_will_do_is_a_time_from_now() {
    let metrics = Metrics::new().expect("the definitions hold together");
    let view = FleetView {
        care: Some(Arc::new(cared("a/b"))),
        ..FleetView::default()
    };
    let text = metrics.render(10_000, &view).expect("rendered");
    let shown = [
        "emberway_deployment_guard_next_seconds{action=\"call\",deployment=\"a/b\"} 2",
        "emberway_deployment_inactivity_urgency{deployment=\"a/b\"} 2",
        "emberway_deployment_end_seconds{cause=\"retirement\",deployment=\"a/b\"} 60",
        "emberway_deployment_rebuilding{deployment=\"a/b\",state=\"creating\"} 1",
        "emberway_fleet_acts 1",
    ];
    for line in shown {
        assert!(text.lines().any(|one| one == line), "no `{line}` in {text}");
    }
    let text = metrics.render(10_000, &FleetView::default()).expect("rendered");
    assert!(
        !text.contains("deployment=\"a/b\""),
        "what is not looked after is not shown"
    );
    assert!(text.contains("emberway_fleet_acts 0"));
}

fn lines(text: &str, prefix: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}

/// Makes a series of each family that has labels, so that a scrape shows it.
fn touch_every_family(metrics: &Metrics) {
    metrics.otlp.exports.with_label_values(&["1", "2"]);
    metrics.otlp.spans.with_label_values(&["1"]);
    for family in [&metrics.requests, &metrics.attempts] {
        family.with_label_values(&["1", "2", "3", "4"]);
    }
    for family in [&metrics.tokens, &metrics.cache_missed, &metrics.maybe_billed_twice] {
        family.with_label_values(&["1", "2", "3"]);
    }
    for family in [
        &metrics.residency_contradicted,
        &metrics.cache_expected,
        &metrics.cache_keys_sent,
        &metrics.rebuilds,
        &metrics.keepalives,
    ] {
        family.with_label_values(&["1", "2"]);
    }
    metrics.token_usd.with_label_values(&["1", "2"]);
    metrics.cache_saved_usd.with_label_values(&["1"]);
    metrics.upstream_connections.with_label_values(&["1", "2"]);
    metrics.requests_cut_off.with_label_values(&["1"]);
    metrics.waits.with_label_values(&["1", "2"]);
    metrics.client_limited.with_label_values(&["1", "2"]);
    for family in [
        &metrics.refusals,
        &metrics.shed,
        &metrics.auth_failures,
        &metrics.admin_auth_failures,
        &metrics.config_reloads,
        &metrics.fleet_looks,
        &metrics.alerts,
        &metrics.retry_budget_spent,
    ] {
        family.with_label_values(&["1"]);
    }
    for family in [&metrics.time_to_first_byte, &metrics.gateway_overhead, &metrics.wait] {
        family.with_label_values(&["1"]);
    }
    for family in [&metrics.operation_duration, &metrics.time_to_first_chunk] {
        family.with_label_values(&["1", "2"]);
    }
}

#[test]
fn every_definition_is_registered_with_its_labels() {
    let metrics = Metrics::new().expect("the definitions hold together");
    let shown = DeploymentView {
        last_success_at_ms: Some(0),
        alarm: Some(Alarm::Paused),
        absent: Some(Absence::Paused),
        ..deployment("a/b")
    };
    let view = FleetView {
        routes: vec![RouteView {
            waiting: 0,
            route: "r".into(),
            in_flight: 1,
        }],
        pools: vec![PoolView {
            pool: "p".into(),
            deployments: 2,
            usable: 1,
            regions: vec!["east".into()],
            sent_tokens: 7.0,
            limit_without: vec![("east".into(), 3.0)],
            headroom: vec![("east".into(), 1.5)],
        }],
        deployments: vec![shown],
        resources: vec![ResourceView {
            resource: "a".into(),
            breaker: BreakerState::Closed,
        }],
        hosting: vec![("a/b".into(), 1.7)],
        care: Some(Arc::new(cared("a/b"))),
        placement: PlacementView {
            heads: vec![("0a1b2c3d".to_owned(), 4)],
            ..PlacementView::default()
        },
        ..FleetView::default()
    };
    touch_every_family(&metrics);
    let text = metrics.render(10_000, &view).expect("rendered");
    for definition in define::ALL {
        let kind = format!("# TYPE {} {}", definition.name, definition.kind.word());
        assert!(text.contains(&kind), "no `{kind}`");
        for label in definition.labels {
            let found = lines(&text, definition.name)
                .iter()
                .any(|line| line.contains(&format!("{label}=\"")));
            assert!(found, "`{}` without `{label}`", definition.name);
        }
    }
    #[cfg(target_os = "linux")]
    for name in define::PROCESS {
        assert_eq!(lines(&text, &format!("{name} ")).len(), 1, "no `{name}`");
    }
}

#[test]
fn a_deployment_shows_its_state_as_of_the_scrape() {
    let metrics = Metrics::new().expect("the definitions hold together");
    let view = |deployments| FleetView {
        deployments,
        ..FleetView::default()
    };
    let text = metrics
        .render(10_000, &view(vec![deployment("a/b")]))
        .expect("rendered");
    assert_eq!(
        lines(&text, "emberway_deployment_"),
        [
            r#"emberway_deployment_breaker_state{deployment="a/b"} 1"#,
            r#"emberway_deployment_cache_life_seconds{deployment="a/b"} 600"#,
            r#"emberway_deployment_cooling_seconds{deployment="a/b"} 2.5"#,
            r#"emberway_deployment_drained{deployment="a/b"} 0"#,
            r#"emberway_deployment_in_flight{deployment="a/b"} 3"#,
            r#"emberway_deployment_inactivity_deletion_seconds{deployment="a/b"} -1"#,
            r#"emberway_deployment_limit_tokens_per_minute{deployment="a/b"} 10000"#,
            r#"emberway_deployment_limit_used_ratio{deployment="a/b"} 0.25"#,
        ]
    );
    let later = metrics
        .render(60_000, &view(vec![deployment("c/d")]))
        .expect("rendered");
    assert!(!later.contains("a/b"), "what left the configuration leaves the metrics");
    assert_eq!(
        lines(&later, "emberway_deployment_cooling")[0].split(' ').next_back(),
        Some("0")
    );
}

#[test]
fn totals_counted_elsewhere_never_fall() {
    let metrics = Metrics::new().expect("the definitions hold together");
    for (written, expected) in [(5, 5), (9, 9), (7, 9)] {
        let usage = UsageView {
            written,
            ..UsageView::default()
        };
        let view = FleetView {
            usage,
            ..FleetView::default()
        };
        let text = metrics.render(0, &view).expect("rendered");
        let line = format!("emberway_usage_records_written_total {expected}");
        assert_eq!(lines(&text, "emberway_usage_records_written_total"), [line]);
    }
}
