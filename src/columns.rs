//! Columns of text for people: no lines, no colour, so that they read the same in a terminal, a file and a log.

use comfy_table::{CellAlignment, Table, presets};

/// Rows under a header, columns two spaces apart: the first `left` columns to the left, the others, which are numbers, to the
/// right. `header` is empty for none. No line ends in spaces.
pub fn columns(header: &[&str], left: usize, rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows);
    if !header.is_empty() {
        table.set_header(header);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= left {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_to_the_left_numbers_to_the_right() {
        let row = |name: &str, number: &str| vec![name.to_owned(), number.to_owned()];
        let shown = columns(&["name", "n"], 1, vec![row("a", "7"), row("longer", "1234")]);
        assert_eq!(shown, "name       n\na          7\nlonger  1234");
        assert_eq!(
            columns(&[], 2, vec![row("a", "7"), row("longer", "")]),
            "a       7\nlonger"
        );
    }
}
