//! Columns of text, and amounts of money in them, for people: no lines, no colour, so that they read the same in a terminal, a file
//! and a log.

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

/// An amount with cents, or with as many decimals as three digits that count need: a short trace costs less than a cent.
pub fn usd(amount: f64) -> String {
    format!("{amount:.*}", decimals(amount))
}

/// The same with its sign.
pub fn signed_usd(amount: f64) -> String {
    format!("{amount:+.*}", decimals(amount))
}

fn decimals(amount: f64) -> usize {
    /// A millionth of a dollar is the price of a token.
    const DECIMALS_MAX: f64 = 8.0;
    if amount == 0.0 {
        return 2;
    }
    (2.0 - amount.abs().log10().floor()).clamp(2.0, DECIMALS_MAX) as usize
}

/// A count with its thousands apart.
pub fn thousands(count: i64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
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

    #[test]
    fn small_amounts_are_not_nothing() {
        let shown = [0.0, 0.000_036_1, 0.012_34, 2.56, 1_234.567].map(usd);
        assert_eq!(shown, ["0.00", "0.0000361", "0.0123", "2.56", "1234.57"]);
        assert_eq!([0.000_5, -2.56].map(signed_usd), ["+0.000500", "-2.56"]);
    }
}
