//! One change of the configuration: checked, written, put to use by the reload, and taken back where the reload refuses it.

use std::time::Duration;

use super::{Desk, Held, WatchedFile, is_in_use, told, write};
use crate::admin::api::answer::Refusal;
use crate::admin::api::config::Configuration as _;
use crate::admin::api::config::shapes::{self, Applied, ApplyBody, Problem};
use crate::config::mask;
use crate::config::place::Replaced;
use crate::config::watch::ReloadStatus;
use crate::telemetry::events::configuration::{ConfigApplied, ConfigLeftBroken, ConfigPutBack};

/// How long a reload may take. It reads a file and builds tables; with logins of Azure it waits for tokens, some seconds.
const RELOAD_MAX: Duration = Duration::from_secs(30);

const CHANGED: &str = "the file was changed meanwhile; look at what it holds now, and change that";

impl Desk {
    /// Puts a text to use; see [`crate::admin::api::config::Configuration::apply`].
    pub(super) async fn change(&self, who: String, body: ApplyBody) -> Result<Applied, Refusal> {
        let file = self.file()?;
        let _changing = self.changing.lock().await;
        self.writable()
            .map_err(|reason| Refusal::conflict(reason, "config_not_writable"))?;
        let old = self.held().await?;
        may_replace(&old, &body)?;
        let judged = self.judged(body.text.clone()).await?;
        let mut problems = told::problems(&judged.findings);
        if !judged.is_ok() {
            return Err(told::with_problems("the text has mistakes", "config_invalid", problems));
        }
        if judged.needs_restart() {
            problems.splice(0..0, told::restarts(&judged.changes));
            let message = "it changes what only a restart can: put that in the file by hand and restart";
            return Err(told::with_problems(message, "config_needs_restart", problems));
        }
        // The text that is replaced must be there to be restored; one that was never in use may hold anything.
        if is_in_use(file, &old) {
            self.keep(&old, super::BY_FILE, "", None).await;
        }
        let new = Held::new(body.text);
        let written = write(&file.path, new.text.clone(), old.sha256)
            .await?
            .map_err(|error| {
                let message = format!("cannot write `{}`: {error}", file.path.display());
                Refusal::unavailable(message, "config_not_written")
            })?;
        if let Replaced::Changed = written {
            return Err(Refusal::conflict(CHANGED, "config_changed"));
        }
        match file.hand.written(new.sha256, RELOAD_MAX).await.as_deref() {
            Some(ReloadStatus {
                last_error: None,
                generation,
                ..
            }) => {
                let changes = told::changes(&judged.changes);
                let summary = shapes::summary(&changes);
                ConfigApplied {
                    path: &file.path,
                    who: &who,
                    generation: *generation,
                    summary: &summary,
                }
                .emit(&self.gateway.metrics);
                let version = self.keep(&new, &who, &body.note, Some(summary)).await;
                Ok(Applied {
                    version,
                    generation: *generation,
                    changes,
                })
            }
            refused => {
                let why = refused.and_then(|status| status.last_error.clone());
                let why = why.unwrap_or_else(|| format!("it was not loaded within {} s", RELOAD_MAX.as_secs()));
                Err(self.take_back(file, (&old, &new), &who, why).await)
            }
        }
    }

    /// Puts the old text back, unless somebody has written another one meanwhile.
    async fn take_back(&self, file: &WatchedFile, (old, new): (&Held, &Held), who: &str, why: String) -> Refusal {
        let problem = vec![Problem {
            severity: "error",
            path: String::new(),
            line: None,
            column: None,
            message: why.clone(),
            help: None,
        }];
        match write(&file.path, old.text.clone(), new.sha256).await {
            Ok(Ok(Replaced::Changed)) => {
                let message = format!("the text could not be put to use ({why}), and the file holds another one now");
                Refusal::conflict(message, "config_changed")
            }
            Ok(Ok(Replaced::Done | Replaced::Unsynced(_))) => {
                // The older text means what is in use, so nothing can go wrong with it that did not go wrong before.
                let _ = file.hand.written(old.sha256, RELOAD_MAX).await;
                ConfigPutBack {
                    path: &file.path,
                    who,
                    error: &why,
                }
                .emit(&self.gateway.metrics);
                let message = format!("the text could not be put to use, the older one is in the file again: {why}");
                told::with_problems(&message, "config_refused", problem)
            }
            Ok(Err(error)) => {
                ConfigLeftBroken {
                    path: &file.path,
                    error: &error,
                }
                .emit(&self.gateway.metrics);
                let message = format!(
                    "the text could not be put to use ({why}), and the older one could not be written back: {error}"
                );
                Refusal::unavailable(message, "config_left_broken")
            }
            Err(refusal) => refusal,
        }
    }
}

/// Whether the text was made from what the file holds, and is another one.
fn may_replace(old: &Held, body: &ApplyBody) -> Result<(), Refusal> {
    let sha256 = old.hex();
    if !body.base_sha256.eq_ignore_ascii_case(&sha256) {
        return Err(Refusal::conflict(CHANGED, "config_changed").beside("sha256", sha256.into()));
    }
    if old.text == body.text {
        return Err(Refusal::conflict(
            "the file holds this text already",
            "config_unchanged",
        ));
    }
    match told::secret_reason(&mask::mask(&old.text).fields) {
        Some(reason) => Err(Refusal::conflict(reason, "config_not_writable")),
        None => Ok(()),
    }
}
