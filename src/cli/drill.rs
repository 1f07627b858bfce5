//! `emberway drill`: takes a region out for real, by a drain, and tells what that did to the traffic.
//!
//! It puts the region back in any case: when the time is over, when it is interrupted, and, since the drain has an end of its own,
//! also when it is killed or loses the gateway.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::cli::interrupt::Interrupt;
use crate::cli::operator::{Operator, OperatorArgs};
use crate::cli::{drain, output};
use crate::columns::columns;

mod figures;
mod headroom;

use figures::{Figures, Scrape};
use headroom::{Carried, PoolPart};

/// Flags of `emberway drill`.
#[derive(Debug, clap::Args)]
// Else whatever the environment tells would stand in the usage as if it were asked for.
#[command(override_usage = "emberway drill [OPTIONS] <WHAT> <NAME>")]
pub struct DrillArgs {
    /// What is taken out.
    #[arg(value_enum)]
    what: What,
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// How long it is out.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "60s")]
    during: Duration,
    /// How long the traffic is watched before; under five seconds the load is not measured.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "30s")]
    before: Duration,
    /// How long the traffic is watched afterwards.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "30s")]
    after: Duration,
    /// Take it out even if the others' limits would not carry the load, or that is not known.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// What a drill can take out.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Every deployment in a region.
    Region,
}

/// How much longer than the drill its drain would last if nobody ended it.
const MARGIN: Duration = Duration::from_secs(30);

/// What a drill found.
#[derive(Debug, Serialize)]
struct Report {
    region: String,
    /// Whether it was ended before its time.
    interrupted: bool,
    /// By pool: what the others take, by the load; none where that is not known.
    headroom: Carried,
    phases: Vec<PhaseReport>,
}

#[derive(Debug, Serialize)]
struct PhaseReport {
    phase: &'static str,
    lasted_s: f64,
    #[serde(flatten)]
    figures: Figures,
}

