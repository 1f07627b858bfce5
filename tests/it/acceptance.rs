//! What a fine-tuned deployment needs of a gateway, row by row: each step is really run, by the built program or a client, against the
//! simulator, and noted in a table that is printed and written to `target/acceptance.md`.
//!
//! The rows are those of Azure's own way of working with such deployments: create, source in another region and tenant, the Azure CLI's
//! flags, progress, inactivity, hosting, SDK and curl, prompt caching, deployment types, delete. Other tests go deeper; here is that
//! each is there.

use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;

mod creation;
mod curl;
mod deletion;
mod money;
mod time;
mod traffic;

/// The rows.
const ROWS: &[&str] = &[
    "1 create, same account",
    "2 cross-region and cross-subscription",
    "3 cross-tenant",
    "4 Azure CLI equivalents, curl",
    "5 progress",
    "6 inactivity",
    "7 hosting cost",
    "8 SDK and curl samples",
    "9 prompt caching",
    "10 deployment types",
    "11 delete",
];

/// The steps of one row, as far as they held.
#[derive(Clone, Default)]
pub(super) struct Row(Arc<Mutex<Vec<(String, String)>>>);

impl Row {
    /// Notes a step that held: what was run, and what was seen.
    pub(super) fn held(&self, command: &str, result: &str) {
        self.0.lock().push((command.to_owned(), result.to_owned()));
    }

    /// Notes a step that could not be run here.
    pub(super) fn skipped(&self, command: &str, reason: &str) {
        self.held(command, &format!("skipped: {reason}"));
    }

    /// Checks what the program said, and notes it: its exit code, and each of these parts.
    #[track_caller]
    pub(super) fn said(&self, command: &[&str], said: &str, code: u8, parts: &[&str]) {
        assert!(said.starts_with(&format!("exit {code}\n")), "{command:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{command:?}: no `{part}` in {said}");
        }
        let shown = format!("emberway {}", command.join(" "));
        self.held(&shown, &format!("exit {code}: {}", parts.join(" … ")));
    }
}

/// Runs all rows beside each other; one that fails is in the table too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_the_acceptance_list_holds() {
    let rows: Vec<Row> = ROWS.iter().map(|_| Row::default()).collect();
    let of = |at: usize| rows[at - 1].clone();
    let running = [
        tokio::spawn(creation::same_account(of(1))),
        tokio::spawn(creation::from_elsewhere(of(2))),
        tokio::spawn(creation::from_another_tenant(of(3))),
        tokio::spawn(curl::equivalents(of(4))),
        tokio::spawn(creation::progress(of(5))),
        tokio::spawn(time::inactivity(of(6))),
        tokio::spawn(money::hosting(of(7))),
        tokio::spawn(traffic::samples(of(8))),
        tokio::spawn(traffic::prompt_caching(of(9))),
        tokio::spawn(money::types(of(10))),
        tokio::spawn(deletion::deletion(of(11))),
    ];
    let mut table = "| row | command | result |\n| --- | --- | --- |\n".to_owned();
    let mut failures = Vec::new();
    for ((name, row), task) in ROWS.iter().zip(&rows).zip(running) {
        let ended = task.await;
        for (command, result) in row.0.lock().iter() {
            writeln!(table, "| {name} | `{}` | {} |", cell(command), cell(result)).expect("text");
        }
        if let Err(error) = ended {
            let panic = error.into_panic();
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|&said| said.to_owned()));
            let said = said.unwrap_or_else(|| "it failed".to_owned());
            writeln!(table, "| {name} | the next step | **failed**: {} |", cell(&said)).expect("text");
            failures.push(*name);
        }
        assert!(
            !row.0.lock().is_empty() || failures.contains(name),
            "{name} has no step"
        );
    }
    show(&table);
    assert!(
        failures.is_empty(),
        "rows that failed, see the table above: {failures:?}"
    );
}

/// Text as one cell of a table.
fn cell(text: &str) -> String {
    // Ids as far as they tell one thing from another.
    text.replace("11111111-1111-4111-8111-", "…")
        .replace(
            "/resourceGroups/emberway-sim/providers/Microsoft.CognitiveServices/",
            "/…/",
        )
        .replace('|', "\\|")
        .replace('`', "'")
        .replace('\n', " ")
}

#[expect(clippy::print_stdout, reason = "the table is to be read")]
fn show(table: &str) {
    println!("{table}");
    let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::create_dir_all(&target).expect("the folder of what is built");
    std::fs::write(target.join("acceptance.md"), table).expect("written");
}
