//! Tables for spreadsheets: CSV that opens as a table and does nothing else.
//!
//! A cell that begins as a formula would be computed by the spreadsheet of whoever opens the file, and names come from configurations
//! that many may write. Such a cell gets an apostrophe before it, which spreadsheets take as "text".

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::admin::api::answer::Refusal;
use crate::core::calendar::shown_date;
use crate::storage::report::Range;

/// What formulas begin with; a tab or a carriage return before one is skipped by some programs.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A text cell that no spreadsheet computes. Numbers are written by the caller and need none.
pub(super) fn text(cell: &str) -> String {
    if cell.starts_with(FORMULA_STARTS) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

/// A file of this table, to be saved as `emberway-NAME-FIRST-LAST.csv`.
///
/// # Errors
/// Never in practice: rows are as long as their header, and memory takes all that is written.
pub(super) fn download(name: &str, range: Range, header: &[&str], rows: &[Vec<String>]) -> Result<Response, Refusal> {
    let failed = |error: &dyn std::fmt::Display| Refusal::failed(format!("cannot write CSV: {error}"), "csv_failed");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).map_err(|error| failed(&error))?;
    for row in rows {
        writer.write_record(row).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    let (first, last) = (
        shown_date(range.since_ms),
        shown_date((range.until_ms - 1).max(range.since_ms)),
    );
    let file = format!("attachment; filename=\"emberway-{name}-{first}-{last}.csv\"");
    let file = HeaderValue::from_str(&file).map_err(|error| failed(&error))?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/csv; charset=utf-8"),
        ),
        (header::CONTENT_DISPOSITION, file),
    ];
    Ok((headers, bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::calendar::DAY_MS;

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, expected) in [
            ("support", "support"),
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("+1", "'+1"),
            ("-", "'-"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(text(cell), expected);
        }
    }

    #[tokio::test]
    async fn a_table_is_a_file_with_its_days_in_its_name() {
        let range = Range {
            since_ms: 1_795_521_600_000,
            until_ms: 1_795_521_600_000 + DAY_MS,
        };
        let rows = [vec![text("a,\"b\""), "1".to_owned()]];
        let response = download("usage", range, &["key", "requests"], &rows).expect("a file");
        let header = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        assert_eq!(
            header(header::CONTENT_DISPOSITION).as_deref(),
            Some("attachment; filename=\"emberway-usage-2026-11-24-2026-11-25.csv\"")
        );
        assert_eq!(header(header::CONTENT_TYPE).as_deref(), Some("text/csv; charset=utf-8"));
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.expect("a body");
        assert_eq!(&*body, b"key,requests\n\"a,\"\"b\"\"\",1\n");
    }
}
