//! Sets up log output: what is logged, in which form, and that logging never holds up a request.
//!
//! Lines go to stderr through a [`batch`]. Records of the `log` crate, which pingora uses, arrive here too.

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::telemetry::batch::{self, BatchGuard};
use crate::telemetry::json::JsonLines;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text, coloured on a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Keeps log output going; dropping it writes out what waits.
#[derive(Debug)]
pub struct LogGuard(BatchGuard);

impl LogGuard {
    /// Lines lost so far because stderr was too slow.
    pub fn dropped_lines(&self) -> u64 {
        self.0.dropped_lines()
    }

    /// Writes out what waits, within [`LAST_MAX`](batch::LAST_MAX), for a process that ends; what is logged after that is lost. Needed
    /// where somebody may still hold a copy.
    pub fn end(&self) {
        // That it was not in time cannot be logged.
        let _is_over = self.0.end();
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error("log filter `{filter}` is malformed; write it like `info` or `info,emberway=debug`")]
    Filter {
        /// The filter.
        filter: String,
        /// What the parser says.
        source: ParseError,
    },
    /// The operating system gives no thread for writing.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] std::io::Error),
    /// Somebody set it up before.
    #[error("logging has been set up already")]
    Twice(#[from] TryInitError),
}

/// Sends this process's log to stderr, for good.
///
/// # Errors
/// When the filter is malformed or logging was set up before.
pub fn init(filter: &str, format: LogFormat) -> Result<LogGuard, LogError> {
    let (writer, guard) = batch::start(std::io::stderr()).map_err(LogError::Thread)?;
    subscriber(filter, format, std::io::stderr().is_terminal(), writer)?.try_init()?;
    Ok(LogGuard(guard))
}

/// Checks a filter without using it, for the configuration.
///
/// # Errors
/// When it does not parse.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse(filter).map(|_| ())
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(filter).map_err(|source| LogError::Filter {
        filter: filter.to_owned(),
        source,
    })
}

/// What turns events into lines.
fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    terminal: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Json => lines.event_format(JsonLines).boxed(),
        // Left alone on a terminal: the library's own choice honours NO_COLOR.
        LogFormat::Pretty if terminal => lines.boxed(),
        LogFormat::Pretty => lines.with_ansi(false).boxed(),
    };
    Ok(tracing_subscriber::registry().with(parse(filter)?).with(lines))
}

#[cfg(test)]
mod tests;
