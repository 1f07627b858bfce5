//! Frames in terminals of many sizes.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::widgets::Paragraph;
use serde_json::json;

use super::*;
use crate::cli::status::examples;
use crate::cli::top::traffic::Counts;

const EARLIER: &str = r#"emberway_requests_total{outcome="success",route="bot"} 0
"#;
const LATER: &str = r#"emberway_requests_total{outcome="success",route="bot"} 400
emberway_requests_total{outcome="broken",route="bot"} 2
emberway_requests_total{outcome="success",route="embed"} 1200
emberway_requests_in_flight{route="bot"} 6
emberway_gateway_refusals_total{reason="gateway_busy"} 5
emberway_attempts_total{deployment="a/ft",outcome="success",route="bot"} 300
emberway_attempts_total{deployment="b/ft",outcome="success",route="bot"} 100
emberway_attempts_total{deployment="b/ft",outcome="throttled",route="bot"} 40
emberway_tokens_total{deployment="a/ft",kind="prompt",route="bot"} 1200000
emberway_tokens_total{deployment="a/ft",kind="cached",route="bot"} 900000
emberway_tokens_total{deployment="a/ft",kind="completion",route="bot"} 30000
gen_ai_client_operation_duration_seconds_bucket{deployment="a/ft",route="bot",le="2.56"} 200
gen_ai_client_operation_duration_seconds_bucket{deployment="a/ft",route="bot",le="5.12"} 300
gen_ai_client_operation_duration_seconds_bucket{deployment="a/ft",route="bot",le="+Inf"} 300
gen_ai_client_operation_time_to_first_chunk_seconds_bucket{deployment="a/ft",route="bot",le="0.32"} 270
gen_ai_client_operation_time_to_first_chunk_seconds_bucket{deployment="a/ft",route="bot",le="0.64"} 300
gen_ai_client_operation_time_to_first_chunk_seconds_bucket{deployment="a/ft",route="bot",le="+Inf"} 300
"#;

fn picture(told: Told) -> Picture {
    let [earlier, later] = [EARLIER, LATER].map(|text| Counts::read(text).expect("metrics"));
    Picture {
        url: "http://127.0.0.1:9090/".to_owned(),
        told: Some(told),
        traffic: Some(later.since(&earlier, Duration::from_secs(10))),
        lost: None,
    }
}

/// What a terminal of this size shows.
fn shown(picture: &Picture, view: &View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let draw = |shown: &mut ratatui::Frame<'_>| {
        let drawn = frame(picture, view, usize::from(width), Some(usize::from(height)));
        assert_eq!(drawn.lines.len(), usize::from(height));
        for line in &drawn.lines {
            assert!(line.width() <= usize::from(width), "{width}x{height}: {line}");
        }
        shown.render_widget(Paragraph::new(drawn.lines), shown.area());
    };
    terminal.draw(draw).expect("drawn");
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned()).collect()
}

fn has(shown: &[String], text: &str) {
    assert!(shown.iter().any(|line| line.contains(text)), "{text}: {shown:#?}");
}

