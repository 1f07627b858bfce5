//! What the command line says when Azure's control plane refuses or nobody can log in: every sentence, to be read in review.
//!
//! `SNAPSHOTS=overwrite cargo test --test it sentences` rewrites the two tables; read the change as somebody at three in the morning:
//! what happened, where, and what to do. No sentence holds a token or a secret.

use std::fmt::Write as _;

use snapbox::{assert_data_eq, file};

use crate::harness::desk::{Desk, GUESTS_TOKEN, HOMES_TOKEN, PARTNERS_TOKEN, READERS_TOKEN, TOKEN};

mod arm;
mod credentials;
mod rubbish;

/// What nobody may read in a sentence, beside the simulator's own tokens, which are JSON Web Tokens.
const SECRETS: &[&str] = &[
    TOKEN,
    PARTNERS_TOKEN,
    READERS_TOKEN,
    HOMES_TOKEN,
    GUESTS_TOKEN,
    "sim-client-secret",
    credentials::WRONG_SECRET,
    credentials::FEDERATED,
    credentials::KEY_BYTES,
    "eyJ",
];

/// A table of causes and what was said of each.
pub(super) struct Table(String);

impl Table {
    fn new() -> Self {
        Self("| cause | sentence | exit code |\n| --- | --- | --- |\n".to_owned())
    }

    /// Adds what the program said, which must be an error and hold no secret.
    #[track_caller]
    fn add(&mut self, cause: &str, said: &str) {
        let (exit, rest) = said.split_once('\n').expect("an exit code");
        let code = exit.strip_prefix("exit ").expect("an exit code");
        assert_ne!(code, "0", "{cause}: {said}");
        for secret in SECRETS {
            assert!(!said.contains(secret), "{cause}: a secret in {said}");
        }
        let error = rest
            .strip_prefix("--- stderr\n")
            .unwrap_or_else(|| panic!("{cause}: {said}"));
        let sentence = without_what_differs(error.trim_end())
            .replace('|', "\\|")
            .replace('\n', "<br>");
        writeln!(self.0, "| {cause} | {sentence} | {code} |").expect("text");
    }

    #[expect(clippy::print_stdout, reason = "the table is to be read")]
    fn print(&self) {
        println!("{}", self.0);
    }
}

/// Without ports, ids of requests and times, which differ from run to run.
fn without_what_differs(text: &str) -> String {
    let mut text = replaced(text, "127.0.0.1:", |c| c.is_ascii_digit(), "PORT");
    for before in ["(request `", "(trace `"] {
        text = replaced(&text, before, |c| c != '`', "ID");
    }
    text
}

/// Puts a word in the place of what follows a mark.
fn replaced(text: &str, mark: &str, is_part: impl Fn(char) -> bool, word: &str) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out = out + mark + word + part.trim_start_matches(&is_part);
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_arm_says_what_to_do() {
    let mut table = Table::new();
    arm::refusals(&mut table).await;
    table.print();
    assert_data_eq!(table.0, file!["sentences/arm.md"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_to_log_in_says_what_to_do() {
    let mut table = Table::new();
    credentials::failures(&mut table).await;
    table.print();
    assert_data_eq!(table.0, file!["sentences/credentials.md"]);
}

/// A world where what takes minutes takes a moment, and what is scarce is scarce.
async fn desk() -> Desk {
    Desk::start(
        "durations: { create_s: 1, update_s: 3600, delete_s: 1, propagation_s: 0 }\n  \
         quota: [{ location: swedencentral, usage: OpenAI.Standard.gpt-4.1-mini-finetune, limit: 20 }]\n  \
         retirements: [{ model: gpt-4o-mini, deployment: '2026-01-01' }]",
    )
    .await
}
