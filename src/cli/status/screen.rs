//! The screen of `emberway status`, as lines: gateway, pools, deployments, what needs somebody. Pure.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::admin::needs::{Need, Urgency};
use crate::cli::span::span;
use crate::cli::status::told::{Told, minute};
use crate::cli::styled::{Gravity, bold, clean, fitted_line, wrapped};
use crate::cli::table::{Cell, Column, table};

/// Labels of the first lines stand in so many columns.
const LABEL_COLUMNS: usize = 9;
/// Of an error's text so many lines are shown: a refused file may have a mistake in every line.
const ADVICE_LINES_MAX: usize = 8;

/// The whole screen, in so many columns.
pub(super) fn screen(told: &Told, url: &str, width: usize) -> Vec<Line<'static>> {
    let mut lines = head(told, url, width);
    lines.push(Line::default());
    lines.extend(pools(told, width));
    lines.push(Line::default());
    lines.extend(deployments(told, width));
    lines.push(Line::default());
    lines.extend(needs_lines(&told.needs, told.at_ms, width));
    lines
}

fn head(told: &Told, url: &str, width: usize) -> Vec<Line<'static>> {
    let (word, gravity) = told.readiness();
    let gateway = vec![
        Span::styled(word, gravity.style()),
        Span::raw(format!(
            ", emberway {}, up {} (since {}), {} running, {}",
            clean(&told.version),
            told.uptime(),
            clean(&minute(&told.started_at)),
            told.requests_running,
            clean(url),
        )),
    ];
    let config = &told.config;
    let mut configuration = vec![Span::raw(format!(
        "generation {}, loaded {}",
        config.generation,
        clean(&minute(&config.loaded_at))
    ))];
    if config.last_error.is_some() {
        configuration.push(Span::styled(", a later file was refused", Gravity::Bad.style()));
    }
    let labelled = |label: &str, spans: Vec<Cell>| {
        let label = Span::styled(format!("{label:LABEL_COLUMNS$}"), bold());
        fitted_line(std::iter::once(label).chain(spans).collect(), width)
    };
    vec![
        labelled("gateway", gateway),
        labelled("config", configuration),
        labelled("fleet", vec![Span::raw(fleet(told))]),
    ]
}

/// The one line about looking after the fleet: who does it, and what comes next.
fn fleet(told: &Told) -> String {
    let Some(fleet) = &told.fleet else {
        return "not looked after: no control plane (`azure`) is configured".to_owned();
    };
    let read = fleet.read_at.as_deref().map(minute);
    let read = read.map_or("not read in whole yet".to_owned(), |at| format!("read {at}"));
    let acts = match (fleet.acts, fleet.writes) {
        (true, true) => "this gateway acts",
        (true, false) => "this gateway calls only (`azure.writes` is false)",
        (false, _) => "another gateway acts",
    };
    let cared = told.deployments.iter().filter_map(|deployment| {
        let next = deployment.care.as_ref()?.next.as_ref()?;
        Some((next.at.as_str(), &next.action, &deployment.name))
    });
    let next = cared.min().map_or("nothing to come".to_owned(), |(at, action, name)| {
        format!("next: {action} {name} {}", minute(at))
    });
    clean(&format!("{acts}, Azure {read}, {next}; more: emberway fleet status"))
}

fn pools(told: &Told, width: usize) -> Vec<Line<'static>> {
    let columns = [
        Column::words("pool", 0),
        Column::numbers("usable", 0),
        Column::words("headroom", 1),
    ];
    let rows = told.pools.iter().map(|pool| {
        let (usable, gravity) = pool.usable();
        let headroom = match pool.least_headroom() {
            Some((region, ratio)) => {
                let gravity = if ratio < 1.0 { Gravity::Watch } else { Gravity::Fine };
                // Beyond that it says only that there is next to no load.
                let shown = if ratio > 1_000.0 {
                    "idle".to_owned()
                } else {
                    // Adding nothing takes the sign from a zero.
                    format!("{:.2} without {}", ratio + 0.0, clean(region))
                };
                Span::styled(shown, gravity.style())
            }
            None => Span::raw("-"),
        };
        vec![
            Span::raw(clean(&pool.name)),
            Span::styled(usable, gravity.style()),
            headroom,
        ]
    });
    table(&columns, &rows.collect::<Vec<_>>(), width)
}

