//! A table of styled lines that keeps to a width: long names give up to half of it, then columns that matter less are left out, and
//! names are cut further only where nothing else is left.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cli::styled::{bold, fitted, fitted_in_the_middle};

/// Columns stand so far apart.
const GAP: usize = 2;
/// The first column keeps so much of its names, even where the table becomes too wide.
const NAME_COLUMNS_MIN: usize = 8;

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    title: String,
    is_number: bool,
    rank: u8,
}

impl Column {
    /// Words, to the left. Of the columns that do not fit, those with the highest rank go first; rank 0 stays.
    pub(super) fn words(title: impl Into<String>, rank: u8) -> Self {
        Self {
            title: title.into(),
            is_number: false,
            rank,
        }
    }

    /// Numbers, to the right.
    pub(super) fn numbers(title: impl Into<String>, rank: u8) -> Self {
        Self {
            is_number: true,
            ..Self::words(title, rank)
        }
    }

    /// Adds to its title.
    pub(super) fn tell(&mut self, more: &str) {
        self.title.push_str(more);
    }
}

/// A cell: what stands there, and how it looks.
pub(super) type Cell = Span<'static>;

/// The header and a line a row, in at most `width` columns if the columns of rank 0 allow it.
pub(super) fn table(columns: &[Column], rows: &[Vec<Cell>], width: usize) -> Vec<Line<'static>> {
    let mut widths: Vec<usize> = (0..columns.len()).map(|at| wide(columns, rows, at)).collect();
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let names = widths.first().copied().unwrap_or(0);
    let least_of_names = NAME_COLUMNS_MIN.min(names);
    if let Some(first) = widths.first_mut() {
        *first = names.min((width / 2).max(least_of_names));
    }
    let total = |kept: &[usize], widths: &[usize]| {
        let cells: usize = kept.iter().map(|at| widths[*at]).sum();
        cells + GAP * kept.len().saturating_sub(1)
    };
    while total(&kept, &widths) > width {
        let Some(least) = kept.iter().copied().max_by_key(|at| columns[*at].rank) else {
            break;
        };
        if columns[least].rank == 0 {
            break;
        }
        kept.retain(|at| *at != least);
    }
    let others = total(&kept, &widths) - widths.first().copied().unwrap_or(0);
    if let Some(first) = widths.first_mut() {
        *first = width.saturating_sub(others).clamp(least_of_names, names);
    }
    let header: Vec<Cell> = columns
        .iter()
        .map(|column| Span::styled(column.title.clone(), bold()))
        .collect();
    let shown = |cells: &[Cell]| line(columns, &kept, &widths, cells);
    std::iter::once(shown(&header))
        .chain(rows.iter().map(|row| shown(row)))
        .collect()
}

fn wide(columns: &[Column], rows: &[Vec<Cell>], at: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(at)).map(Span::width);
    cells.max().unwrap_or(0).max(Span::raw(&*columns[at].title).width())
}

fn line(columns: &[Column], kept: &[usize], widths: &[usize], cells: &[Cell]) -> Line<'static> {
    let mut spans = Vec::with_capacity(kept.len() * 2);
    for (place, at) in kept.iter().copied().enumerate() {
        let Some(cell) = cells.get(at) else { continue };
        let text = if place == 0 {
            fitted_in_the_middle(&cell.content, widths[at])
        } else {
            fitted(&cell.content, widths[at])
        };
        let empty = widths[at] - Span::raw(&*text).width();
        let gap = if place == 0 { 0 } else { GAP };
        let (before, after) = if columns[at].is_number {
            (gap + empty, 0)
        } else {
            (gap, empty)
        };
        spans.push(Span::styled(" ".repeat(before), Style::new()));
        spans.push(Span::styled(text, cell.style));
        if after > 0 {
            spans.push(Span::raw(" ".repeat(after)));
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_left_out_by_their_rank_and_names_are_cut_last() {
        let columns = [
            Column::words("deployment", 0),
            Column::words("region", 2),
            Column::numbers("n", 0),
            Column::numbers("more", 3),
        ];
        let row = |cells: [&'static str; 4]| cells.map(Span::raw).to_vec();
        let rows = [
            row(["contoso-sweden/support", "north", "7", "1"]),
            row(["a/ft", "south", "123", "2"]),
        ];
        let at = |width| {
            let lines = table(&columns, &rows, width);
            lines
                .iter()
                .map(|line| line.to_string().trim_end().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            at(80),
            [
                "deployment              region    n  more",
                "contoso-sweden/support  north     7     1",
                "a/ft                    south   123     2",
            ]
        );
        assert_eq!(at(41)[1], "contoso-sweden/support  north     7     1");
        assert_eq!(at(40)[1], "contoso-sw…en/support  north     7     1");
        assert_eq!(at(34)[1], "contoso-sw…en/support  north     7");
        assert_eq!(at(20)[1], "contoso…support    7");
        assert_eq!(at(20)[2], "a/ft             123");
        assert_eq!(at(1)[1], "cont…ort    7", "names are not cut to nothing");
        assert_eq!(table(&columns, &[], 9).len(), 1);
    }
}
