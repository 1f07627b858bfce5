//! `emberway deployment delete`: asks whoever is at the terminal, and says what the configuration's policy makes of it.

use std::io::{IsTerminal as _, Write as _};

use anyhow::bail;

use crate::azure::arm::operations::Deleted;
use crate::cli::deployment::{Outcome, WriteArgs, dry, named};
use crate::cli::output;
use crate::config;
use crate::core::arm_id::DeploymentArmId;
use crate::core::fleet::key::DeploymentKey;
use crate::core::fleet::policy::Policy;
use crate::fleet::declaration::{self, key_of};

/// Flags of `emberway deployment delete`.
#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    pub(super) write: WriteArgs,
    /// Do not ask. Only somebody at a terminal is asked: a script never is.
    #[arg(short, long)]
    yes: bool,
}

/// Deletes, or shows how.
pub(super) async fn delete(args: &DeleteArgs) -> anyhow::Result<Outcome> {
    let (one, write) = (&args.write.one, &args.write.write);
    let (plane, id) = one.find()?;
    if let Some(sentence) = declared(one.azure.config(), &id) {
        output::warn(&sentence);
    }
    let arm = write.arm(&one.azure, &plane, "delete").await?;
    if write.dry_run {
        return Ok(dry(&arm.address().delete(&id), Some(&named("delete", &id))));
    }
    let is_at_terminal =
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    if !args.yes && is_at_terminal && !is_agreed(&id)? {
        bail!("nothing was done");
    }
    let deleted = write
        .watched(&id, async |progress| arm.delete(&id, progress).await)
        .await?;
    let name = id.name();
    Ok(Outcome::Said(match deleted {
        Deleted::NothingThere => format!("there was no deployment `{name}`"),
        Deleted::Done if write.no_wait => format!("the deletion of `{name}` was accepted"),
        Deleted::Done => format!("`{name}` is deleted; its model can be deployed again"),
    }))
}

/// What the configuration has done against it, if it declares the deployment and its policy does anything.
fn declared(file: &std::path::Path, id: &DeploymentArmId) -> Option<String> {
    // Keys of clients and accounts are not needed here.
    let stand_in = |name: &str| Some(format!("in-place-of-the-variable-{name}"));
    // One that is not there, or has a mistake, declares nothing that this could tell; the deletion does not depend on it.
    let checked = config::load::load(file, &stand_in).ok()?;
    let declaration = declaration::of(&checked.runtime).ok()?;
    let key = DeploymentKey::new(key_of(id.account()), id.name());
    let declared = declaration.declared.find(&key)?;
    let then = match declared.policy {
        Policy::Keep => "`keep`: a running gateway makes it again",
        Policy::Recreate { at_once: true } => "`recreate`: a running gateway makes it again",
        Policy::Recreate { at_once: false } => "`recreate`: a running gateway makes it again when a request needs it",
        Policy::Expire | Policy::DeleteAfter { .. } => return None,
    };
    Some(format!(
        "the configuration declares it as `{}` with the policy {then}; take it out of the configuration to be rid of it",
        declared.id
    ))
}

/// Whether the one at the terminal wants it.
fn is_agreed(id: &DeploymentArmId) -> anyhow::Result<bool> {
    let mut stderr = std::io::stderr();
    write!(
        stderr,
        "delete `{}` of `{}`? Only `yes` is taken for it: ",
        id.name(),
        id.account().name()
    )?;
    stderr.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}