fn deployments(told: &Told, width: usize) -> Vec<Line<'static>> {
    let columns = [
        Column::words("deployment", 0),
        Column::words("region", 5),
        Column::words("state", 0),
        Column::numbers("room", 2),
        Column::numbers("in flight", 1),
        Column::numbers("last success", 3),
        Column::words("deletion", 4),
    ];
    let rows = told.deployments.iter().map(|deployment| {
        let (state, state_gravity) = deployment.state(told.at_ms);
        let (room, room_gravity) = deployment.room();
        vec![
            Span::raw(clean(&deployment.name)),
            Span::raw(clean(&deployment.region)),
            Span::styled(clean(&state), state_gravity.style()),
            Span::styled(room, room_gravity.style()),
            Span::raw(deployment.in_flight.to_string()),
            Span::raw(deployment.last_success(told.at_ms)),
            Span::raw(clean(&deployment.deletion())),
        ]
    });
    table(&columns, &rows.collect::<Vec<_>>(), width)
}

fn needs_lines(needs: &[Need], now_ms: i64, width: usize) -> Vec<Line<'static>> {
    if needs.is_empty() {
        return vec![Line::raw("nothing needs somebody")];
    }
    let mut lines = vec![Line::styled("needs somebody", bold())];
    for need in needs {
        lines.extend(need_lines(need, now_ms, width));
    }
    lines
}

/// What it is about and what it is, with how long that lasts or how soon it comes to pass, where that is known.
pub(in crate::cli) fn headline(need: &Need, now_ms: i64) -> String {
    let left = need.at_ms.map(|at| format!(" ({} left)", span(at - now_ms)));
    format!("{}: {}{}", need.subject, need.words(), left.unwrap_or_default())
}

/// How it looks.
pub(in crate::cli) fn gravity(need: &Need) -> Gravity {
    match need.urgency {
        Urgency::Info => Gravity::Fine,
        Urgency::Warning => Gravity::Watch,
        Urgency::Error => Gravity::Bad,
    }
}

