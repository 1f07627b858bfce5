//! What happens, in which order, and what is said about it.
//!
//! The claim that nobody notices an outage is made for whole answers and for streams that have not begun: the gateway
//! passes nothing on before it has it, so it can ask elsewhere. It cannot take back a stream that has begun. So the outage
//! under load asks for whole answers, and streams are cut in an act of their own, counted apart and named for what they are.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::core::provider::CACHEABLE_TOKENS;
use crate::demo::books::{self, Books};
use crate::demo::figures::{Figures, by_deployment, by_head};
use crate::demo::ledger::{Act, Ledger, Seen};
use crate::demo::traffic::{self, CUT_STREAMS, HEAD_TOKENS, Part};
use crate::demo::turns::Turns;
use crate::demo::verdict::{self, Drifted, Verdict};
use crate::demo::world::{Route, World};
use crate::demo::{DemoError, Options, tables};
use crate::load::plan::Extent;
use crate::load::{Run, report};
use crate::simulator::faults::{Action, AppliesTo, Fault};
use crate::simulator::record::{Ending, RequestRecord};

/// The account that goes down: the one whose deployments come first in both pools.
const DEAD: &str = "sim-swedencentral";

/// Parts of the load time, of which there are twelve.
const CACHE_PARTS: u32 = 4;
const BEFORE_PARTS: u32 = 2;
const DOWN_PARTS: u32 = 3;
const BACK_PARTS: u32 = 3;
const PARTS: u32 = CACHE_PARTS + BEFORE_PARTS + DOWN_PARTS + BACK_PARTS;

/// What keeps the prompts of the first load apart from others.
pub const CACHE_PART: u64 = 1;
/// Share of streams in it.
const CACHE_STREAMS: f64 = 0.5;

/// Longest wait for traffic to return to a region, or for streams to begin; what was not seen then is not claimed.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Pause before each event of the streams that are cut, so that the shortest of them (24 events) lasts two seconds.
const DRIP_MS: u64 = 80;
/// From the last of their heads to the cut: a few words of each.
const FIRST_WORDS: Duration = Duration::from_millis(500);
/// How often the simulator is asked how far the streams are.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A demo in progress.
pub struct Stage<'a> {
    world: &'a World,
    options: &'a Options,
    out: &'a mut dyn Write,
    ledger: Arc<Ledger>,
    /// The requests that went by turns to the second fleet.
    by_turns: Vec<Seen>,
}

impl<'a> Stage<'a> {
    /// A demo that has not begun.
    pub fn new(world: &'a World, options: &'a Options, out: &'a mut dyn Write) -> Self {
        Self {
            world,
            options,
            out,
            ledger: Arc::new(Ledger::new()),
            by_turns: Vec::new(),
        }
    }

    /// Plays all acts and says whether everything held.
    ///
    /// # Errors
    /// When a part fails other than by failed requests.
    pub async fn play(&mut self) -> Result<Verdict, DemoError> {
        self.introduce()?;
        self.cache().await?;
        self.outage().await?;
        self.cut_streams().await?;
        self.sum_up().await
    }

