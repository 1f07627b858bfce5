//! WHAT is configured? One YAML file: parsed, checked, compiled into [`checked::Checked`], reloaded.
//!
//! The way of a file: `document` reads YAML and remembers places; `structure` checks its shape against the
//! [`schema`] that is generated from `raw`; `compile` resolves names, references and secrets. Every stage
//! reports all it finds, and a file with a mistake in its shape still has its meaning checked, so one run of
//! `emberway check` shows everything.

pub mod billed;
pub mod checked;
mod compile;
pub mod diff;
mod document;
pub mod errors;
mod fields;
pub mod import;
pub mod load;
pub mod mask;
pub mod place;
pub mod proposal;
mod raw;
pub mod reference;
pub mod references;
mod scalars;
pub mod schema;
pub mod secrets;
pub mod small_file;
mod structure;
mod suggest;
pub mod watch;

/// The file that commands read when none is named.
pub const DEFAULT_FILE: &str = "emberway.yaml";

/// The usage store of a configuration that names none.
pub const DEFAULT_USAGE_FILE: &str = "emberway-usage.db";

#[cfg(test)]
mod tests;
