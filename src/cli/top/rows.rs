//! The rows of the two tables of `emberway top`, sorted: routes with all of them together first, and deployments. Pure.

use std::cmp::Ordering;

use ratatui::style::Style;
use ratatui::text::Span;

use crate::cli::status::told::{Told, ToldDeployment, amount};
use crate::cli::styled::{Gravity, bold, clean};
use crate::cli::table::{Cell, Column};
use crate::cli::top::traffic::{Figures, Traffic};
use crate::cli::top::view::{Sort, View};

/// From this share of failures on they are grave.
const FAILED_SHARE_BAD: f64 = 0.05;

/// A table's rows.
#[derive(Debug)]
pub(super) struct Rows {
    /// Its columns.
    pub(super) columns: Vec<Column>,
    /// The cells of each row.
    pub(super) cells: Vec<Vec<Cell>>,
}

/// A row before it is one.
struct Entry {
    name: String,
    state: Option<(String, Gravity)>,
    room: Option<(String, Gravity)>,
    figures: Figures,
}

impl Rows {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }
}

/// Routes, by what clients saw. The first row is all of them.
pub(super) fn routes(traffic: Option<&Traffic>, view: &View) -> Rows {
    let entry = |name: String, figures: Figures| Entry {
        name,
        state: None,
        room: None,
        figures,
    };
    let by_route = traffic.iter().flat_map(|traffic| &traffic.routes);
    let mut entries: Vec<_> = by_route.map(|(route, figures)| entry(clean(route), *figures)).collect();
    sort(&mut entries, view);
    let mut cells: Vec<_> = entries.iter().map(|entry| row(entry, Style::new())).collect();
    if let Some(traffic) = traffic {
        cells.insert(0, row(&entry("all".to_owned(), traffic.all), bold()));
    }
    let columns = columns("route", view, false);
    Rows { columns, cells }
}

/// Deployments, by the attempts made at them.
pub(super) fn deployments(told: &Told, traffic: Option<&Traffic>, view: &View) -> Rows {
    let entry = |deployment: &ToldDeployment| {
        let known = traffic.and_then(|traffic| traffic.deployments.get(&deployment.name));
        let (state, gravity) = deployment.state(told.at_ms);
        Entry {
            name: clean(&deployment.name),
            state: Some((clean(&state), gravity)),
            room: Some(deployment.room()),
            figures: Figures {
                in_flight: deployment.in_flight as f64,
                ..known.copied().unwrap_or_default()
            },
        }
    };
    let mut entries: Vec<_> = told.deployments.iter().map(entry).collect();
    sort(&mut entries, view);
    Rows {
        columns: columns("deployment", view, true),
        cells: entries.iter().map(|entry| row(entry, Style::new())).collect(),
    }
}

/// Of equals by name; what has no such figure comes last either way.
fn sort(entries: &mut [Entry], view: &View) {
    let figure = |entry: &Entry| {
        let figures = &entry.figures;
        match view.sort {
            Sort::Name => None,
            Sort::Requests => Some(figures.requests),
            Sort::Errors => Some(figures.failed),
            Sort::Flight => Some(figures.in_flight),
            Sort::Ttft => figures.first_token.p95,
            Sort::Duration => figures.whole.p95,
            Sort::Tokens => Some(figures.prompt_tokens + figures.completion_tokens),
            // The least is what one looks for.
            Sort::Cached => figures.cached_share.map(|share| -share),
        }
    };
    let way = |order: Ordering| if view.is_reversed { order.reverse() } else { order };
    entries.sort_by(|one, other| {
        let by_name = one.name.cmp(&other.name);
        match (figure(one), figure(other)) {
            (Some(one), Some(other)) => way(other.total_cmp(&one)).then(by_name),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) if view.sort == Sort::Name => way(by_name),
            (None, None) => by_name,
        }
    });
}

/// The columns: that which is sorted by is marked, and stays however narrow the terminal is.
fn columns(name: &str, view: &View, is_of_deployments: bool) -> Vec<Column> {
    let marked = |title: &str, sort: Option<Sort>, rank: u8| {
        if sort != Some(view.sort) {
            return (title.to_owned(), rank);
        }
        let is_rising = matches!(view.sort, Sort::Name | Sort::Cached) != view.is_reversed;
        (format!("{title}{}", if is_rising { '↑' } else { '↓' }), 0)
    };
    let words = |title, sort, rank| {
        let (title, rank) = marked(title, sort, rank);
        Column::words(title, rank)
    };
    let numbers = |title, sort, rank| {
        let (title, rank) = marked(title, sort, rank);
        Column::numbers(title, rank)
    };
    let mut columns = vec![words(name, Some(Sort::Name), 0)];
    if is_of_deployments {
        columns.push(words("state", None, 1));
    }
    let rate = if is_of_deployments { "att/s" } else { "req/s" };
    columns.extend([
        numbers(rate, Some(Sort::Requests), 0),
        numbers("err/s", Some(Sort::Errors), 0),
        numbers("in flight", Some(Sort::Flight), 4),
        numbers("ttft p50", None, 7),
        numbers("ttft p95", Some(Sort::Ttft), 2),
        numbers("p99", None, 9),
        numbers("total p50", None, 8),
        numbers("total p95", Some(Sort::Duration), 3),
        numbers("p99", None, 9),
        numbers("prompt tok/s", None, 6),
        numbers("answer tok/s", Some(Sort::Tokens), 6),
        numbers("cached", Some(Sort::Cached), 2),
    ]);
    if is_of_deployments {
        columns.push(numbers("room", None, 5));
    }
    columns
}

