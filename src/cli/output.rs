//! Printing: data goes to stdout, everything else to stderr; an error is one line with its causes, then a hint.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::config::errors::ConfigErrors;

/// Exit code for a configuration that does not compile (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;
/// Exit code for flags that do not fit together; the parser's own.
pub const EXIT_USAGE: u8 = 2;

/// Prints an error and its causes on stderr and returns the exit code: 78 for a configuration that does not compile, else 1.
#[expect(
    clippy::print_stderr,
    reason = "the one place where the command line reports failure"
)]
pub fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {}", chain(error));
    if error.is::<ConfigErrors>() {
        return ExitCode::from(EXIT_CONFIG);
    }
    ExitCode::FAILURE
}

/// Prints what is strange, but no reason to stop, on stderr.
#[expect(clippy::print_stderr, reason = "warnings must not be mixed with data")]
pub fn warn(text: &str) {
    eprintln!("warning: {text}");
}

/// Prints how something goes on, on stderr.
#[expect(clippy::print_stderr, reason = "progress must not be mixed with data")]
pub fn say(text: &str) {
    eprintln!("{text}");
}

/// An error with its causes in one line. Some libraries' errors hold their cause's text already; it is said once.
pub(super) fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text.push_str(&cause);
        } else if !last.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        last = cause;
    }
    text
}

/// Builds the multi-threaded runtime that commands run on, one worker a core.
///
/// # Errors
/// When the operating system refuses threads or file descriptors.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("emberway")
        .build()
        .context("cannot start the asynchronous runtime")
}

/// Whether the reader of our output went away (`emberway usage | head`), which is not a failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_said_once() {
        let error = anyhow::anyhow!("no such file")
            .context("cannot open: no such file")
            .context("cannot read the store");
        assert_eq!(chain(&error), "cannot read the store: cannot open: no such file");
        assert_eq!(chain(&anyhow::anyhow!("b").context("a")), "a: b");
    }
}