/// One that needs somebody: what it is, and under it what to do.
fn need_lines(need: &Need, now_ms: i64, width: usize) -> Vec<Line<'static>> {
    let mut paragraphs = need.advice.lines();
    let first = paragraphs.next().unwrap_or_default();
    let first = clean(&format!("  {}: {first}", headline(need, now_ms)));
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (at, text) in wrapped(&first, 4, width).into_iter().enumerate() {
        let style = if at == 0 { gravity(need).style() } else { Style::new() };
        lines.push(Line::styled(text, style));
    }
    let rest = paragraphs.clone().count();
    for text in paragraphs.take(ADVICE_LINES_MAX) {
        lines.extend(
            wrapped(&format!("    {}", clean(text)), 4, width)
                .into_iter()
                .map(Line::raw),
        );
    }
    if rest > ADVICE_LINES_MAX {
        lines.push(Line::raw(format!(
            "    and {} lines more: emberway check",
            rest - ADVICE_LINES_MAX
        )));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::status::examples;

    fn shown(told: &Told, width: usize) -> Vec<String> {
        let lines = screen(told, "http://127.0.0.1:9090/", width);
        lines
            .iter()
            .map(|line| line.to_string().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn all_of_it_is_one_screen() {
        let told = examples::told(|_| {});
        let expected = [
            "gateway  ready, emberway 0.1.0, up 2 d (since 2026-11-22 12:00), 6 running, http://127.0.0.1:9090/",
            "config   generation 4, loaded 2026-11-24 09:30",
            "fleet    not looked after: no control plane (`azure`) is configured",
            "",
            "pool   usable  headroom",
            "ft        2/2  1.80 without south",
            "embed     2/2  -",
            "",
            "deployment  region  state           room  in flight  last success  deletion",
            "a/ft        north   usable  75 % of 150k          3       2 s ago  2026-12-09 11:59",
            "b/ft        south   usable  75 % of 150k          3       2 s ago  2026-12-09 11:59",
            "",
            "nothing needs somebody",
        ];
        assert_eq!(shown(&told, usize::MAX), expected);
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_do() {
        let told = examples::told(|status| {
            status["draining"] = json!(true);
            status["ready"] = json!(false);
            status["fleet"] = json!({"acts": true, "writes": true, "read_at": "2026-11-24T11:57:00Z"});
            status["config"]["last_error"] = json!("emberway.yaml:3:10: unknown field");
            status["pools"][0]["usable"] = json!(0);
            let mut rests = examples::need("warning", "b/ft", "resting", "Azure throttles it");
            rests["at_ms"] = json!(examples::NOW_MS + 12_500);
            let refused =
                "the file is not in use: emberway.yaml:3:10: unknown field\n  hint: \u{1b}[2Jdid you mean `path`?";
            status["needs"] = json!([
                examples::need("error", "pool ft", "nobody_usable", "its requests fail"),
                examples::need("error", "configuration", "reload_refused", refused),
                rests,
                examples::need("unheard of", "a/ft", "paused", "resume it"),
            ]);
            let one = &mut status["deployments"][0];
            one["absent"] = json!("paused");
            one["drained"] = json!(true);
            one["drained_until_ms"] = json!(examples::NOW_MS + 1_800_000);
            one["care"] = json!({"policy": "keep", "state": "there", "idle_s": 9.0, "deletion_at": "2026-12-01T00:00:00Z",
                "deletion_is_exact": false, "urgency": "none", "next": {"action": "call", "at": "2026-11-30T00:00:00Z", "usd": null},
                "end": null, "sentence": null});
            let other = &mut status["deployments"][1];
            other["breaker"] = json!("half_open");
            other["cooling_until_ms"] = json!(examples::NOW_MS + 12_500);
            other["limit_used"] = json!(1.2);
            other["last_success_at_ms"] = json!(null);
        });
        let shown = shown(&told, usize::MAX);
        let has = |text: &str| assert!(shown.iter().any(|line| line.contains(text)), "{text}: {shown:#?}");
        has("gateway  draining, emberway 0.1.0");
        has("loaded 2026-11-24 09:30, a later file was refused");
        has("fleet    this gateway acts, Azure read 2026-11-24 11:57, next: call a/ft 2026-11-30 00:00;");
        has("a/ft        north   paused, drained, 30 min left  ");
        has("  by 2026-12-01 00:00");
        has("b/ft        south   breaker half_open, cooling 12 s   0 % of 150k          3             -");
        has("  pool ft: nobody usable: its requests fail");
        has("  configuration: reload refused: the file is not in use: emberway.yaml:3:10: unknown field");
        has("      hint:  [2Jdid you mean `path`?");
        has("  b/ft: resting (12 s left): Azure throttles it");
        has("  a/ft: paused: resume it");
        assert!(!told.is_in_order());
    }

    #[test]
    fn a_long_refusal_is_cut() {
        let told = examples::told(|status| {
            let mistakes: Vec<_> = (0..40).map(|line| format!("emberway.yaml:{line}:1: wrong")).collect();
            status["needs"] = json!([examples::need(
                "error",
                "configuration",
                "reload_refused",
                &format!("not in use: {}", mistakes.join("\n"))
            )]);
        });
        assert_eq!(
            shown(&told, 200).last().expect("lines"),
            "    and 31 lines more: emberway check"
        );
    }

    #[test]
    fn every_line_keeps_to_a_narrow_terminal() {
        let long = "contoso-swedencentral-production/support-bot-2026-11";
        let told = examples::told(|status| {
            status["deployments"][0]["name"] = json!(long);
            let advice = "resume it, in the portal or by `emberway deployment`";
            status["needs"] = json!([examples::need("error", long, "paused", advice)]);
        });
        for width in [40, 60, 80, 120, 200] {
            for line in shown(&told, width) {
                assert!(
                    Span::raw(&*line).width() <= width.max(long.len() + 3),
                    "{width}: {line}"
                );
            }
        }
        let narrow = shown(&told, 60);
        let has = |text: &str| narrow.iter().any(|line| line.contains(text));
        assert!(has("contoso-swedencentra…/support-bot-2026-11  usable "), "{narrow:#?}");
        assert!(has("in flight") && !has("region") && !has("deletion"), "{narrow:#?}");
    }
}
