//! Dashboards and rules against a real Prometheus that scrapes a real gateway, under traffic and an outage: every expression of every
//! panel, variable, recording rule and alert is asked, none may be an error, and each must find data, but for the few of [`EMPTY`].
//!
//! Prometheus is Debian's `prometheus`, which `make test` installs; without it the tests say so and are skipped.
//! `EMBERWAY_TEST_PROMETHEUS` names another program and makes a skip a failure. The outcome is printed and written to
//! `target/prometheus.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::clients::fleet::interpreter;

mod expressions;
mod model;
mod server;
mod world;

use expressions::{Kind, Question};
use server::Prometheus;
use world::Watched;

/// Longest time for everything to have been seen; most of it is there within ten seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Parts of expressions that rightly find nothing in this world, and why.
const EMPTY: &[(&str, &str)] = &[
    ("offset", "nothing is a day old"),
    ("absent(", "a gateway is scraped"),
    (
        r#"emberway_fleet_looks_total{result="failed"}"#,
        "Azure can be read; tests/it/fleet has one that cannot",
    ),
    ("emberway_otlp_", "there is no collector; tests/it/otlp has one"),
    (
        "emberway_rebuilds_total",
        "no policy here makes deployments again; tests/it/fleet/phoenix.rs does",
    ),
    ("emberway_deployment_rebuilding", "the same"),
    (
        "emberway_requests_cut_off_total",
        "the gateway ends after the last question",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_expression_finds_data_in_a_real_prometheus() {
    let program = match interpreter("EMBERWAY_TEST_PROMETHEUS", Path::new("prometheus"), &["--version"]).await {
        Ok(program) => program,
        Err(reason) => return skip(&reason),
    };
    let watched = Watched::start().await;
    let prometheus = Prometheus::start(&program, watched.scraped()).await;
    let traffic = watched.traffic();
    let all = expressions::all();
    let asked = all.len();
    let (excused, mut open): (Vec<Question>, Vec<Question>) =
        all.into_iter().partition(|question| excuse(question).is_some());
    let mut table = Vec::new();
    let until = Instant::now() + PATIENCE;
    loop {
        let mut waiting = Vec::new();
        for question in open {
            match prometheus.ask(&question).await {
                0 => waiting.push(question),
                series => table.push((question, series.to_string())),
            }
        }
        open = waiting;
        if open.is_empty() || Instant::now() > until {
            break;
        }
        // Prometheus scrapes and evaluates once a second.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut used = BTreeSet::new();
    for mut question in excused {
        let Some((part, reason)) = excuse(&question) else {
            continue;
        };
        // Of now: before the first scrape anything was absent.
        question.kind = Kind::Instant;
        assert_eq!(
            prometheus.ask(&question).await,
            0,
            "{question} finds data, so it needs no excuse"
        );
        used.insert(*part);
        table.push((question, (*reason).to_owned()));
    }
    let unhealthy = prometheus.unhealthy_rules().await;
    traffic.abort();
    show(table, asked);
    let empty: Vec<String> = open.iter().map(ToString::to_string).collect();
    assert!(empty.is_empty(), "these find nothing:\n{}", empty.join("\n"));
    assert_eq!(unhealthy, Vec::<String>::new());
    let unused: Vec<_> = EMPTY.iter().filter(|(part, _)| !used.contains(part)).collect();
    assert!(unused.is_empty(), "nothing needs these excuses: {unused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_accepts_the_rules_and_their_own_tests_pass() {
    let promtool = match interpreter("EMBERWAY_TEST_PROMTOOL", Path::new("promtool"), &["--version"]).await {
        Ok(program) => program,
        Err(reason) => return skip(&reason),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/prometheus");
    for arguments in [
        ["check", "rules", "recording.yaml", "alerts.yaml"],
        ["test", "rules", "rules.test.yaml", "slow.test.yaml"],
    ] {
        let mut command = tokio::process::Command::new(&promtool);
        let run = command.args(arguments).current_dir(&folder).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, run)
            .await
            .expect("it ends")
            .expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&said)
        );
    }
}

/// Why a question rightly finds nothing.
fn excuse(question: &Question) -> Option<&'static (&'static str, &'static str)> {
    let fits = |(part, _): &&(&str, &str)| question.kind != Kind::Valid && question.expression.contains(part);
    EMPTY.iter().find(fits)
}

/// Prints the outcome by dashboard, and writes each question's.
#[expect(clippy::print_stdout, reason = "the table is to be read")]
fn show(mut rows: Vec<(Question, String)>, asked: usize) {
    rows.sort_by_key(|(question, _)| question.order);
    let mut page = "| file | panel or rule | query | series |\n| --- | --- | --- | --- |\n".to_owned();
    let mut counts: Vec<(String, usize, usize)> = Vec::new();
    for (question, series) in &rows {
        let (file, place) = (&question.file, &question.place);
        let expression = question.expression.replace('|', "\\|").replace('\n', " ");
        writeln!(page, "| {file} | {place} | `{expression}` | {series} |").expect("text");
        let found = usize::from(series.parse::<usize>().is_ok());
        match counts.iter_mut().find(|(known, ..)| known == file) {
            Some((_, all, with_data)) => (*all, *with_data) = (*all + 1, *with_data + found),
            None => counts.push((file.clone(), 1, found)),
        }
    }
    let mut summary = "| file | expressions | with data |\n| --- | ---: | ---: |\n".to_owned();
    for (file, all, with_data) in counts {
        writeln!(summary, "| {file} | {all} | {with_data} |").expect("text");
    }
    println!("{summary}\n{} of {asked} expressions asked", rows.len());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the target folder");
    std::fs::write(target.join("prometheus.md"), format!("{summary}\n{page}")).expect("the table can be written");
}

#[expect(clippy::print_stdout, reason = "a skipped test should say so")]
fn skip(reason: &str) {
    println!("skipped: {reason} (Debian's prometheus)");
}
