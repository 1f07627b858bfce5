//! Two scrapes against what happened between them.

use strum::VariantArray as _;

use super::*;
use crate::core::recovery::outcome::AttemptOutcome;

const EARLIER: &str = r#"# TYPE emberway_requests_total counter
emberway_requests_total{client="a",outcome="success",route="bot",status_class="2xx"} 100
emberway_requests_total{client="b",outcome="throttled",route="bot",status_class="4xx"} 3
emberway_attempts_total{deployment="a/ft",outcome="success",reason="home",route="bot"} 100
emberway_tokens_total{deployment="a/ft",kind="prompt",route="bot"} 1000
emberway_tokens_total{deployment="a/ft",kind="cached",route="bot"} 900
gen_ai_client_operation_duration_seconds_bucket{deployment="a/ft",route="bot",le="1.28"} 100
gen_ai_client_operation_duration_seconds_bucket{deployment="a/ft",route="bot",le="2.56"} 100
gen_ai_client_operation_duration_seconds_bucket{deployment="a/ft",route="bot",le="+Inf"} 100
process_start_time_seconds 1795521600
"#;
const LATER: &str = r#"emberway_requests_total{client="a",outcome="success",route="bot",status_class="2xx"} 115
emberway_requests_total{client="b",outcome="throttled",route="bot",status_class="4xx"} 4
emberway_requests_total{client="b",outcome="client_gone",route="bot",status_class="none"} 4
emberway_requests_total{client="b",outcome="success",route="embed",status_class="2xx"} 10
emberway_requests_in_flight{route="bot"} 7
emberway_requests_in_flight{route="idle"} 1
emberway_attempts_total{deployment="a/ft",outcome="success",reason="home",route="bot"} 110
emberway_attempts_total{deployment="a/ft",outcome="throttled",reason="home",route="bot"} 5
emberway_attempts_total{deployment="b/ft",outcome="success",reason="failover",route="bot"} 5
emberway_attempts_total{deployment="b/ft",outcome="client_gone",reason="failover",route="bot"} 4
emberway_gateway_refusals_total{reason="gateway_busy"} 20
emberway_tokens_total{deployment="a/ft",kind="prompt",route="bot"} 1500
emberway_tokens_total{deployment="b/ft",kind="prompt",route="bot"} 500
emberway_tokens_total{deployment="a/ft",kind="cached",route="bot"} 1150
emberway_tokens_total{deployment="a/ft",kind="completion",route="bot"} 80
gen_ai_client_operation_duration_seconds_bucket{deployment="a/ft",route="bot",le="1.28"} 110
gen_ai_client_operation_duration_seconds_bucket{deployment="a/ft",route="bot",le="2.56"} 110
gen_ai_client_operation_duration_seconds_bucket{deployment="a/ft",route="bot",le="+Inf"} 110
gen_ai_client_operation_duration_seconds_bucket{deployment="b/ft",route="bot",le="1.28"} 0
gen_ai_client_operation_duration_seconds_bucket{deployment="b/ft",route="bot",le="2.56"} 10
gen_ai_client_operation_duration_seconds_bucket{deployment="b/ft",route="bot",le="+Inf"} 10
gen_ai_client_operation_time_to_first_chunk_seconds_bucket{deployment="b/ft",route="bot",le="0.5"} 4
gen_ai_client_operation_time_to_first_chunk_seconds_bucket{deployment="b/ft",route="bot",le="+Inf"} 4
process_start_time_seconds 1795521600
"#;

fn counts(text: &str) -> Counts {
    Counts::read(text).expect("metrics")
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("some");
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn requests_are_told_by_route_and_attempts_by_deployment() {
    let traffic = counts(LATER).since(&counts(EARLIER), Duration::from_secs(10));
    let rates = |figures: &Figures| (figures.requests, figures.failed);
    assert_eq!(rates(&traffic.routes["bot"]), (2.0, 0.1), "who leaves is no failure");
    assert_eq!(rates(&traffic.routes["embed"]), (1.0, 0.0));
    assert_eq!(rates(&traffic.all), (3.0, 0.1));
    assert_eq!(rates(&traffic.deployments["a/ft"]), (1.5, 0.5), "a 429 counts here");
    assert_eq!(rates(&traffic.deployments["b/ft"]), (0.9, 0.0));
    near(Some(traffic.refusals), 2.0);
    near(Some(traffic.routes["bot"].in_flight), 7.0);
    // Begun, and nothing finished yet.
    near(Some(traffic.routes["idle"].in_flight), 1.0);
    near(Some(traffic.all.in_flight), 8.0);
}

#[test]
fn tokens_and_times_are_of_the_stretch_alone() {
    let traffic = counts(LATER).since(&counts(EARLIER), Duration::from_secs(10));
    let bot = &traffic.routes["bot"];
    assert_eq!((bot.prompt_tokens, bot.completion_tokens), (100.0, 8.0));
    near(bot.cached_share, 0.25);
    near(traffic.deployments["a/ft"].cached_share, 0.5);
    near(traffic.deployments["b/ft"].cached_share, 0.0);
    assert_eq!(traffic.routes["embed"].cached_share, None);
    // Half of the twenty were within 1.28 s, the others within 2.56 s.
    near(bot.whole.p50, 1.28);
    near(bot.whole.p95, 1.28 + 1.28 * 0.9);
    near(bot.whole.p99, 1.28 + 1.28 * 0.98);
    near(traffic.all.whole.p95, 1.28 + 1.28 * 0.9);
    near(traffic.deployments["a/ft"].whole.p50, 0.64);
    near(traffic.deployments["b/ft"].first_token.p50, 0.25);
    assert_eq!(traffic.deployments["a/ft"].first_token, Times::default());
}

#[test]
fn nothing_happened_between_a_scrape_and_itself() {
    let later = counts(LATER);
    let traffic = later.since(&later, Duration::from_secs(1));
    let quiet = Figures {
        in_flight: 8.0,
        ..Figures::default()
    };
    assert_eq!((traffic.all, traffic.refusals), (quiet, 0.0));
    near(Some(later.since(&counts(EARLIER), Duration::ZERO).all.requests), 0.0);
}

#[test]
fn another_process_does_not_continue_the_counts() {
    let later = counts(LATER);
    assert!(later.continues(&counts(EARLIER)));
    let successor = counts(&LATER.replace("1795521600", "1795521600.5"));
    assert!(!successor.continues(&later));
    // What a reload took away and brought back counts anew.
    let traffic = counts(EARLIER).since(&later, Duration::from_secs(1));
    near(Some(traffic.all.requests), 0.0);
}

#[test]
fn what_is_no_number_is_told() {
    let wrong = Counts::read("emberway_tokens_total{kind=\"prompt\"} many").expect_err("no number");
    assert!(wrong.to_string().contains("`many`"), "{wrong}");
}

#[test]
fn every_outcome_that_is_not_held_against_a_deployment_is_one() {
    let known: Vec<&str> = AttemptOutcome::VARIANTS.iter().map(Into::into).collect();
    for word in NOT_HELD_AGAINST {
        assert!(known.contains(word), "{word}");
    }
}
