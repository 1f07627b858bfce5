//! The configuration as the operator's page changes it: read, judged, written to its file, put to use by the reload, kept in versions.
//!
//! The file stays the truth: nothing is in use that is not in it. Everything that reads or compiles it runs on blocking threads; one
//! change at a time, and one what-if.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;

use crate::admin::api::answer::Refusal;
use crate::admin::api::config::shapes::{
    Applied, ApplyBody, ConfigText, Judgement, RestoreBody, Version, VersionText, WhatIf,
};
use crate::admin::api::config::{self, Configuration};
use crate::app::logins::Logins;
use crate::app::state::ProcessState;
use crate::app::{Source, reload};
use crate::config::checked::Checked;
use crate::config::checked::admin::Configure;
use crate::config::place::Replaced;
use crate::config::proposal::{self, Against, Judged};
use crate::config::secrets::Variables;
use crate::config::watch::{ConfigWatch, Hand};
use crate::config::{load, mask, place};
use crate::proxy::Gateway;
use crate::storage::StoreError;
use crate::storage::sqlite::SqliteStore;
use crate::storage::versions::{NewVersion, Version as StoredVersion, VersionStore};
use crate::telemetry::clock;
use crate::telemetry::events::configuration::{ConfigUnsynced, ConfigVersionLost};

mod change;
mod told;
mod what_if;

/// Who changed the file by other means than the page.
const BY_FILE: &str = "file";
/// Why there is nothing to change.
const NO_FILE: &str = "the gateway was started without a configuration file";

/// Texts that are judged at one time; others wait. A large one keeps a core busy for a second.
const JUDGED_AT_ONCE: usize = 2;

/// The configuration of a running gateway.
pub(super) struct Desk {
    gateway: Arc<Gateway>,
    store: Arc<dyn VersionStore>,
    configure: Configure,
    /// None where it was started without a file.
    file: Option<WatchedFile>,
    /// Held while the file is changed from here, or looked at for changes by others.
    changing: Mutex<()>,
    playing: Arc<Semaphore>,
    judging: Arc<Semaphore>,
}

/// The file, how its references are resolved, and who reloads it.
#[derive(Clone)]
struct WatchedFile {
    path: PathBuf,
    variables: Arc<Variables>,
    hand: Hand,
}

/// A text with its digest.
struct Held {
    text: String,
    sha256: [u8; 32],
}

impl Held {
    fn new(text: String) -> Self {
        Self {
            sha256: Sha256::digest(&text).into(),
            text,
        }
    }

    fn hex(&self) -> String {
        hex(&self.sha256)
    }
}

