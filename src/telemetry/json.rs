//! Log lines as JSON: one flat object a line, written straight into the buffer.
//!
//! The library's own JSON format builds a map for every line, which for the request line costs more than routing does.
//! This one writes each field as it is visited. Spans are not shown: the gateway makes none, an event carries
//! the request's id instead.

use std::fmt;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::telemetry::clock;

/// The format.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let time = Timestamp::from_millisecond(clock::now_ms()).unwrap_or_default();
        write!(
            writer,
            "{{\"time\":\"{time:.3}\",\"level\":\"{}\",\"target\":",
            metadata.level()
        )?;
        write_text(&mut writer, metadata.target())?;
        let mut fields = Fields { writer, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        fields.writer.write_str("}\n")
    }
}

/// Writes fields as they come; the first failure stops it.
struct Fields<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

impl Fields<'_> {
    fn field(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        // What `log` records carry besides their message; target and level are in the metadata already.
        if self.result.is_err() || field.name().starts_with("log.") {
            return;
        }
        self.result = write_name(&mut self.writer, field.name()).and_then(|()| value(&mut self.writer));
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, |writer| write_text(writer, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |writer| writer.write_str(itoa::Buffer::new().format(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |writer| writer.write_str(itoa::Buffer::new().format(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, |writer| writer.write_str(if value { "true" } else { "false" }));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, |writer| write_thousandths(writer, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, |writer| write_text(writer, &format!("{value:?}")));
    }
}

/// Writes a member's name. Names of fields are identifiers, which need no escape. In parts, since to format them costs ten times as much.
fn write_name(writer: &mut Writer<'_>, name: &str) -> fmt::Result {
    writer.write_str(",\"")?;
    writer.write_str(name)?;
    writer.write_str("\":")
}

/// Writes a number to a thousandth: times in milliseconds are the only such values, and microseconds are enough.
fn write_thousandths(writer: &mut Writer<'_>, value: f64) -> fmt::Result {
    let thousandths = (value * 1000.0).round();
    // Whole numbers up to here are exact.
    if !(0.0..1e15).contains(&thousandths) {
        return if value.is_finite() {
            write!(writer, "{value:.3}")
        } else {
            writer.write_str("null")
        };
    }
    let thousandths = thousandths as u64;
    let [a, b, c] = [100, 10, 1].map(|place| char::from(b'0' + (thousandths / place % 10) as u8));
    writer.write_str(itoa::Buffer::new().format(thousandths / 1000))?;
    for character in ['.', a, b, c] {
        writer.write_char(character)?;
    }
    Ok(())
}

/// Writes a JSON string. Nearly every text is an id that needs no escape.
fn write_text(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        writer.write_char('"')?;
        writer.write_str(text)?;
        writer.write_char('"')
    } else {
        let escaped = serde_json::to_string(text).map_err(|_| fmt::Error)?;
        writer.write_str(&escaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thousandths(value: f64) -> String {
        let mut text = String::new();
        write_thousandths(&mut Writer::new(&mut text), value).expect("a string takes everything");
        text
    }

    #[test]
    fn numbers_are_written_to_a_thousandth() {
        for (value, text) in [
            (0.0, "0.000"),
            (0.0004, "0.000"),
            (0.0006, "0.001"),
            (1.25, "1.250"),
            (12.999_6, "13.000"),
            (65_536.042, "65536.042"),
            (-1.5, "-1.500"),
            (3e15, "3000000000000000.000"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(thousandths(value), text);
        }
    }

    #[test]
    fn a_name_is_a_member() {
        let mut text = String::new();
        write_name(&mut Writer::new(&mut text), "total_ms").expect("a string takes everything");
        assert_eq!(text, ",\"total_ms\":");
    }
}
