//! Printing: data goes to stdout, everything else to stderr; an error is one line with its causes, then a hint.

use std::process::ExitCode;

use anyhow::Context as _;

/// Exit code for a configuration that does not compile (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// Prints an error and its causes on stderr and returns the exit code 1.
#[expect(
    clippy::print_stderr,
    reason = "the one place where the command line reports failure"
)]
pub fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
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
