//! What commands that write to Azure share: each write is entered in the audit of the gateway's store, with who ran the command.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::cli::output;
use crate::config;
use crate::config::secrets::process_variables;
use crate::fleet::audit::Audit;
use crate::storage::sqlite::SqliteStore;

/// Longest part of a user's name that is kept.
const USER_CHARS_MAX: usize = 64;

/// Where writes are entered.
#[derive(Debug, Clone, clap::Args)]
pub struct AuditFlags {
    /// The file with the audit, and with the journal of what was begun: the gateway's usage file [default: the one that the configuration
    /// names, or `emberway-usage.db`].
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
}

impl AuditFlags {
    /// The file, by flag or by the configuration.
    pub(super) fn path(&self, config: &Path) -> anyhow::Result<PathBuf> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        // Nobody named a configuration: then it need not be there.
        if config == Path::new(config::DEFAULT_FILE) && !config.exists() {
            return Ok(PathBuf::from(config::DEFAULT_USAGE_FILE));
        }
        Ok(config::load::usage_path(config, &process_variables)?)
    }

    /// Opens the store, and makes it where it is missing.
    pub(super) async fn open(&self, config: &Path) -> anyhow::Result<Arc<SqliteStore>> {
        let path = self.path(config)?;
        let store = SqliteStore::open(&path).await.with_context(
            || "every write to Azure is entered in an audit, which cannot be opened; name a file for it with `--store`",
        )?;
        Ok(Arc::new(store))
    }
}

/// An audit of what this command does, by whoever runs it.
pub(super) fn audit(store: &Arc<SqliteStore>, command: &str) -> Arc<Audit> {
    let store = Arc::clone(store);
    Arc::new(Audit::new(store, actor(command), |failing| {
        output::warn(&format!(
            "`{}` was sent, and its end cannot be entered in the audit: {}",
            failing.target, failing.error
        ));
    }))
}

/// A command with its user, as far as the system tells: the name is what the environment says, the number what the kernel does.
fn actor(command: &str) -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(process_variables);
    let uid = std::fs::metadata("/proc/self").map(|own| own.uid()).ok();
    let who = match (named.as_deref().map(plain).filter(|name| !name.is_empty()), uid) {
        (Some(name), Some(uid)) => format!("{name} (uid {uid})"),
        (Some(name), None) => name,
        (None, Some(uid)) => format!("uid {uid}"),
        (None, None) => "nobody known".to_owned(),
    };
    format!("emberway {command} by {who}")
}

/// A name without what could disturb a terminal.
fn plain(name: &str) -> String {
    let shown = name.chars().filter(|c| !c.is_control());
    shown.take(USER_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_a_command_and_a_user() {
        let actor = actor("fleet apply");
        assert!(actor.starts_with("emberway fleet apply by "), "{actor}");
        assert!(actor.contains("uid "), "the kernel knows who runs this: {actor}");
        assert_eq!(plain("ada\u{1b}[31m\n"), "ada[31m");
        assert_eq!(plain(&"x".repeat(100)).len(), USER_CHARS_MAX);
    }
}
