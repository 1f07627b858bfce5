//! The frame of `emberway top`, as lines: how the gateway is, what needs somebody, traffic by route and by deployment. Pure.

use std::time::Duration;

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use strum::VariantArray as _;

use crate::admin::needs::Need;
use crate::cli::span::span;
use crate::cli::status::screen::{gravity, headline};
use crate::cli::status::told::Told;
use crate::cli::styled::{Gravity, bold, clean, dim, fitted_line};
use crate::cli::table::table;
use crate::cli::top::rows::{Rows, deployments, routes};
use crate::cli::top::traffic::Traffic;
use crate::cli::top::view::{Focus, Sort, View};

/// The table without the room has so many rows at most, where there are more than fit.
const ROWS_WITHOUT_FOCUS_MAX: usize = 5;
/// So many that need somebody are told at most; `emberway status` has all of them.
const NEEDS_MAX: usize = 3;
/// On lower screens, one.
const LOW_SCREEN_ROWS: usize = 24;

/// What is shown.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    /// Whom it is of.
    pub(super) url: String,
    /// What the gateway told last; none before it told anything.
    pub(super) told: Option<Told>,
    /// What happened since an earlier look; none at the first one.
    pub(super) traffic: Option<Traffic>,
    /// For how long no answer has come, and why; none while answers come.
    pub(super) lost: Option<(Duration, String)>,
}

/// A frame.
#[derive(Debug)]
pub(super) struct Drawn {
    /// Its lines, none wider than asked for.
    pub(super) lines: Vec<Line<'static>>,
    /// Rows of the table with the room that are above what is shown.
    pub(super) scrolled: usize,
}

/// The frame, in so many columns and, if there are bounds, so many lines: then with the keys at its foot.
pub(super) fn frame(picture: &Picture, view: &View, width: usize, height: Option<usize>) -> Drawn {
    let mut lines = head(picture, height.is_some_and(|height| height < LOW_SCREEN_ROWS));
    let mut scrolled = 0;
    if let Some(told) = &picture.told {
        let both = [
            (Focus::Routes, routes(picture.traffic.as_ref(), view)),
            (Focus::Deployments, deployments(told, picture.traffic.as_ref(), view)),
        ];
        // For each table an empty line and a header; then the keys.
        let taken = lines.len() + 2 * both.len() + 1;
        let places = height.map(|height| {
            places(
                height.saturating_sub(taken),
                view.focus,
                both.each_ref().map(|(_, rows)| rows.len()),
            )
        });
        for (at, (focus, rows)) in both.into_iter().enumerate() {
            let most = places.map_or(usize::MAX, |places| places[at]);
            let asked = if focus == view.focus { view.scrolled } else { 0 };
            let from = asked.min(rows.len().saturating_sub(most));
            if focus == view.focus {
                scrolled = from;
            }
            lines.push(Line::default());
            lines.extend(part(rows, from, most, width));
        }
    }
    if picture.lost.is_some() {
        let is_of_before = |line: Line<'static>| line.patch_style(dim());
        // The first lines tell that it is lost, and the others what was known before.
        let told = lines.split_off(2.min(lines.len()));
        lines.extend(told.into_iter().map(is_of_before));
    }
    if let Some(height) = height {
        lines.truncate(height.saturating_sub(1));
        lines.resize(height.saturating_sub(1), Line::default());
        lines.push(keys(view));
    }
    Drawn {
        lines: lines.into_iter().map(|line| fitted_line(line, width)).collect(),
        scrolled,
    }
}

/// How many rows each table gets, of this many.
fn places(rows: usize, focus: Focus, wanted: [usize; 2]) -> [usize; 2] {
    let (with, without) = match focus {
        Focus::Routes => (0, 1),
        Focus::Deployments => (1, 0),
    };
    let mut places = [0; 2];
    // What the other does not need goes to either.
    let bound = ROWS_WITHOUT_FOCUS_MAX
        .min(rows / 2)
        .max(rows.saturating_sub(wanted[with]));
    places[without] = wanted[without].min(bound);
    places[with] = rows - places[without];
    places
}

