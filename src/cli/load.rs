//! `emberway load`: flags to a plan, a progress line, the report, the exit code.

use std::io::{self, Write as _};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Url;

use crate::cli::output;
use crate::load::plan::{Auth, Extent, Plan, PromptShape, Style, Target};
use crate::load::{self, Report, Snapshot};

/// Requests sent when neither `--requests` nor `--duration` is given.
const DEFAULT_REQUESTS: u64 = 100;

/// Flags of `emberway load`.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// Endpoint without its path, such as `http://127.0.0.1:8080`.
    #[arg(long, value_name = "URL", value_parser = Target::base)]
    url: Url,
    /// Model to ask for; with `--style classic` the deployment in the path.
    #[arg(long)]
    model: String,
    /// Key to send; none sends no credential.
    #[arg(long, env = "EMBERWAY_KEY", hide_env_values = true)]
    key: Option<String>,
    /// How to send the key.
    #[arg(long, value_enum, default_value_t = Auth::ApiKey)]
    auth: Auth,
    /// Which of the two URL families to use.
    #[arg(long, value_enum, default_value_t = Style::V1)]
    style: Style,
    /// `api-version` to send [default: 2024-10-21 with `--style classic`, else none].
    #[arg(long, value_name = "VERSION")]
    api_version: Option<String>,
    /// Requests in flight at most; without `--rate` always as many.
    #[arg(long, value_name = "N", default_value = "8")]
    concurrency: NonZeroU32,
    /// Requests a second, sent when due however slow the answers; latency counts from then.
    #[arg(long, value_name = "PER_SECOND", allow_negative_numbers = true)]
    rate: Option<f64>,
    /// Requests to send [default: 100, unless `--duration` is given].
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    requests: Option<u64>,
    /// How long to begin requests, such as `30s` or `5m`.
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Share of requests that ask for a stream, 0 to 1.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, default_value_t = 0.5)]
    stream_share: f64,
    /// Distinct prompt heads (system messages) that conversations share.
    #[arg(long, value_name = "N", default_value = "4")]
    heads: NonZeroU32,
    /// Length of a head, in tokens of about four characters.
    #[arg(long, value_name = "TOKENS", default_value_t = 1500)]
    head_tokens: u32,
    /// Length of each user message, in tokens; no two are the same.
    #[arg(long, value_name = "TOKENS", default_value_t = 100)]
    tail_tokens: u32,
    /// Requests of one conversation; each repeats all before it.
    #[arg(long, value_name = "N", default_value = "1")]
    turns: NonZeroU32,
    /// Longest answer to ask for, in tokens.
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    max_tokens: u32,
    /// Put the time of sending into each head, after so many tokens: prompts that a cache can hardly hold, as in many a real system prompt.
    #[arg(long, value_name = "TOKENS")]
    stamp_after: Option<u32>,
    /// Longest wait for one whole answer.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s")]
    timeout: Duration,
    /// The same seed sends the same prompts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of the first conversation: runs of one seed with other numbers share their heads and nothing else.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    first_conversation: u64,
    /// Stop at the first failed request.
    #[arg(long)]
    fail_fast: bool,
    /// Write one JSON line for each finished request to this file.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
    /// Show no progress; it is shown on a terminal only.
    #[arg(long)]
    no_progress: bool,
}

