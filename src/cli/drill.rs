//! `emberway drill`: takes a region out for real, by a drain, and tells what that did to the traffic.
//!
//! It puts the region back in any case: when the time is over, when it is interrupted, and, since the drain has an end of its own,
//! also when it is killed or loses the gateway.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::operator::{Operator, OperatorArgs};
use crate::cli::{drain, output};
use crate::columns::columns;

mod figures;

use figures::{Figures, Scrape};

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

/// Above this a ratio says only that there is next to no load.
const IDLE_RATIO: f64 = 1_000.0;

/// What a drill found.
#[derive(Debug, Serialize)]
struct Report {
    region: String,
    /// Whether it was ended before its time.
    interrupted: bool,
    /// By pool: what the others take, by the load; none where that is not known.
    headroom: BTreeMap<String, Option<f64>>,
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
    check_region(&operator, region).await?;
    let mut watch = Watch::begin(&operator).await?;

    tell(&format!("watching the traffic for {}", lasting(args.before)))?;
    anyhow::ensure!(!interrupt.within(args.before).await, "interrupted; nothing was drained");
    watch.end_phase("before").await?;
    let headroom = headroom(&operator, region).await?;
    tell(&headroom_told(region, &headroom))?;
    check_headroom(region, &headroom, args.force)?;

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
    pools: Vec<PoolPart>,
    deployments: Vec<DeploymentPart>,
}

#[derive(Deserialize)]
struct PoolPart {
    name: String,
    regions: Vec<String>,
    headroom: BTreeMap<String, f64>,
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
async fn check_region(operator: &Operator, region: &str) -> anyhow::Result<()> {
    let status = status(operator).await?;
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

/// By each pool that has deployments in the region: what the others take, by its load.
async fn headroom(operator: &Operator, region: &str) -> anyhow::Result<BTreeMap<String, Option<f64>>> {
    let pools = status(operator).await?.pools.into_iter();
    let concerned = pools.filter(|pool| pool.regions.iter().any(|known| known == region));
    Ok(concerned
        .map(|pool| {
            let ratio = pool.headroom.get(region).copied();
            let is_only = pool.regions.len() == 1;
            (pool.name, if is_only { Some(0.0) } else { ratio })
        })
        .collect())
}

fn headroom_told(region: &str, headroom: &BTreeMap<String, Option<f64>>) -> String {
    let told = headroom.iter().map(|(pool, ratio)| match ratio {
        // Each route that is bound has a pool of its own.
        Some(ratio) if *ratio <= 0.0 && pool.contains('@') => {
            let route = pool.rsplit_once('@').map_or("", |(_, route)| route);
            format!("without `{region}`, route `{route}` has nothing left: its `residency` binds it to deployments there")
        }
        Some(ratio) if *ratio <= 0.0 => format!("without `{region}`, pool `{pool}` has nothing left that can be used"),
        Some(ratio) if *ratio > IDLE_RATIO => {
            format!("pool `{pool}` is idle, or nearly: without `{region}` it takes more than {IDLE_RATIO:.0} times its present load")
        }
        Some(ratio) => format!("without `{region}`, pool `{pool}` takes {ratio:.2} times its present load"),
        None => format!("without `{region}`, what pool `{pool}` takes is not known"),
    });
    told.collect::<Vec<_>>().join("\n")
}

/// That the others would carry the load.
fn check_headroom(region: &str, headroom: &BTreeMap<String, Option<f64>>, force: bool) -> anyhow::Result<()> {
    let carries = |ratio: &Option<f64>| ratio.is_some_and(|ratio| ratio >= 1.0);
    let short: Vec<&str> = headroom
        .iter()
        .filter(|(_, ratio)| !carries(ratio))
        .map(|(pool, _)| pool.as_str())
        .collect();
    anyhow::ensure!(
        force || short.is_empty(),
        "without `{region}` the others' limits would not carry the load of pool `{}`, or are not known; nothing was drained; `--force` drills all \
         the same",
        short.join("`, `")
    );
    Ok(())
}

/// Signals that end a drill before its time.
struct Interrupt {
    by_keyboard: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupt {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            by_keyboard: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits so long; true where a signal ended it, or has come before.
    async fn within(&mut self, time: Duration) -> bool {
        tokio::select! {
            biased;
            _ = self.by_keyboard.recv() => true,
            _ = self.terminate.recv() => true,
            // The terminal was closed.
            _ = self.hangup.recv() => true,
            () = tokio::time::sleep(time) => false,
        }
    }
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
    let header = ["", "s", "requests", "failed", "p50 s", "p95 s", "cached", "refusals"];
    let mut text = columns(&header, 1, report.phases.iter().map(row).collect());
    if report.interrupted {
        text.push_str("\ninterrupted before its time");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_is_refused_where_the_others_would_not_carry_the_load() {
        let headroom = |ratios: &[Option<f64>]| {
            let pools = ratios.iter().enumerate();
            pools
                .map(|(at, ratio)| (format!("p{at}"), *ratio))
                .collect::<BTreeMap<_, _>>()
        };
        for (ratios, force, is_allowed) in [
            (&[Some(1.0), Some(3.0)][..], false, true),
            (&[Some(3.0), Some(0.99)], false, false),
            (&[Some(3.0), None], false, false),
            (&[Some(0.0), None], true, true),
        ] {
            let checked = check_headroom("north", &headroom(ratios), force);
            assert_eq!(checked.is_ok(), is_allowed, "{ratios:?} {checked:?}");
        }
        let refused = check_headroom("north", &headroom(&[Some(2.0), Some(0.5)]), false).expect_err("too little");
        assert!(refused.to_string().contains("of pool `p1`,"), "{refused}");
    }

    #[test]
    fn headroom_is_told_in_words_where_a_ratio_says_little() {
        let check = |pool: &str, ratio, expected: &str| {
            assert_eq!(
                headroom_told("north", &BTreeMap::from([(pool.to_owned(), ratio)])),
                expected
            );
        };
        check(
            "p",
            Some(1.5),
            "without `north`, pool `p` takes 1.50 times its present load",
        );
        check("p", None, "without `north`, what pool `p` takes is not known");
        check(
            "p",
            Some(200_000.0),
            "pool `p` is idle, or nearly: without `north` it takes more than 1000 times its present load",
        );
        check(
            "p",
            Some(0.0),
            "without `north`, pool `p` has nothing left that can be used",
        );
        check(
            "p@bot",
            Some(0.0),
            "without `north`, route `bot` has nothing left: its `residency` binds it to deployments there",
        );
    }

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
            headroom: BTreeMap::new(),
            phases: vec![phase("before", 120, Some(0.25)), phase("during", 0, None)],
        };
        assert_eq!(
            shown(&report),
            "         s  requests  failed  p50 s  p95 s  cached  refusals\n\
             before  30       120       0  0.250  0.500  25.0 %         1\n\
             during  30         0       0      –      –       –         1\n\
             interrupted before its time"
        );
    }
}