#[test]
fn a_wide_terminal_has_everything() {
    let shown = shown(&picture(examples::told(|_| {})), &View::default(), 160, 14);
    let expected = [
        "emberway 0.1.0  ready  up 2 d  config 4  6 running  http://127.0.0.1:9090/",
        "pools  ft 2/2  embed 2/2",
        "traffic of the last 10 s  the gateway itself refuses 0.50 a second",
        "",
        "route↑  req/s  err/s  in flight  ttft p50  ttft p95     p99  total p50  total p95    p99  prompt tok/s  answer tok/s  cached",
        "all       160    0.2          6    178 ms    480 ms  608 ms      1.9 s      4.7 s  5.0 s          120k            3k    75 %",
        "bot      40.2    0.2          6    178 ms    480 ms  608 ms      1.9 s      4.7 s  5.0 s          120k            3k    75 %",
        "embed     120      0          0         -         -       -          -          -      -             0             0       -",
        "",
        "deployment↑  state   att/s  err/s  in flight  ttft p50  ttft p95     p99  total p50  total p95    p99  prompt tok/s  answer tok/s  cached          room",
        "a/ft         usable     30      0          3    178 ms    480 ms  608 ms      1.9 s      4.7 s  5.0 s          120k            3k    75 %  75 % of 150k",
        "b/ft         usable     14      4          3         -         -       -          -          -      -             0             0       -  75 % of 150k",
        "",
        "q ends  Tab other table  sort [n]ame [r]equests [e]rrors [f]light [t]tft [d]uration to[k]ens [c]ached  again: reversed  ↑↓ scroll",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_narrow_terminal_has_what_matters() {
    let shown = shown(&picture(examples::told(|_| {})), &View::default(), 60, 20);
    let expected = [
        "emberway 0.1.0  ready  up 2 d  config 4  6 running  http://…",
        "pools  ft 2/2  embed 2/2",
        "traffic of the last 10 s  the gateway itself refuses 0.50 a…",
        "",
        "route↑  req/s  err/s  in flight  ttft p95  total p95  cached",
        "all       160    0.2          6    480 ms      4.7 s    75 %",
        "bot      40.2    0.2          6    480 ms      4.7 s    75 %",
        "embed     120      0          0         -          -       -",
        "",
        "deployment↑  state   att/s  err/s  ttft p95  cached",
        "a/ft         usable     30      0    480 ms    75 %",
        "b/ft         usable     14      4         -       -",
    ];
    assert_eq!(shown[..expected.len()], expected);
    assert!(shown[19].starts_with("q ends"), "{shown:#?}");
}

#[test]
fn every_size_is_filled_and_nothing_leaves_it() {
    let told = examples::told(|status| {
        let one = status["deployments"][0].clone();
        let many = (0..70).map(|number| {
            let mut deployment = one.clone();
            deployment["name"] = json!(format!("contoso-swedencentral-{number}/support-bot"));
            deployment
        });
        status["deployments"] = many.collect();
        status["config"]["last_error"] = json!("emberway.yaml:3:1: wrong");
    });
    let mut picture = picture(told);
    for lost in [None, Some((Duration::from_secs(12), "no answer".to_owned()))] {
        picture.lost = lost;
        for width in [1, 20, 60, 80, 120, 200] {
            for height in [1, 2, 5, 20, 24, 40, 60] {
                for focus in [Focus::Routes, Focus::Deployments] {
                    let view = View {
                        focus,
                        scrolled: 65,
                        ..View::default()
                    };
                    let shown = shown(&picture, &view, width, height);
                    assert!(shown[usize::from(height) - 1].starts_with(if width > 6 { "q ends" } else { "" }));
                }
            }
        }
    }
}

#[test]
fn more_rows_than_fit_are_scrolled() {
    let told = examples::told(|status| {
        let one = status["deployments"][0].clone();
        let many = (10..50).map(|number| {
            let mut deployment = one.clone();
            deployment["name"] = json!(format!("r{number}/ft"));
            deployment
        });
        status["deployments"] = many.collect();
    });
    let picture = picture(told);
    let mut view = View::default();
    let first = shown(&picture, &view, 100, 24);
    has(&first, "deployment↑ 1-13/40");
    has(&first, "r10/ft");
    view.scrolled = usize::MAX;
    let drawn = frame(&picture, &view, 100, Some(24));
    assert_eq!(drawn.scrolled, 27, "it ends where the last row is the last line");
    let last = shown(&picture, &view, 100, 24);
    has(&last, "deployment↑ 28-40/40");
    assert!(
        last[21].starts_with("r48/ft") && last[22].starts_with("r49/ft"),
        "{last:#?}"
    );
    // The other table has the room now, and needs little of it.
    view.focus = Focus::Routes;
    has(&shown(&picture, &view, 100, 24), "deployment↑ 1-13/40");
}

#[test]
fn an_unreachable_gateway_is_shown_as_that() {
    let mut picture = picture(examples::told(|_| {}));
    picture.lost = Some((Duration::from_secs(72), "no answer: \u{1b}[2Jrefused".to_owned()));
    let shown_lost = shown(&picture, &View::default(), 100, 20);
    assert_eq!(
        shown_lost[1],
        "unreachable for 72 s, and asked on: no answer:  [2Jrefused"
    );
    has(&shown_lost, "a/ft ");
    let drawn = frame(&picture, &View::default(), 100, None);
    assert!(drawn.lines[2..].iter().all(|line| line.style == dim()), "{drawn:?}");

    let never = Picture {
        told: None,
        traffic: None,
        ..picture
    };
    let shown_never = shown(&never, &View::default(), 100, 20);
    assert_eq!(shown_never[0], "http://127.0.0.1:9090/");
    has(&shown_never, "unreachable for 72 s");
    let asked = Picture { lost: None, ..never };
    assert_eq!(
        shown(&asked, &View::default(), 100, 20)[0],
        "asking http://127.0.0.1:9090/"
    );
}

#[test]
fn what_needs_somebody_is_told_within_bounds() {
    let told = examples::told(|status| {
        status["needs"] = json!([
            examples::need("error", "pool ft", "nobody_usable", "its requests fail"),
            examples::need("error", "pool embed", "nobody_usable", "its requests fail"),
            examples::need("error", "a/ft", "paused", "mend it"),
            examples::need("error", "b/ft", "role_missing", "mend it"),
        ]);
        status["pools"][0]["usable"] = json!(0);
        status["pools"][1]["usable"] = json!(0);
    });
    let picture = picture(told);
    let low = shown(&picture, &View::default(), 120, 20);
    has(&low, "(and 3 more) pool ft: nobody usable: its requests fail");
    assert!(!low.iter().any(|line| line.contains("mend it")), "{low:#?}");
    let high = shown(&picture, &View::default(), 120, 40);
    has(&high, "(and 1 more) a/ft: paused: mend it");
    has(&high, "pools  ft 0/2  embed 0/2");
}

#[test]
fn before_the_second_look_there_is_no_traffic() {
    let picture = Picture {
        traffic: None,
        ..picture(examples::told(|_| {}))
    };
    let shown = shown(&picture, &View::default(), 100, 20);
    has(&shown, "traffic is known from the second look on");
    has(&shown, "a/ft         usable      0");
}