    fn say(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    fn parts(&self, parts: u32) -> Duration {
        self.options.load * parts / PARTS
    }

    fn part(&self, number: u64, stream_share: f64) -> Part {
        Part {
            number,
            stream_share,
            stamp_after: self.options.stamp_after,
        }
    }

    fn introduce(&mut self) -> Result<(), DemoError> {
        let places = &self.world.places;
        let row = |what: &str, url: &str, says: &str| vec![what.to_owned(), url.to_owned(), says.to_owned()];
        let mut rows = vec![
            row("gateway", &places.gateway, "where applications send their requests"),
            row(
                "admin",
                &places.admin,
                "the operator's page (open it in a browser), health, status, metrics",
            ),
        ];
        rows.extend(
            places
                .accounts
                .iter()
                .map(|account| row(&account.name, &account.url, &account.deployments)),
        );
        rows.push(row(
            "control",
            &places.control,
            "faults and outages of the simulated regions",
        ));
        let routes = places.routes.iter().map(|route| {
            let tiers: Vec<_> = route.tiers.iter().map(|tier| tier.join(" and ")).collect();
            vec![route.name.clone(), tiers.join(", else ")]
        });
        let (what, routes) = (tables::table(&[], 3, rows), tables::table(&[], 2, routes.collect()));
        let moved = places.moved.iter();
        let moved: Vec<_> = moved
            .map(|port| format!("   Port {} is taken; {} is used instead.\n", port.wanted, port.got))
            .collect();
        let moved = moved.concat();
        let beside = self.options.env_file_taken.as_ref().map(|taken| {
            let (taken, own) = (taken.display(), self.options.env_file.display());
            format!("   {taken} is of another demo that still runs; {own} is written instead.\n")
        });
        let beside = beside.unwrap_or_default();
        let build = if cfg!(debug_assertions) {
            "\nThis is a build without optimisation: its times are longer than a release's."
        } else {
            ""
        };
        self.say(format!(
            "Emberway demo: a simulated fleet of Azure OpenAI accounts, the gateway in front of it, and load,\nall in this \
             process on this machine. Every figure below is measured as it runs.{build}\n\n1. What runs where\n\n{what}\n\
             {moved}{beside}\n   Applications ask for a model; the gateway knows who can answer:\n\n{routes}"
        ))?;
        Ok(())
    }

    async fn cache(&mut self) -> Result<(), DemoError> {
        let length = self.parts(CACHE_PARTS);
        self.say(format!(
            "\n2. Requests that begin alike go to the same deployment\n\n   {} of load on both models, every second answer \
             a stream. Each request is one of eight long prompts\n   (about {HEAD_TOKENS} tokens, such as a support desk's \
             instructions) with a question of its own behind it.\n   For comparison \
             the same load goes at the same time, without a gateway, to a second fleet like this one:\n   each prompt to all \
             deployments of its pool by turns.",
            seconds(length)
        ))?;
        self.ledger.enter(Act::Cache);
        let part = self.part(CACHE_PART, CACHE_STREAMS);
        let turns = Turns::start(&self.world.places, part, length).await?;
        let extent = Extent::Duration(length);
        let runs = traffic::both_routes(&self.world.places, &self.ledger, part, extent)?;
        finish(runs).await?;
        self.by_turns = turns.finish().await?;
        self.tell_cache()
    }

    fn tell_cache(&mut self) -> Result<(), DemoError> {
        let seen = self.ledger.seen();
        let seen: Vec<&Seen> = seen.iter().filter(|seen| seen.act == Act::Cache).collect();
        let figures = Figures::of(seen.iter().copied());
        let (hits, misses): (Vec<&Seen>, Vec<&Seen>) = seen.iter().partition(|seen| seen.is_hit());
        let routes = &self.world.places.routes;
        let members = |model: &str| {
            let route = routes.iter().find(|route| route.name == model);
            route.map_or(0, |route| route.tiers.iter().map(Vec::len).sum())
        };
        let choices: Vec<_> = routes.iter().map(|route| kept(&seen, route)).collect();
        let turns = Figures::of(&self.by_turns);
        let compared = tables::compared(&seen, &self.by_turns, members);
        self.say(format!(
            "\n{}\n\n{}\n   {} requests, {} failed. Median time to the first token: {} with nothing cached, {} with a hit.\n\n   \
             Prompt tokens found cached:\n\n{compared}\n\n   Round robin would have found {} of all prompt tokens cached; Emberway \
             found {}. Nothing was cached for {} of {}\n   requests by turns and for {} of {} through Emberway: {}",
            tables::heads(&seen),
            choices.concat(),
            figures.requests,
            figures.failed,
            tables::median(Figures::of(misses.iter().copied()).first_token),
            tables::median(Figures::of(hits).first_token),
            tables::ratio(turns.tokens),
            tables::ratio(figures.tokens),
            self.by_turns.iter().filter(|seen| !seen.is_hit()).count(),
            turns.requests,
            misses.len(),
            figures.requests,
            why_not_cached(self.options.stamp_after),
        ))?;
        Ok(())
    }

    async fn outage(&mut self) -> Result<(), DemoError> {
        self.say(format!(
            "\n3. A region goes down in the middle of load, and comes back\n\n   New prompts, whole answers: the gateway \
             passes an answer on when it has all of it, so one that is cut\n   half way is asked for again elsewhere. \
             (Streams are act 4.) First {} with all regions up.",
            seconds(self.parts(BEFORE_PARTS))
        ))?;
        let control = self.world.simulator().control();
        self.ledger.enter(Act::Before);
        let runs = traffic::both_routes(
            &self.world.places,
            &self.ledger,
            self.part(2, 0.0),
            Extent::UntilStopped,
        )?;
        // An act of the demo lasts so long; what it shows is judged by counts.
        tokio::time::sleep(self.parts(BEFORE_PARTS)).await;

        let running = running(self.world, |_request| true);
        self.ledger.enter(Act::Down);
        control.stop_account(DEAD).await?;
        self.say(format!(
            "   {DEAD} is down: its port is closed, its connections were reset, {running} requests were in it."
        ))?;
        // So long the region is gone.
        tokio::time::sleep(self.parts(DOWN_PARTS)).await;

        self.ledger.enter(Act::Back);
        control.start_account(DEAD).await?;
        let back_since = Instant::now();
        self.say(format!(
            "   {DEAD} is up again after {}.",
            seconds(self.parts(DOWN_PARTS))
        ))?;
        let returned = self.ledger.wait_for(|seen| verdict::returned_at(seen, DEAD).is_some());
        // Not returning in time is no error here: the verdict will say so.
        let _ = tokio::time::timeout(WAIT_MAX, returned).await;
        // So long it is watched after its return.
        tokio::time::sleep(self.parts(BACK_PARTS)).await;
        for run in &runs {
            run.halt();
        }
        finish(runs).await?;
        self.tell_outage(back_since)
    }

    fn tell_outage(&mut self, back_since: Instant) -> Result<(), DemoError> {
        let seen = self.ledger.seen();
        let in_outage = |seen: &&Seen| matches!(seen.act, Act::Before | Act::Down | Act::Back);
        let figures = Figures::of(seen.iter().filter(in_outage));
        let slowest = |act: Act| {
            let whole = Figures::of(seen.iter().filter(|seen| seen.act == act)).whole;
            whole.map_or_else(|| "-".to_owned(), |whole| format!("{} ms", tables::ms(whole.max_us)))
        };
        let returned = verdict::returned_at(&seen, DEAD).map_or_else(
            || format!("{DEAD} was not in full use again within {} s.", WAIT_MAX.as_secs()),
            |at| {
                let after = seconds(at.saturating_duration_since(back_since));
                format!("It was in full use {after} after it was up again: the gateway probes now and then with one request.")
            },
        );
        self.say(format!(
            "\n   Requests answered by each deployment:\n\n{}\n\n   {} requests, {} failed. {} of them were asked again \
             elsewhere without the client noticing.\n   The slowest answer took {} before the outage and {} during it.\n   \
             {returned}",
            tables::outage(&seen),
            figures.requests,
            figures.failed,
            figures.failovers,
            slowest(Act::Before),
            slowest(Act::Down),
        ))?;
        Ok(())
    }

    async fn cut_streams(&mut self) -> Result<(), DemoError> {
        self.say(format!(
            "\n4. Streams that have begun cannot be moved\n\n   {CUT_STREAMS} streams are opened, and when they have shown \
             their first words {DEAD} goes down once more.\n   Nobody can take those words back, so the gateway ends \
             each with an error event that programs understand."
        ))?;
        let control = self.world.simulator().control();
        let drip = control.add_fault(Fault {
            account: Some(DEAD.to_owned()),
            deployment: None,
            applies_to: AppliesTo::Streams,
            count: None,
            probability: None,
            action: Action::SlowDrip { ms: DRIP_MS },
        })?;
        self.ledger.enter(Act::Streams);
        let run = traffic::streams(&self.world.places, &self.ledger, self.part(3, 1.0))?;
        wait_until_begun(self.world).await;
        control.stop_account(DEAD).await?;
        finish(vec![run]).await?;
        control.remove_fault(drip)?;
        control.start_account(DEAD).await?;
        let seen = self.ledger.seen();
        let figures = Figures::of(seen.iter().filter(|seen| seen.act == Act::Streams));
        self.say(format!(
            "\n   {} streams: {} ended by an explicit error event, {} whole, {} failed in any other way. The cut ones count as errors on the\n   \
             page and in the metrics, which they are: this act made them, on purpose.",
            figures.requests, figures.cut_and_said, figures.ok, figures.failed
        ))?;
        if figures.cut_and_said == 0 {
            self.say(format!(
                "   No answer had begun at {DEAD} when it went down: the gateway had found them places elsewhere."
            ))?;
        }
        Ok(())
    }

    async fn sum_up(&mut self) -> Result<Verdict, DemoError> {
        let seen = self.ledger.seen();
        let total = Figures::of(&seen);
        let driver = Books::of_driver(&total);
        let store = books::read(&self.world.places.usage, driver.requests).await?;
        let drifts = books::drifts(&self.world.places.usage).await?;
        let drifts = drifts.iter().map(Drifted::of).collect::<Vec<_>>();
        let verdict = Verdict::of(&seen, DEAD, store, &drifts, self.options.stamp_after);
        let rows = driver.lines().into_iter().zip(store.lines());
        let rows =
            rows.map(|((name, driver), (_, store))| vec![name.to_owned(), driver.to_string(), store.to_string()]);
        let compared = tables::table(&["", "driver", "usage store"], 1, rows.collect());
        let checks: Vec<_> = verdict
            .checks
            .iter()
            .map(|check| format!("   {:<4}  {}", if check.holds { "yes" } else { "NO" }, check.says))
            .collect();
        self.say(format!(
            "\n5. Summary\n\n{}\n\n   {} attempts for {} requests; {} requests took more than one. First token: of streams. \
             Gateway: its own time in a request.\n   Cut: streams of act 4, ended by an explicit error; all else that did not \
             end whole is failed.\n\n   What the driver counted, and what the gateway wrote into {}:\n\n{compared}\n\n{}",
            tables::summary(&seen),
            total.attempts,
            total.requests,
            total.failovers,
            self.world.places.usage.display(),
            checks.join("\n"),
        ))?;
        if let Some(path) = &self.options.report {
            write_report(path.clone(), &seen, &self.by_turns, &verdict)?;
        }
        Ok(verdict)
    }
}

/// Whether each of a route's prompts stayed with one deployment, and whether there was a choice.
fn kept(seen: &[&Seen], route: &Route) -> String {
    let heads = by_head(seen.iter().copied().filter(|seen| seen.head.route == route.name));
    let total = heads.len();
    let kept = heads
        .into_values()
        .filter(|seen| by_deployment(seen.iter().copied()).len() == 1);
    let (name, kept) = (&route.name, kept.count());
    let choice = match route.tiers.first().map_or(0, Vec::len) {
        1 => "the only one of its first tier, so there was no choice".to_owned(),
        members => format!("out of {members} of its first tier"),
    };
    format!("   {name}: {kept} of {total} prompts were answered by one deployment only, {choice}.\n")
}

/// Why something is not found cached, as far as the demo makes it so.
fn why_not_cached(stamp_after: Option<u32>) -> String {
    let Some(after) = stamp_after else {
        return "a deployment computes a prompt anew the first\n   time, and again where its requests overflow one machine.".to_owned();
    };
    let before = if after < CACHEABLE_TOKENS {
        format!(" The {after} before it are fewer than\n   the {CACHEABLE_TOKENS} that a cache keeps at least.")
    } else {
        String::new()
    };
    format!(
        "each prompt tells the time of sending after {after}\n   tokens (`--stamp-after`), so what is behind that is \
         never the same twice.{before}"
    )
}

/// Waits until every stream to cut has begun to be answered, for a while, and a little longer.
async fn wait_until_begun(world: &World) {
    let since = Instant::now();
    while running(world, |request| request.outcome.status == 200) < CUT_STREAMS as usize && since.elapsed() < WAIT_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    tokio::time::sleep(FIRST_WORDS).await;
}

/// Requests running in the region that goes down, of those that are meant.
fn running(world: &World, is_meant: impl Fn(&RequestRecord) -> bool) -> usize {
    let requests = world.simulator().control().requests(usize::MAX);
    let is_running = |request: &&RequestRecord| request.account == DEAD && request.outcome.ending == Ending::Open;
    requests
        .iter()
        .filter(is_running)
        .filter(|request| is_meant(request))
        .count()
}

/// Waits for the end of all runs.
pub(super) async fn finish(runs: Vec<Run>) -> Result<Vec<report::Report>, DemoError> {
    let mut reports = Vec::with_capacity(runs.len());
    for run in runs {
        reports.push(run.finish().await?);
    }
    Ok(reports)
}

/// Writes the figures as JSON.
fn write_report(path: PathBuf, seen: &[Seen], by_turns: &[Seen], verdict: &Verdict) -> Result<(), DemoError> {
    let report = json!({
        "total": Figures::of(seen),
        "act_2": Figures::of(seen.iter().filter(|seen| seen.act == Act::Cache)),
        "act_2_by_turns": Figures::of(by_turns),
        "deployments": by_deployment(seen),
        "checks": verdict.checks,
        "holds": verdict.holds(),
    });
    std::fs::write(&path, format!("{report:#}\n")).map_err(|source| DemoError::File { path, source })
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_prompt_is_named_as_the_cause() {
        let check = |stamp_after, says: &[&str], not: &str| {
            let why = why_not_cached(stamp_after);
            assert!(says.iter().all(|part| why.contains(part)), "{why}");
            assert!(!why.contains(not), "{why}");
        };
        check(None, &["overflow one machine"], "stamp");
        check(
            Some(400),
            &["after 400\n", "`--stamp-after`", "The 400 before it are fewer"],
            "overflow",
        );
        check(Some(1_200), &["after 1200\n", "`--stamp-after`"], "fewer");
    }
}
