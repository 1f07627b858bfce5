//! The tables of runs: what is the same in every row is said once, above them, so that a table fits a terminal.

use super::report::Row;
use crate::columns::columns;

/// What tells runs apart; those from `machines` on where a provider is hosted.
const PARAMETERS: [&str; 8] = [
    "trace",
    "policy",
    "deployments",
    "replicas",
    "limit",
    "machines",
    "each takes",
    "key",
];
/// The parameter that stays in the table, as the rows' name.
const NAME: usize = 1;
/// What a row says of a parameter that it does not have.
const NONE: &str = "-";
/// Figures that are left out where no row has them.
const OPTIONAL: [&str; 4] = ["failed", "a day", "in 30 days", "note"];

/// A table of runs.
pub(super) struct RunTable {
    parameters: &'static [&'static str],
    figures: Vec<&'static str>,
    lines: Vec<Line>,
}

struct Line {
    parameters: Vec<String>,
    figures: Vec<String>,
    /// Whether it is what really happened, which has few parameters.
    is_actual: bool,
}

impl RunTable {
    /// One without rows, for these runs and with these columns of figures.
    pub(super) fn new(rows: &[Row], figures: &[&'static str]) -> Self {
        let is_hosted = rows.iter().any(|row| row.machines.is_some());
        Self {
            parameters: if is_hosted { &PARAMETERS } else { &PARAMETERS[..5] },
            figures: figures.to_vec(),
            lines: Vec::new(),
        }
    }

    /// A run and its figures.
    pub(super) fn run(&mut self, row: &Row, figures: Vec<String>) {
        let number = |value: Option<u32>| value.map_or_else(|| NONE.to_owned(), |value| value.to_string());
        let mut parameters = vec![
            row.trace.clone(),
            row.policy.to_owned(),
            row.deployments.to_string(),
            row.replicas.to_string(),
            row.limit(),
            number(row.machines),
            row.requests_per_minute
                .map_or_else(|| NONE.to_owned(), |rate| format!("{rate} requests a minute")),
            row.cache_key.clone(),
        ];
        parameters.truncate(self.parameters.len());
        self.lines.push(Line {
            parameters,
            figures,
            is_actual: false,
        });
    }

    /// What really happened to a run's trace.
    pub(super) fn actual(&mut self, row: &Row, figures: Vec<String>) {
        let deployments = match row.actual_deployments {
            0 => NONE.to_owned(),
            count => count.to_string(),
        };
        let mut parameters = vec![row.trace.clone(), "as it was".to_owned(), deployments];
        parameters.resize(self.parameters.len(), NONE.to_owned());
        self.lines.push(Line {
            parameters,
            figures,
            is_actual: true,
        });
    }

    /// The line of what is the same in all rows, and the table; none without rows.
    pub(super) fn text(self) -> Option<String> {
        let same: Vec<_> = (0..self.parameters.len()).map(|at| self.same(at)).collect();
        let first = self.lines.first()?;
        let above = same.iter().enumerate().filter(|(_, is_same)| **is_same);
        let above = above.map(|(at, _)| {
            let told = self.lines.iter().find(|line| !line.is_actual).unwrap_or(first);
            format!("{} {}", self.parameters[at], told.parameters[at])
        });
        let above = above.collect::<Vec<_>>().join(", ");
        let stays = |at: usize| !same[at];
        let mut header: Vec<&str> = self.parameters.to_vec();
        retain(&mut header, stays);
        let left = header.len();
        let is_told: Vec<_> = (0..self.figures.len()).map(|at| self.is_told(at)).collect();
        let told = |at: usize| is_told[at];
        let mut figures = self.figures;
        retain(&mut figures, told);
        header.extend(&figures);
        let rows = self.lines.into_iter().map(|line| {
            let mut cells = line.parameters;
            retain(&mut cells, stays);
            let mut figures = line.figures;
            retain(&mut figures, told);
            cells.extend(figures);
            cells
        });
        let table = columns(&header, left, rows.collect());
        Some(format!("{above}\n{table}"))
    }

    /// Whether a column of figures is shown.
    fn is_told(&self, at: usize) -> bool {
        let is_some = |line: &Line| !["", NONE].contains(&line.figures[at].as_str());
        !OPTIONAL.contains(&self.figures[at]) || self.lines.iter().any(is_some)
    }

    /// Whether a parameter is the same in all rows that have it.
    fn same(&self, at: usize) -> bool {
        let mut told = self
            .lines
            .iter()
            .filter(|line| !line.is_actual || line.parameters[at] != NONE)
            .map(|line| &line.parameters[at]);
        let first = told.next();
        at != NAME && told.all(|other| Some(other) == first)
    }
}

/// Keeps the items at these places.
fn retain<T>(items: &mut Vec<T>, keep: impl Fn(usize) -> bool) {
    let mut at = 0;
    items.retain(|_| {
        at += 1;
        keep(at - 1)
    });
}
