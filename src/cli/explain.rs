//! `emberway explain`: asks a running gateway where a chat body would go, and why. Nothing is sent to any deployment.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use reqwest::Method;

use crate::cli::operator::{Operator, OperatorArgs};
use crate::cli::output;
use crate::columns::columns;
use crate::proxy::explain::Explanation;

/// Flags of `emberway explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A chat completion's body as JSON; `-` reads it from standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The client whose body it is: names of sessions, and a `prompt_cache_key` of its own, count within it.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    client: String,
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Asks and prints.
///
/// # Errors
/// When the file cannot be read, the gateway cannot be reached, or it refuses the body.
pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let body = read(&args.file)?;
    let operator = Operator::new(&args.operator)?;
    let client = [("client", args.client.as_str())];
    let asking = operator.ask(Method::POST, "/admin/explain", &client, body);
    let text = output::runtime()?.block_on(asking)?;
    let explanation: Explanation = serde_json::from_str(&text).context("the gateway's answer is not understood")?;
    let mut stdout = io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", text.trim_end())?;
    } else {
        writeln!(stdout, "{}", shown(&explanation))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    if file.as_os_str() == "-" {
        let mut body = Vec::new();
        io::stdin()
            .lock()
            .read_to_end(&mut body)
            .context("cannot read standard input")?;
        return Ok(body);
    }
    std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))
}

/// The plan for people.
fn shown(explanation: &Explanation) -> String {
    let mut text = columns(&[], 2, facts(explanation));
    text.push_str("\n\n");
    text.push_str(&candidates(explanation));
    for member in &explanation.left_out {
        text.push('\n');
        text.push_str(&member.deployment);
        text.push_str(" is left out: ");
        text.push_str(&member.why);
    }
    text
}

fn facts(explanation: &Explanation) -> Vec<Vec<String>> {
    let Explanation {
        route,
        pool,
        policy,
        replicas,
        prompt_tokens,
        total_tokens,
        blocks,
        ..
    } = explanation;
    let count = blocks.len();
    let key = explanation.key_block.and_then(|at| Some((at + 1, blocks.get(at)?)));
    let key = key.map_or_else(
        || "none: placed by load or by turn".to_owned(),
        |(number, block)| format!("{number} of {count}, at {} tokens ({})", block.tokens, block.id),
    );
    let cache_key = explanation.cache_key.as_ref().map_or_else(
        || "none".to_owned(),
        |key| {
            let verdict = if key.pays { "pays" } else { "does not pay so far" };
            format!("{} (one of {}; {verdict})", key.value, key.keys)
        },
    );
    let turn = if explanation.is_first_turn {
        "first turn"
    } else {
        "a later turn"
    };
    let facts = [
        (
            "route",
            format!("{route}, pool {pool}, policy {policy}, replicas {replicas}"),
        ),
        (
            "prompt",
            format!("about {prompt_tokens} tokens in {count} blocks, {turn}; counts {total_tokens} against a limit"),
        ),
        ("key block", key),
        ("homes", explanation.homes.to_string()),
        (
            "warm",
            format!("{} tokens at one deployment at least", explanation.warm_tokens),
        ),
        ("cache key", cache_key),
    ];
    facts.map(|(name, value)| vec![name.to_owned(), value]).to_vec()
}

fn candidates(explanation: &Explanation) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
    let rows = explanation.candidates.iter().enumerate().map(|(rank, candidate)| {
        vec![
            format!("{}", rank + 1),
            candidate.deployment.clone(),
            candidate.region.clone(),
            candidate.reason.clone(),
            candidate.expected_tokens.to_string(),
            number(candidate.limit),
            number(candidate.room),
            number(Some(candidate.in_flight)),
        ]
    });
    let header = [
        "",
        "deployment",
        "region",
        "reason",
        "cached",
        "limit",
        "room",
        "in flight",
    ];
    columns(&header, 4, rows.collect())
}