/// Drills and prints the report; progress goes to stderr.
///
/// # Errors
/// When the gateway cannot be reached, the region is unknown or drained already, or the others would not carry the load.
pub fn run(args: &DrillArgs) -> anyhow::Result<ExitCode> {
    let What::Region = args.what;
    let report = output::runtime()?.block_on(drill(args))?;
    let mut stdout = std::io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string(&report)?)?;
    } else {
        writeln!(stdout, "{}", shown(&report))?;
    }
    Ok(if report.interrupted {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn drill(args: &DrillArgs) -> anyhow::Result<Report> {
    let operator = Operator::new(&args.operator)?;
    let mut interrupt = Interrupt::new()?;
    let region = args.name.as_str();
    let begun = status(&operator).await?;
    check_region(&begun, region)?;
    let mut watch = Watch::begin(&operator).await?;

    tell(&format!("watching the traffic for {}", lasting(args.before)))?;
    anyhow::ensure!(!interrupt.within(args.before).await, "interrupted; nothing was drained");
    watch.end_phase("before").await?;
    let ended = status(&operator).await?;
    let over = ended.asked_at.duration_since(begun.asked_at);
    let headroom = headroom::measured(&begun.pools, &ended.pools, over, region);
    tell(&headroom::told(region, &headroom))?;
    headroom::check(region, &headroom, args.force)?;

    let is_interrupted = without_region(args, &operator, &mut watch, &mut interrupt).await?;
    // Who is impatient does not wait for what comes after either.
    let is_interrupted = is_interrupted || interrupt.within(args.after).await;
    watch.end_phase("after").await?;
    Ok(Report {
        region: region.to_owned(),
        interrupted: is_interrupted,
        headroom,
        phases: watch.phases,
    })
}

/// Takes the region out, watches, and puts it back. True where a signal ended it.
async fn without_region(
    args: &DrillArgs,
    operator: &Operator,
    watch: &mut Watch<'_>,
    interrupt: &mut Interrupt,
) -> anyhow::Result<bool> {
    let region = args.name.as_str();
    let most = args.during + MARGIN;
    let watched = async {
        drain::begin(operator, "region", region, Some(most), args.force).await?;
        tell(&format!("`{region}` is out for {}", lasting(args.during)))?;
        let is_interrupted = interrupt.within(args.during).await;
        watch.end_phase("during").await?;
        anyhow::Ok(is_interrupted)
    }
    .await;
    // Whatever happened, it is put back first of all, also where only the answer to the drain was lost.
    let undone = drain::undo(operator, "region", region).await;
    let is_interrupted = watched?;
    undone.with_context(|| {
        format!(
            "`{region}` could not be put back; it comes back by itself {} after its drain began, or by `emberway drain region {region} --undo`",
            lasting(most)
        )
    })?;
    tell(&format!("`{region}` is back"))?;
    Ok(is_interrupted)
}

/// The traffic, phase by phase.
struct Watch<'a> {
    operator: &'a Operator,
    last: Scrape,
    since: tokio::time::Instant,
    phases: Vec<PhaseReport>,
}

impl<'a> Watch<'a> {
    async fn begin(operator: &'a Operator) -> anyhow::Result<Self> {
        Ok(Self {
            operator,
            last: scrape(operator).await?,
            since: tokio::time::Instant::now(),
            phases: Vec::new(),
        })
    }

    async fn end_phase(&mut self, phase: &'static str) -> anyhow::Result<()> {
        let now = scrape(self.operator).await?;
        self.phases.push(PhaseReport {
            phase,
            lasted_s: self.since.elapsed().as_secs_f64(),
            figures: now.since(&self.last),
        });
        (self.last, self.since) = (now, tokio::time::Instant::now());
        Ok(())
    }
}

async fn scrape(operator: &Operator) -> anyhow::Result<Scrape> {
    Scrape::read(&operator.ask(Method::GET, "/metrics", &[], Vec::new()).await?)
}

/// What `/status` says that matters here.
#[derive(Deserialize)]
struct StatusPart {
    #[serde(skip, default = "tokio::time::Instant::now")]
    asked_at: tokio::time::Instant,
    pools: Vec<PoolPart>,
    deployments: Vec<DeploymentPart>,
}

#[derive(Deserialize)]
struct DeploymentPart {
    region: String,
    drained: bool,
}

async fn status(operator: &Operator) -> anyhow::Result<StatusPart> {
    let text = operator.ask(Method::GET, "/status", &[], Vec::new()).await?;
    serde_json::from_str(&text).context("the gateway's status is not understood")
}

/// That the region is there and in use: a drill would end another's drain.
fn check_region(status: &StatusPart, region: &str) -> anyhow::Result<()> {
    let mut of_region = status
        .deployments
        .iter()
        .filter(|deployment| deployment.region == region);
    let mut regions: Vec<&str> = status
        .deployments
        .iter()
        .map(|deployment| &*deployment.region)
        .collect();
    regions.sort_unstable();
    regions.dedup();
    let known = regions.join("`, `");
    let is_there = of_region.clone().next().is_some();
    anyhow::ensure!(is_there, "there is no region `{region}`; there are: `{known}`");
    let is_drained = of_region.any(|deployment| deployment.drained);
    anyhow::ensure!(
        !is_drained,
        "deployments of `{region}` are drained already; see `emberway drain --list`"
    );
    Ok(())
}

fn lasting(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn tell(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{line}").context("cannot write to stderr")
}

/// The report for people.
fn shown(report: &Report) -> String {
    let seconds = |time: Option<f64>| time.map_or_else(|| "–".to_owned(), |time| format!("{time:.3}"));
    let row = |phase: &PhaseReport| {
        let figures = &phase.figures;
        let share = |share: f64| format!("{:.1} %", share * 100.0);
        vec![
            phase.phase.to_owned(),
            format!("{:.0}", phase.lasted_s),
            figures.requests.to_string(),
            figures.failed.to_string(),
            seconds(figures.p50_s),
            seconds(figures.p95_s),
            figures.cached_share.map_or_else(|| "–".to_owned(), share),
            figures.refusals.to_string(),
        ]
    };
    let header = [
        "",
        "s",
        "requests",
        "failed",
        "first byte\np50 s",
        "first byte\np95 s",
        "cached",
        "refusals",
    ];
    let mut text = columns(&header, 1, report.phases.iter().map(row).collect());
    text.push_str(
        "\nfirst byte: of a stream its beginning; of any other answer nearly its end, since Azure sends it whole",
    );
    if report.interrupted {
        text.push_str("\ninterrupted before its time");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_a_table() {
        let phase = |phase, requests, p50_s| PhaseReport {
            phase,
            lasted_s: 30.2,
            figures: Figures {
                requests,
                failed: 0,
                refusals: 1,
                p50_s,
                p95_s: p50_s.map(|p50| p50 * 2.0),
                cached_share: p50_s,
            },
        };
        let report = Report {
            region: "north".to_owned(),
            interrupted: true,
            headroom: Carried::new(),
            phases: vec![phase("before", 120, Some(0.25)), phase("during", 0, None)],
        };
        assert_eq!(
            shown(&report),
            "         s  requests  failed  first byte  first byte  cached  refusals\n                                   \
             p50 s       p95 s\n\
             before  30       120       0       0.250       0.500  25.0 %         1\n\
             during  30         0       0           –           –       –         1\n\
             first byte: of a stream its beginning; of any other answer nearly its end, since Azure sends it whole\n\
             interrupted before its time"
        );
    }
}
