//! The operator's page in real Chromium: runs the Playwright tests of this folder and tells each of them as a test of cargo's.
//!
//! They need Node, the packages of `package-lock.json` (`make setup-page`), Chromium, and a program with the page in it. Where one of these
//! is missing, the run says which and counts as skipped; with `EMBERWAY_TEST_PAGE` set to Node's path it fails instead, which is what CI
//! wants. What follows `--` chooses tests by name. Screenshots, results and traces of failures are under `target/page`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

/// What names Node and turns a skip into a failure.
const VARIABLE: &str = "EMBERWAY_TEST_PAGE";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match missing() {
        None => trials(&arguments),
        Some(missing) if std::env::var_os(VARIABLE).is_some() => {
            vec![Trial::test("can_be_tested", move || Err(Failed::from(missing)))]
        }
        Some(missing) => {
            say(&format!(
                "skipped the page: {missing}; `make setup-page` brings what is needed"
            ));
            vec![Trial::test("can_be_tested", || Ok(())).with_ignored_flag(true)]
        }
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests should see it")]
fn say(text: &str) {
    eprintln!("{text}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page")
}

fn artefacts() -> PathBuf {
    let within = Path::new(env!("CARGO_TARGET_TMPDIR"));
    within.parent().unwrap_or(within).join("page")
}

fn node() -> PathBuf {
    std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from("node"), PathBuf::from)
}

fn chromium() -> PathBuf {
    std::env::var_os("CHROMIUM").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from)
}

/// What keeps the page from being tested, if anything does.
fn missing() -> Option<String> {
    let answers = |command: &mut Command| {
        let status = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !answers(Command::new(node()).arg("--version")) {
        return Some(format!("there is no Node at `{}`", node().display()));
    }
    if !folder().join("node_modules/@playwright/test").exists() {
        return Some("the packages of tests/page are not installed".to_owned());
    }
    if !chromium().exists() {
        return Some(format!("there is no Chromium at `{}`", chromium().display()));
    }
    let index = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/web/dist/index.html");
    (!index.exists()).then(|| "the page was not built into the program (`make page`)".to_owned())
}

/// Runs the tests that are wanted; each result as a test.
fn trials(arguments: &Arguments) -> Vec<Trial> {
    let mut command = Command::new(node());
    command
        .arg("node_modules/@playwright/test/cli.js")
        .arg("test")
        .current_dir(folder())
        .env("EMBERWAY", env!("CARGO_BIN_EXE_emberway"))
        .env("PAGE_ARTEFACTS", artefacts())
        .env("CHROMIUM", chromium())
        .stdin(Stdio::null());
    if arguments.list {
        command.arg("--list");
    }
    if let Some(filter) = &arguments.filter {
        command.args(["--grep", filter]);
    }
    let results = artefacts().join("results.json");
    // Results of an earlier run must not be taken for this one's.
    let _ = std::fs::remove_file(&results);
    let ran = command.status();
    let told = std::fs::read(&results).map_err(|error| error.to_string());
    let told = told.and_then(|told| serde_json::from_slice::<Value>(&told).map_err(|error| error.to_string()));
    let mut trials = Vec::new();
    match (ran, told) {
        (Ok(status), Ok(told)) => {
            for suite in members(&told, "suites") {
                collect(suite, &mut trials);
            }
            // One that no test failed for: the demo did not start, a file has a mistake.
            if !status.success() && members(&told, "errors").next().is_some() {
                let errors = told["errors"].to_string();
                trials.push(Trial::test("the_run_itself", move || Err(Failed::from(errors))));
            }
        }
        (Err(error), _) => {
            let text = error.to_string();
            trials.push(Trial::test("the_run_itself", move || Err(Failed::from(text))));
        }
        (_, Err(error)) => trials.push(Trial::test("the_run_itself", move || {
            Err(Failed::from(format!("Playwright left no results: {error}")))
        })),
    }
    trials
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

/// The tests of a file or a group, and of the groups within.
fn collect(suite: &Value, trials: &mut Vec<Trial>) {
    for group in members(suite, "suites") {
        collect(group, trials);
    }
    let file = suite["file"]
        .as_str()
        .unwrap_or_default()
        .trim_end_matches(".spec.ts")
        .to_owned();
    for spec in members(suite, "specs") {
        let title = spec["title"].as_str().unwrap_or_default().replace(' ', "_");
        let name = format!("{file}::{title}");
        let is_skipped = members(spec, "tests").any(|test| test["status"] == "skipped");
        let result = if spec["ok"] == true {
            Ok(())
        } else {
            Err(Failed::from(failures(spec)))
        };
        trials.push(Trial::test(name, move || result).with_ignored_flag(is_skipped));
    }
}

/// What went wrong, as Playwright tells it.
fn failures(spec: &Value) -> String {
    let results = members(spec, "tests").flat_map(|test| members(test, "results"));
    let errors = results.flat_map(|result| members(result, "errors"));
    let texts: Vec<_> = errors.filter_map(|error| error["message"].as_str()).collect();
    texts.join("\n")
}
