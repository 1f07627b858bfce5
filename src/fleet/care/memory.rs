//! What must outlive the process that looks after the fleet: documents by name in the usage store.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::ids::DeploymentId;
use crate::fleet::care::Care;
use crate::storage::StoreError;
use crate::storage::notes::NoteStore;
use crate::telemetry::events::care as events;

/// How far the rebuilding of lost deployments is.
pub(super) const REBUILDING: &str = "rebuilding";
/// What deployments were set to when they were seen last.
pub(super) const SETTINGS: &str = "settings";

/// Why it is not known what an earlier process had begun.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in it.
    #[error("the usage store's note `{name}` is not understood: {cause}; a newer version may have written it")]
    Unreadable {
        /// The note.
        name: &'static str,
        /// Why.
        cause: serde_json::Error,
    },
}

/// Reads what is remembered of each deployment; nothing where nothing was stored.
///
/// # Errors
/// When the store cannot be read, or holds what is not understood.
pub(super) async fn recall<T: DeserializeOwned>(
    notes: &dyn NoteStore,
    name: &'static str,
) -> Result<BTreeMap<DeploymentId, T>, MemoryError> {
    let Some(text) = notes.note(name).await? else {
        return Ok(BTreeMap::new());
    };
    let stored: BTreeMap<String, T> =
        serde_json::from_str(&text).map_err(|cause| MemoryError::Unreadable { name, cause })?;
    Ok(stored.into_iter().map(|(id, value)| (id.into(), value)).collect())
}

/// Stores what is to be remembered of each deployment.
///
/// # Errors
/// When the store cannot be written.
pub(super) async fn remember<T: Serialize>(
    notes: &dyn NoteStore,
    name: &'static str,
    values: BTreeMap<&str, T>,
    now_ms: i64,
) -> Result<(), StoreError> {
    // Words and numbers always serialise.
    let text = serde_json::to_string(&values).unwrap_or_default();
    notes.put_note(name, text, now_ms).await
}

impl Care {
    /// Keeps what the last look has shown of settings, for when a deployment is lost. Whoever acts stores it.
    pub(super) async fn note_settings(&mut self, now_ms: i64) {
        let mut has_changed = false;
        for declared in &self.declaration.declared.deployments {
            let Some(shown) = self.actual.find(&declared.key) else {
                continue;
            };
            if self.settings_seen.get(&declared.id) != Some(&shown.settings) {
                self.settings_seen.insert(declared.id.clone(), shown.settings.clone());
                has_changed = true;
            }
        }
        if has_changed && self.acts {
            let seen = self.settings_seen.iter().map(|(id, settings)| (&***id, settings));
            let stored = remember(&*self.partners.notes, SETTINGS, seen.collect(), now_ms).await;
            if let Err(error) = stored {
                events::MemoryFailing { error: &error }.emit();
            }
        }
    }
}