/// A table's rows from one on, with which of them these are where they are not all.
fn part(rows: Rows, from: usize, most: usize, width: usize) -> Vec<Line<'static>> {
    let count = rows.len();
    let until = from.saturating_add(most).min(count);
    let Rows { mut columns, cells } = rows;
    if until - from < count {
        columns[0].tell(&format!(" {}-{until}/{count}", from + 1));
    }
    // Widths are of all rows, so that scrolling does not move columns.
    let mut lines = table(&columns, &cells, width);
    let shown: Vec<_> = lines.drain(1..).skip(from).take(most).collect();
    lines.extend(shown);
    lines
}

fn head(picture: &Picture, is_low: bool) -> Vec<Line<'static>> {
    let url = clean(&picture.url);
    let mut lines = Vec::new();
    match &picture.told {
        Some(told) => lines.push(gateway(told, &url)),
        None if picture.lost.is_none() => lines.push(Line::raw(format!("asking {url}"))),
        None => lines.push(Line::raw(url)),
    }
    if let Some((since, error)) = &picture.lost {
        let since = span(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        lines.push(Line::styled(
            clean(&format!("unreachable for {since}, and asked on: {error}")),
            Gravity::Bad.style(),
        ));
    }
    let Some(told) = &picture.told else { return lines };
    lines.push(pools(told));
    lines.push(match &picture.traffic {
        Some(traffic) => stretch(traffic),
        None => Line::styled("traffic is known from the second look on", dim()),
    });
    lines.extend(needs_lines(&told.needs, told.at_ms, if is_low { 1 } else { NEEDS_MAX }));
    lines
}

fn gateway(told: &Told, url: &str) -> Line<'static> {
    let (word, gravity) = told.readiness();
    Line::from(vec![
        Span::styled(format!("emberway {}", clean(&told.version)), bold()),
        Span::raw("  "),
        Span::styled(word, gravity.style()),
        Span::raw(format!(
            "  up {}  config {}  {} running  {url}",
            told.uptime(),
            told.config.generation,
            told.requests_running
        )),
    ])
}

fn pools(told: &Told) -> Line<'static> {
    let mut spans = vec![Span::raw("pools")];
    for pool in &told.pools {
        let (usable, gravity) = pool.usable();
        spans.push(Span::styled(
            format!("  {} {usable}", clean(&pool.name)),
            gravity.style(),
        ));
    }
    Line::from(spans)
}

fn stretch(traffic: &Traffic) -> Line<'static> {
    let mut spans = vec![Span::styled(
        format!("traffic of the last {:.0} s", traffic.over.as_secs_f64()),
        dim(),
    )];
    if traffic.refusals > 0.0 {
        let refused = format!("  the gateway itself refuses {:.2} a second", traffic.refusals);
        spans.push(Span::styled(refused, Gravity::Watch.style()));
    }
    Line::from(spans)
}

fn needs_lines(needs: &[Need], now_ms: i64, most: usize) -> Vec<Line<'static>> {
    let one = |need: &Need| {
        Line::from(vec![
            Span::styled(clean(&headline(need, now_ms)), gravity(need).style()),
            Span::raw(clean(&format!(": {}", need.advice))),
        ])
    };
    let mut lines: Vec<_> = needs.iter().take(most).map(one).collect();
    let more = needs.len().saturating_sub(most);
    if let Some(last) = lines.last_mut().filter(|_| more > 0) {
        last.spans
            .insert(0, Span::styled(format!("(and {more} more) "), Style::new()));
    }
    lines
}

fn keys(view: &View) -> Line<'static> {
    let mut spans = vec![Span::raw("q ends  Tab other table  sort")];
    for sort in Sort::VARIANTS {
        let style = if *sort == view.sort { bold() } else { dim() };
        spans.push(Span::raw(" "));
        spans.push(Span::styled(sort.hint(), style));
    }
    spans.push(Span::raw("  again: reversed  ↑↓ scroll"));
    Line::from(spans)
}

#[cfg(test)]
mod tests;