fn hex(digest: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Desk {
    fn file(&self) -> Result<&WatchedFile, Refusal> {
        self.file
            .as_ref()
            .ok_or_else(|| Refusal::conflict(NO_FILE, "config_not_writable"))
    }

    /// What the file holds.
    async fn held(&self) -> Result<Held, Refusal> {
        let path = self.file()?.path.clone();
        on_thread(move || load::read(&path))
            .await?
            .map(Held::new)
            .map_err(|problem| Refusal::unavailable(problem.to_string(), "config_unreadable"))
    }

    /// Judges a text against the file and the configuration in use.
    async fn judged(&self, text: String) -> Result<Judged, Refusal> {
        let held = self.held().await?;
        let file = self.file()?.clone();
        let in_use = Arc::clone(&self.gateway.live.load().config);
        // It is never closed.
        let permit = Arc::clone(&self.judging).acquire_owned().await.ok();
        on_thread(move || {
            let _permit = permit;
            let against = Against {
                path: &file.path,
                variables: &file.variables,
                current: &held.text,
                in_use: &in_use,
            };
            proposal::judge(&text, &against)
        })
        .await
    }

    /// Keeps a text as a version, unless it is the newest one already. Its number; none where the store cannot keep it.
    async fn keep(&self, held: &Held, who: &str, note: &str, summary: Option<String>) -> Option<i64> {
        let kept = async {
            let newest = self.store.versions().await?.into_iter().next();
            if let Some(newest) = newest.as_ref().filter(|newest| newest.sha256 == held.hex()) {
                return Ok(newest.id);
            }
            let summary = match (summary, newest) {
                (Some(summary), _) => summary,
                (None, None) => "the first that is known".to_owned(),
                (None, Some(newest)) => {
                    let before = self.store.version(newest.id).await?;
                    told::difference_in_a_line(&before.map_or_else(String::new, |(_, text)| text), &held.text)
                }
            };
            let version = NewVersion {
                at_ms: clock::now_ms(),
                who: who.to_owned(),
                note: note.to_owned(),
                summary,
                sha256: held.hex(),
                text: held.text.clone(),
            };
            self.store.add_version(&version).await
        };
        match kept.await {
            Ok(id) => Some(id),
            Err(error) => {
                ConfigVersionLost { error: &error }.emit();
                None
            }
        }
    }

    /// Keeps what the file holds, where that is in use and not known yet: somebody changed it by other means.
    async fn keep_what_is_in_use(&self) {
        let _changing = self.changing.lock().await;
        let (Some(file), Ok(held)) = (&self.file, self.held().await) else {
            return;
        };
        if is_in_use(file, &held) {
            self.keep(&held, BY_FILE, "", None).await;
        }
    }

    /// A version's text as it was stored.
    async fn stored(&self, id: i64) -> Result<(StoredVersion, String), Refusal> {
        let found = self.store.version(id).await.map_err(|error| store_failing(&error))?;
        found.ok_or_else(|| config::no_version(&id.to_string()))
    }
}

/// Whether a text is what the gateway runs on. A later one than was tried will be tried soon, and one that was refused is not in use.
fn is_in_use(file: &WatchedFile, held: &Held) -> bool {
    let status = file.hand.status();
    // Nothing was tried in the first moment after the start: the file is what the gateway has begun with.
    let is_tried = status.tried.is_none_or(|tried| tried == held.sha256);
    status.last_error.is_none() && is_tried
}

/// The configuration, as it is watched and changed.
pub(super) struct Configured {
    /// The watch on its file, if there is one.
    pub(super) watch: Option<ConfigWatch>,
    /// Who changes it.
    pub(super) desk: Arc<Desk>,
    /// Who keeps versions of what is changed by other means.
    pub(super) keeping: JoinHandle<()>,
}

/// Watches the file, if there is one, and lets it be changed.
pub(super) fn start(
    gateway: &Arc<Gateway>,
    store: &Arc<SqliteStore>,
    whose: (&Arc<ProcessState>, Option<&Arc<Logins>>),
    initial: Arc<Checked>,
    source: Option<&Source>,
) -> anyhow::Result<Configured> {
    let configure = initial.install.admin.configure;
    let watch = source
        .map(|source| reload::watch_config(gateway, store, whose, initial, source))
        .transpose()?;
    let file = source.zip(watch.as_ref());
    let desk = Arc::new(Desk {
        gateway: Arc::clone(gateway),
        store: Arc::clone(store) as Arc<dyn VersionStore>,
        configure,
        file: file.map(|(source, watch)| WatchedFile {
            path: source.path.clone(),
            variables: Arc::clone(&source.variables),
            hand: watch.hand(),
        }),
        changing: Mutex::new(()),
        playing: Arc::new(Semaphore::new(1)),
        judging: Arc::new(Semaphore::new(JUDGED_AT_ONCE)),
    });
    let keeping = tokio::spawn(keep_versions(Arc::clone(&desk)));
    Ok(Configured { watch, desk, keeping })
}

/// Keeps versions of what is changed by other means, as long as the file is watched.
async fn keep_versions(desk: Arc<Desk>) {
    let Some(mut hand) = desk.file.as_ref().map(|file| file.hand.clone()) else {
        return;
    };
    desk.keep_what_is_in_use().await;
    while hand.next_attempt().await {
        desk.keep_what_is_in_use().await;
    }
}

/// Runs what reads files or computes for long apart from the requests.
async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Refusal::failed(format!("the configuration could not be read: {error}"), "config_failed"))
}