fn row(entry: &Entry, style: Style) -> Vec<Cell> {
    let figures = &entry.figures;
    let plain = |text: String| Span::styled(text, style);
    let judged = |(text, gravity): &(String, Gravity)| Span::styled(text.clone(), gravity.style());
    let errors = match figures.failed {
        failed if failed <= 0.0 => Gravity::Fine,
        failed if failed < figures.requests * FAILED_SHARE_BAD => Gravity::Watch,
        _ => Gravity::Bad,
    };
    let mut cells = vec![plain(entry.name.clone())];
    cells.extend(entry.state.as_ref().map(judged));
    cells.extend([
        plain(rate(figures.requests)),
        Span::styled(rate(figures.failed), style.patch(errors.style())),
        plain(format!("{:.0}", figures.in_flight)),
        plain(seconds(figures.first_token.p50)),
        plain(seconds(figures.first_token.p95)),
        plain(seconds(figures.first_token.p99)),
        plain(seconds(figures.whole.p50)),
        plain(seconds(figures.whole.p95)),
        plain(seconds(figures.whole.p99)),
        plain(rate(figures.prompt_tokens)),
        plain(rate(figures.completion_tokens)),
        plain(
            figures
                .cached_share
                .map_or("-".to_owned(), |share| format!("{:.0} %", share * 100.0)),
        ),
    ]);
    cells.extend(entry.room.as_ref().map(judged));
    cells
}

/// A number a second; what is little and not nothing is not shown as nothing.
fn rate(a_second: f64) -> String {
    match a_second {
        _ if a_second <= 0.0 => "0".to_owned(),
        _ if a_second < 0.01 => "<0.01".to_owned(),
        _ if a_second < 0.095 => format!("{a_second:.2}"),
        _ => amount(a_second),
    }
}

/// A time with two or three digits that count; `-` for none.
fn seconds(time: Option<f64>) -> String {
    match time {
        None => "-".to_owned(),
        Some(time) if time < 0.9995 => format!("{:.0} ms", time * 1_000.0),
        Some(time) if time < 99.95 => format!("{time:.1} s"),
        Some(time) => format!("{time:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::traffic::Times;

    #[test]
    fn numbers_are_short_and_not_nothing_where_they_are_little() {
        let rates = [0.0, 0.004, 0.03, 0.2, 4.0, 4.26, 99.96, 312.4, 12_540.0, 3_100_000.0].map(rate);
        assert_eq!(
            rates,
            ["0", "<0.01", "0.03", "0.2", "4", "4.3", "100", "312", "12.5k", "3.1M"]
        );
        let times = [None, Some(0.0123), Some(0.9996), Some(12.34), Some(163.84)].map(seconds);
        assert_eq!(times, ["-", "12 ms", "1.0 s", "12.3 s", "164 s"]);
    }

    /// The names of three entries as they are sorted.
    fn sorted(sort_by: Sort, is_reversed: bool) -> String {
        let entry = |name: &str, requests: f64, p95: Option<f64>, cached_share| Entry {
            name: name.to_owned(),
            state: None,
            room: None,
            figures: Figures {
                requests,
                failed: 10.0 - requests,
                first_token: Times {
                    p95,
                    ..Times::default()
                },
                cached_share,
                ..Figures::default()
            },
        };
        let mut entries = [
            entry("b", 3.0, Some(0.5), Some(0.9)),
            entry("c", 1.0, None, Some(0.2)),
            entry("a", 1.0, Some(2.0), None),
        ];
        let view = View {
            sort: sort_by,
            is_reversed,
            ..View::default()
        };
        sort(&mut entries, &view);
        entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn rows_are_sorted_by_what_is_looked_for() {
        for (sort, expected, reversed) in [
            (Sort::Name, "abc", "cba"),
            (Sort::Requests, "bac", "acb"),
            (Sort::Errors, "acb", "bac"),
            (Sort::Ttft, "abc", "bac"),
            (Sort::Cached, "cba", "bca"),
        ] {
            assert_eq!(sorted(sort, false), expected, "{sort:?}");
            assert_eq!(sorted(sort, true), reversed, "{sort:?} reversed");
        }
    }
}
