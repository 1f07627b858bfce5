//! `emberway explain`: asks a running gateway where a chat body would go, and why. Nothing is sent to any deployment.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use http::HeaderValue;
use reqwest::Method;

use crate::cli::operator::{Operator, OperatorArgs};
use crate::cli::output;
use crate::cli::span::span_left;
use crate::columns::columns;
use crate::proxy::explain::{CandidateShown, Explanation, PassedOver, Unasked};
use crate::proxy::prompt::{AFFINITY_HEADER, SESSION_HEADERS};

/// Flags of `emberway explain`.
#[derive(Debug, clap::Args)]
// Else whatever the environment tells would stand in the usage as if it were asked for.
#[command(override_usage = "emberway explain [OPTIONS] <FILE>")]
pub struct ExplainArgs {
    /// A chat completion's body as JSON; `-` reads it from standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The client whose body it is, as configured: names of sessions, and a `prompt_cache_key` of its own, count within it.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    client: String,
    /// The session that the client names (`x-session-id`); it needs `--client` to mean what it means to that client.
    #[arg(long, value_name = "NAME", value_parser = session)]
    session: Option<HeaderValue>,
    /// As if the client asked to be placed by load alone (`x-emberway-affinity: off`).
    #[arg(long)]
    no_affinity: bool,
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// A session's name, as a header can carry it.
fn session(name: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(name).ok().filter(|value| !value.is_empty());
    value.ok_or_else(|| "a name that fits into a header: printable, not empty".to_owned())
}

/// Asks and prints.
///
/// # Errors
/// When the file cannot be read, the gateway cannot be reached, or it refuses the body.
pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let body = read(&args.file)?;
    let operator = Operator::new(&args.operator)?;
    let client = [("client", args.client.as_str())];
    let query = if args.client.is_empty() { &[][..] } else { &client };
    let mut request = operator.request(Method::POST, "/admin/explain", query)?.body(body);
    if let Some(session) = &args.session {
        let [header, ..] = SESSION_HEADERS;
        request = request.header(header, session);
    }
    if args.no_affinity {
        request = request.header(AFFINITY_HEADER, "off");
    }
    let text = output::runtime()?.block_on(operator.answer(request))?;
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
    let ejected = explanation.candidates.iter().filter_map(|candidate| {
        let (name, share) = (&candidate.deployment, 100.0 * candidate.share_of_plans);
        let Some(after) = candidate.probed_in_s else {
            let text =
                format!("{name} recovers: {share:.0} % of plans count on it by now, to the others it is a last resort");
            return (share < 100.0).then_some(text);
        };
        Some(if candidate.breaker == "open" {
            format!(
                "{name} is ejected, so it is tried last: its breaker is open, and a request may probe it in {}",
                span_left(after)
            )
        } else {
            format!(
                "{name} is ejected, so it is tried last: a request probes it now, and another may in {} at the latest",
                span_left(after)
            )
        })
    });
    let left_out = explanation.left_out.iter().map(|member| {
        let (name, why, tier) = (&member.deployment, &member.why, member.tier);
        let how_long = match (member.for_s, &member.until) {
            (Some(for_s), Some(until)) => format!("for {} more, until {until}", span_left(for_s)),
            _ => "until it is put back".to_owned(),
        };
        format!("{name} (tier {tier}) is left out: {why} {how_long}")
    });
    let passed_over = explanation.candidates.iter().filter_map(|candidate| {
        let PassedOver { used, filled, full } = candidate.passed_over?;
        let [used, filled, full] = [used, filled, full].map(|part| 100.0 * part);
        let name = &candidate.deployment;
        Some(format!(
            "{name} is passed over while others have room: {used:.0} % of its limit is used, it would be {filled:.0} % with this request, which \
             fills it to {full:.0} % at most"
        ))
    });
    for line in passed_over
        .chain(ejected)
        .chain(left_out)
        .chain(explanation.unasked.as_ref().map(unasked))
    {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

/// What becomes of a request that nobody can be asked for.
fn unasked(unasked: &Unasked) -> String {
    let Unasked {
        waits_up_to_s,
        status,
        code,
        retry_after_s,
    } = unasked;
    let after = retry_after_s.map_or_else(String::new, |after| format!(", retry after {}", span_left(after)));
    let answer = format!("{status} (`{code}`{after})");
    match waits_up_to_s {
        Some(most) => format!(
            "nobody can be asked now: the request would wait for one of them, up to {}, and else get {answer}",
            span_left(*most)
        ),
        None => format!("nobody can be asked now: the request would get {answer}"),
    }
}

/// How many of a tier's deployments share what begins like this. All others of the tier are said to be homes too: in their place
/// they would be.
fn homes(explanation: &Explanation) -> String {
    let Explanation { homes, candidates, .. } = explanation;
    let is_home = |candidate: &&CandidateShown| ["warm", "home"].contains(&candidate.reason.as_str());
    let named = candidates.iter().filter(is_home).count();
    if named > *homes {
        return format!("{homes}; more that are marked `home` stand in the order in which they would take over");
    }
    homes.to_string()
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
    let noun = if count == 1 { "block" } else { "blocks" };
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
            format!("about {prompt_tokens} tokens in {count} {noun}, {turn}; counts {total_tokens} against a limit"),
        ),
        ("key block", key),
        ("homes", homes(explanation)),
        (
            "warm",
            match explanation.warm_tokens {
                0 => "nowhere".to_owned(),
                tokens => format!("{tokens} tokens at one deployment at least"),
            },
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
            candidate.tier.to_string(),
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
        "tier",
        "reason",
        "cached",
        "limit",
        "room",
        "in flight",
    ];
    columns(&header, 5, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::explain::BlockShown;

    fn explanation(blocks: usize, homes: usize, reasons: &[&str]) -> Explanation {
        let candidate = |reason: &&str| CandidateShown {
            deployment: "a/ft".to_owned(),
            region: "a".to_owned(),
            tier: 1,
            reason: (*reason).to_owned(),
            expected_tokens: 0,
            limit: None,
            room: None,
            in_flight: 0.0,
            breaker: "closed".to_owned(),
            share_of_plans: 1.0,
            probed_in_s: None,
            passed_over: None,
        };
        let block = BlockShown {
            id: "00ff".to_owned(),
            tokens: 128,
        };
        Explanation {
            route: "bot".to_owned(),
            pool: "ft".to_owned(),
            policy: "nested".to_owned(),
            replicas: 1,
            prompt_tokens: 130,
            total_tokens: 140,
            is_first_turn: true,
            blocks: vec![block; blocks],
            key_block: None,
            homes,
            warm_tokens: 0,
            cache_key: None,
            candidates: reasons.iter().map(candidate).collect(),
            left_out: Vec::new(),
            unasked: None,
        }
    }

    #[test]
    fn counts_are_in_words_that_fit() {
        let check = |blocks, homes, reasons: &[&str], expected: &str| {
            let text = shown(&explanation(blocks, homes, reasons));
            assert!(text.contains(expected), "no `{expected}` in\n{text}");
        };
        check(1, 1, &["home"], "tokens in 1 block, first turn");
        check(2, 1, &["home"], "tokens in 2 blocks, first turn");
        check(1, 1, &["home"], "\nhomes      1\n");
        check(
            1,
            1,
            &["warm", "home", "home"],
            "\nhomes      1; more that are marked `home` stand in the order",
        );
        check(1, 2, &["home", "home", "tier"], "\nhomes      2\n");
    }

    #[test]
    fn who_has_no_room_is_said_and_where_nothing_is_warm() {
        let mut told = explanation(1, 1, &["spill_no_room", "home"]);
        told.candidates[1].deployment = "b/ft".to_owned();
        told.candidates[1].passed_over = Some(PassedOver {
            used: 0.66,
            filled: 0.712,
            full: 0.7,
        });
        let text = shown(&told);
        let line = "\nb/ft is passed over while others have room: 66 % of its limit is used, it would be 71 % with this request, which fills it to 70 % at most";
        assert!(text.ends_with(line), "{text}");
        assert!(text.contains("\nwarm       nowhere\n"), "{text}");
        told.warm_tokens = 9;
        assert!(shown(&told).contains("\nwarm       9 tokens at one deployment at least\n"));
    }

    #[test]
    fn what_becomes_of_a_request_for_nobody() {
        let check = |waits_up_to_s, retry_after_s, expected: &str| {
            let unasked = Unasked {
                waits_up_to_s,
                status: 429,
                code: "rate_limit_exceeded".to_owned(),
                retry_after_s,
            };
            let text = shown(&Explanation {
                unasked: Some(unasked),
                ..explanation(1, 1, &[])
            });
            assert!(text.ends_with(expected), "{text}");
        };
        check(
            Some(5.0),
            Some(1.25),
            "the request would wait for one of them, up to 5 s, and else get 429 (`rate_limit_exceeded`, retry after 2 s)",
        );
        check(
            None,
            None,
            "nobody can be asked now: the request would get 429 (`rate_limit_exceeded`)",
        );
    }
}
