//! Log lines as they come out, in both formats.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

/// What was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Written {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

fn logged(filter: &str, format: LogFormat, act: impl FnOnce()) -> String {
    let written = Written::default();
    let subscriber = subscriber(filter, format, false, written.clone()).expect("the filter parses");
    tracing::subscriber::with_default(subscriber, act);
    String::from_utf8(written.0.lock().clone()).expect("text")
}

#[test]
fn json_lines_are_flat_objects_with_escapes() {
    let text = logged("info", LogFormat::Json, || {
        tracing::info!(
            target: "emberway::request",
            name = "quote \" backslash \\ break \n",
            tokens = 7_u64,
            below = -1,
            yes = true,
            ms = 1.234_567,
            never = f64::NAN,
            absent = None::<u64>,
            path = %"a\tb",
            "done"
        );
        tracing::debug!("filtered out");
    });
    assert_eq!(text.lines().count(), 1);
    let mut line: Value = serde_json::from_str(&text).expect("JSON");
    let time = line["time"].take();
    assert!(
        time.as_str()
            .is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()),
        "{time}"
    );
    assert_eq!(
        line,
        json!({
            "time": null, "level": "INFO", "target": "emberway::request", "message": "done",
            "name": "quote \" backslash \\ break \n", "tokens": 7, "below": -1, "yes": true, "ms": 1.235,
            "never": null, "path": "a\tb",
        })
    );
}

#[test]
fn pretty_lines_are_plain_text_off_a_terminal() {
    let text = logged("emberway=debug", LogFormat::Pretty, || {
        tracing::debug!(target: "emberway::attempt", number = 2, "attempt");
        tracing::info!(target: "pingora", "elsewhere");
    });
    assert!(text.contains("DEBUG emberway::attempt: attempt number=2"), "{text}");
    assert!(!text.contains("elsewhere") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_malformed_filter_is_refused_with_a_hint() {
    let error = check_filter("emberway=loud").expect_err("refused").to_string();
    assert_eq!(
        error,
        "log filter `emberway=loud` is malformed; write it like `info` or `info,emberway=debug`"
    );
    check_filter("warn,emberway::request=off").expect("fine");
}