fn store_failing(error: &StoreError) -> Refusal {
    Refusal::unavailable(error.to_string(), "store_failing")
}

#[async_trait]
impl Configuration for Desk {
    fn writable(&self) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Err(NO_FILE.to_owned());
        };
        place::why_read_only(&file.path, self.configure).map_or(Ok(()), Err)
    }

    async fn shown(&self) -> Result<ConfigText, Refusal> {
        let Some(file) = &self.file else {
            return Ok(told::no_file(NO_FILE));
        };
        let held = self.held().await?;
        let sha256 = held.hex();
        let masked = on_thread(move || mask::mask(&held.text)).await?;
        let status = file.hand.status();
        let reason = self.writable().err().or_else(|| told::secret_reason(&masked.fields));
        Ok(ConfigText {
            text: masked.text,
            path: Some(file.path.display().to_string()),
            sha256,
            generation: status.generation,
            writable: reason.is_none(),
            reason,
            last_error: status.last_error.clone(),
            schema_url: "/api/v1/config/schema",
        })
    }

    async fn check(&self, text: String) -> Result<Judgement, Refusal> {
        Ok(told::judgement(&self.judged(text).await?))
    }

    async fn what_if(&self, text: String, window_s: u64) -> Result<WhatIf, Refusal> {
        let Ok(permit) = Arc::clone(&self.playing).try_acquire_owned() else {
            return Err(what_if::busy());
        };
        let judged = self.judged(text).await?;
        let Some(proposed) = judged.checked else {
            let problems = told::problems(&judged.findings);
            return Err(told::with_problems("the text has mistakes", "config_invalid", problems));
        };
        let gateway = Arc::clone(&self.gateway);
        on_thread(move || {
            // Held to the end, also when whoever asked has left.
            let _permit = permit;
            what_if::answer(&gateway, &proposed, window_s, clock::now_ms())
        })
        .await?
    }

    async fn apply(&self, who: String, body: ApplyBody) -> Result<Applied, Refusal> {
        self.change(who, body).await
    }

    async fn versions(&self) -> Result<Vec<Version>, Refusal> {
        let versions = self.store.versions().await.map_err(|error| store_failing(&error))?;
        // Without a file none of them is current.
        let current = self.held().await.map(|held| held.hex()).unwrap_or_default();
        let newest = versions.iter().find(|version| version.sha256 == current);
        let newest = newest.map(|version| version.id);
        let shown = versions.into_iter();
        Ok(shown
            .map(|version| told::version(version.clone(), newest == Some(version.id)))
            .collect())
    }

    async fn version(&self, id: i64) -> Result<VersionText, Refusal> {
        let (version, text) = self.stored(id).await?;
        // A file that somebody wrote by hand may have held a secret.
        let text = on_thread(move || mask::mask(&text).text).await?;
        let current = self.held().await.map(|held| held.hex()).unwrap_or_default();
        let is_current = version.sha256 == current;
        Ok(VersionText {
            version: told::version(version, is_current),
            text,
        })
    }

    async fn restore(&self, who: String, id: i64, body: RestoreBody) -> Result<Applied, Refusal> {
        let (_, text) = self.stored(id).await?;
        let note = if body.note.is_empty() {
            format!("restored version {id}")
        } else {
            format!("restored version {id}: {}", body.note)
        };
        let body = ApplyBody {
            text,
            base_sha256: body.base_sha256,
            note,
        };
        self.change(who, body).await
    }
}

/// Writes a text in the place of another one, apart from the requests; not where the file does not hold that other one any more.
async fn write(path: &Path, text: String, instead_of: [u8; 32]) -> Result<std::io::Result<Replaced>, Refusal> {
    let path = path.to_owned();
    on_thread(move || {
        let is_still = || load::read(&path).is_ok_and(|now| Held::new(now).sha256 == instead_of);
        let replaced = place::replace(&path, &text, &is_still);
        if let Ok(Replaced::Unsynced(error)) = &replaced {
            ConfigUnsynced { path: &path, error }.emit();
        }
        replaced
    })
    .await
}

#[cfg(test)]
mod tests;
