//! WHAT can it do, seen in a minute? A simulated fleet, the gateway in front of it, load, and an outage, in one process.
//!
//! The demo is a client of the parts it shows: it starts the simulator as `emberway simulate` does, the gateway from the shipped
//! `config/demo.yaml`, and drives it over HTTP as `emberway load` does. Every figure it prints was counted by the driver from the
//! answers it got, and is compared with what the gateway's usage store recorded in the end. It knows no shortcut into the
//! gateway, so what it shows is what an application would see.
//!
//! | question | file |
//! | --- | --- |
//! | which ports | `ports` |
//! | what runs, and how it ends | `world` |
//! | what is sent | `traffic` |
//! | what it is compared with | `turns` |
//! | what happens, in which order | `acts` |
//! | what came back (pure) | `ledger`, `figures` |
//! | does the usage store say the same (pure) | `books` |
//! | did it work (pure) | `verdict` |
//! | how it is told | `tables`, `handout`, `program` |

use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::errors::ConfigErrors;
use crate::demo::acts::Stage;
use crate::demo::handout::EnvFile;
use crate::demo::program::Program;
use crate::demo::verdict::Verdict;
use crate::demo::world::World;
use crate::load::LoadError;
use crate::load::plan::PlanError;
use crate::simulator::StartError;
use crate::simulator::control::ControlError;
use crate::simulator::scenario::ScenarioError;
use crate::storage::StoreError;

pub mod acts;
pub mod books;
pub mod figures;
pub mod handout;
pub mod ledger;
pub mod ports;
pub mod program;
pub mod tables;
pub mod traffic;
pub mod turns;
pub mod verdict;
pub mod world;

/// Shortest and longest time under load that can be asked for, in seconds. Longer would run into the simulated limits.
pub const LOAD_SECONDS: std::ops::RangeInclusive<u16> = 4..=40;

/// What a demo should do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether to end after the last act instead of staying up.
    pub once: bool,
    /// Where to write the addresses and the key; the usage store is made beside it.
    pub env_file: PathBuf,
    /// Where they were meant to go, if the file there is of another demo that still runs.
    pub env_file_taken: Option<PathBuf>,
    /// Where to write the figures as JSON, if anywhere.
    pub report: Option<PathBuf>,
    /// How long to send load, without the waits between; within [`LOAD_SECONDS`].
    pub load: Duration,
    /// After how many tokens of each prompt's beginning a time stands, if one does.
    pub stamp_after: Option<u32>,
    /// Whether gentle traffic goes on while it stays up, so that there is something to watch.
    pub goes_on: bool,
    /// Whether to take ports at random instead of the usual ones.
    pub free_ports: bool,
    /// How the commands that are told call this program.
    pub program: Program,
}

/// Why a demo could not be given. Requests that fail are no such reason: they are what it reports.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The embedded scenario does not parse.
    #[error("the built-in scenario is wrong; please report it")]
    Scenario(#[from] ScenarioError),
    /// The embedded configuration does not compile.
    #[error("the built-in configuration is wrong; please report it")]
    Config(#[from] ConfigErrors),
    /// No ports are free.
    #[error(transparent)]
    Ports(#[from] ports::NoPort),
    /// The simulator did not start.
    #[error(transparent)]
    Simulator(#[from] StartError),
    /// The gateway did not start, or did not end well.
    #[error(transparent)]
    Gateway(#[from] anyhow::Error),
    /// The simulator refused a fault or an outage.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The load could not be sent.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The load was ill planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The usage store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be written.
    #[error("cannot write or remove `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The narration cannot be written.
    #[error("cannot write to stdout")]
    Out(#[from] io::Error),
}

/// Gives the demo and narrates it on `out`; ends when `stop` does, at the latest. Returns none when stopped before the last act.
///
/// # Errors
/// When a part cannot start or end, or a file cannot be written.
pub async fn run(
    options: &Options,
    out: &mut dyn Write,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> Result<Option<Verdict>, DemoError> {
    let world = World::start(options).await?;
    let performed = match EnvFile::write(&options.env_file, &world.places, &options.program) {
        Ok(env_file) => {
            let performed = perform(&world, options, out, stop).await;
            // It points nowhere from here on.
            env_file.remove().and(performed)
        }
        Err(error) => Err(error),
    };
    let places = world.places.clone();
    let ended = world.end().await;
    let verdict = performed?;
    ended?;
    writeln!(out, "\nEverything has ended; the usage store was written out.")?;
    if verdict.is_some() {
        write!(out, "{}", handout::afterwards(&places, &options.program))?;
    }
    Ok(verdict)
}

async fn perform(
    world: &World,
    options: &Options,
    out: &mut dyn Write,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> Result<Option<Verdict>, DemoError> {
    let mut stage = Stage::new(world, options, out);
    let verdict = tokio::select! {
        verdict = stage.play() => verdict?,
        () = &mut *stop => {
            writeln!(out, "\nStopped before the last act; nothing is claimed.")?;
            return Ok(None);
        }
    };
    if !options.once {
        handout::write_prompt(&world.places, options.stamp_after)?;
        handout::tell(out, &world.places, options)?;
        let going_on = if options.goes_on {
            traffic::going_on(&world.places, options.stamp_after)?
        } else {
            Vec::new()
        };
        stop.await;
        for run in &going_on {
            run.halt();
        }
        acts::finish(going_on).await?;
    }
    Ok(Some(verdict))
}

#[cfg(test)]
mod tests;