/// Sends the load and prints the report: exit code 0 only if no request failed. Interrupting it once stops it early
/// with the report of what was sent; twice ends it at once.
///
/// # Errors
/// When a flag is out of bounds, or the record or the report cannot be written.
pub fn run(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let (json, quiet) = (args.json, args.no_progress);
    let plan = args.into_plan()?;
    let report = output::runtime()?.block_on(watched(plan, quiet))?;
    print(&report, json)?;
    Ok(if report.all_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl LoadArgs {
    fn into_plan(self) -> anyhow::Result<Plan> {
        let credential = self.key.as_deref().map(|key| self.auth.header(key)).transpose()?;
        let extent = match (self.requests, self.duration) {
            (_, Some(length)) => Extent::Duration(length),
            (requests, None) => Extent::Requests(requests.unwrap_or(DEFAULT_REQUESTS)),
        };
        let plan = Plan {
            target: Target {
                base: self.url,
                style: self.style,
                api_version: self.api_version,
                model: self.model,
                credential,
            },
            prompts: PromptShape {
                heads: self.heads,
                head_tokens: self.head_tokens,
                tail_tokens: self.tail_tokens,
                turns: self.turns,
                max_tokens: self.max_tokens,
                stamp_after: self.stamp_after,
                seed: self.seed,
                first_conversation: self.first_conversation,
            },
            concurrency: self.concurrency,
            rate: self.rate,
            extent,
            stream_share: self.stream_share,
            timeout: self.timeout,
            fail_fast: self.fail_fast,
            record: self.record,
        };
        plan.check()?;
        Ok(plan)
    }
}

/// Carries out the plan with a progress line; the first interrupt halts it, the second gives it up.
async fn watched(plan: Plan, quiet: bool) -> anyhow::Result<Report> {
    let bar = progress_bar(&plan, quiet)?;
    let mut run = load::start(plan)?;
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let mut interrupted = false;
    loop {
        tokio::select! {
            ended = run.wait() => { ended?; break }
            _ = ticks.tick() => show(&bar, &run.snapshot()),
            signal = tokio::signal::ctrl_c() => {
                signal.context("cannot wait for an interrupt")?;
                anyhow::ensure!(!interrupted, "interrupted twice; requests in flight were given up");
                interrupted = true;
                run.halt();
            }
        }
    }
    bar.finish_and_clear();
    Ok(run.finish().await?)
}

/// A bar on stderr, hidden when that is no terminal; with a length if the plan has one.
fn progress_bar(plan: &Plan, quiet: bool) -> anyhow::Result<ProgressBar> {
    if quiet {
        return Ok(ProgressBar::hidden());
    }
    let (bar, template) = match plan.extent {
        Extent::Requests(total) => (ProgressBar::new(total), "{wide_bar} {pos}/{len} {msg}"),
        Extent::Duration(_) | Extent::UntilStopped => (ProgressBar::new_spinner(), "{elapsed} {pos} {msg}"),
    };
    Ok(bar.with_style(ProgressStyle::with_template(template)?))
}

fn show(bar: &ProgressBar, snapshot: &Snapshot) {
    bar.set_position(snapshot.counts.requests);
    bar.set_message(format!(
        "{} in flight, {} failed",
        snapshot.in_flight,
        snapshot.counts.failed()
    ));
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut stdout, report).map_err(io::Error::from)?;
        writeln!(stdout)?;
    } else {
        write!(stdout, "{report}")?;
    }
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        load: LoadArgs,
    }

    fn plan(flags: &str) -> Result<Plan, String> {
        let flags = ["load", "--url", "http://h:1", "--model", "m"]
            .into_iter()
            .chain(flags.split_whitespace());
        let flags = Flags::try_parse_from(flags).map_err(|error| error.to_string())?;
        flags.load.into_plan().map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_a_plan() {
        let plan_of = |flags| plan(flags).unwrap();
        assert_eq!(plan_of("--requests 7").extent, Extent::Requests(7));
        assert_eq!(plan_of("").extent, Extent::Requests(DEFAULT_REQUESTS));
        assert_eq!(
            plan_of("--duration 2m").extent,
            Extent::Duration(Duration::from_mins(2))
        );
        let credential = plan_of("--key k --auth bearer").target.credential.unwrap();
        assert_eq!(
            (credential.0.as_str(), credential.1.as_bytes()),
            ("authorization", b"Bearer k".as_slice())
        );
    }

    #[test]
    fn every_flag_is_in_the_manual() {
        use clap::CommandFactory as _;
        let manual = include_str!("../../docs/load.md");
        for flag in Flags::command().get_arguments().filter_map(clap::Arg::get_long) {
            assert!(
                manual.contains(&format!("| `--{flag}` |")),
                "--{flag} is not in docs/load.md"
            );
        }
    }

    #[test]
    fn a_url_without_its_scheme_is_told_what_is_missing() {
        for url in ["127.0.0.1:8080", "localhost:8080", "example.com"] {
            let flags = Flags::try_parse_from(["load", "--model", "m", "--url", url]);
            let refused = flags.map_err(|error| error.to_string()).and_then(|flags| {
                let plan = flags.load.into_plan();
                plan.map_err(|error| error.to_string())
            });
            let message = refused.expect_err("refused");
            assert!(message.contains("write http:// or https:// and the host"), "{message}");
        }
    }

    #[test]
    fn wrong_flags_are_named() {
        for (flags, part) in [
            ("--stream-share 2", "stream-share is `2`"),
            ("--rate -3", "rate is `-3`"),
            ("--requests 1 --duration 1s", "cannot be used with"),
            ("--concurrency 0", "--concurrency"),
            ("--timeout soon", "--timeout"),
        ] {
            let message = plan(flags).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
