//! The demo as it is given, only shorter and on free ports.

use std::time::Duration;

use super::*;
use crate::replay::trace::files::{self, Pick};

fn options(directory: &std::path::Path) -> Options {
    Options {
        once: true,
        env_file: directory.join("demo.env"),
        env_file_taken: None,
        report: Some(directory.join("report.json")),
        stamp_after: None,
        load: Duration::from_secs(u64::from(*LOAD_SECONDS.start())),
        free_ports: true,
        program: Program {
            word: "./emberway".to_owned(),
            folder: None,
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_claimed_holds() {
    let directory = tempfile::tempdir().expect("directory");
    let mut out = Vec::new();
    let verdict = run(
        &options(directory.path()),
        &mut out,
        &mut Box::pin(std::future::pending()),
    )
    .await;
    let told = String::from_utf8(out).expect("text");
    let verdict = verdict.expect("runs").expect("was not stopped");
    assert!(verdict.holds(), "{told}");
    for act in ["\n1. ", "\n2. ", "\n3. ", "\n4. ", "\n5. "] {
        assert!(told.contains(act), "{told}");
    }
    let report = std::fs::read(directory.path().join("report.json")).expect("reads");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report["total"]["failed"], 0);
    // How many of the streams had begun in time is a matter of the machine.
    let cut = report["total"]["cut_and_said"].as_u64();
    assert!(cut.is_some_and(|cut| cut > 0), "{told}");
    assert_eq!(report["holds"], true);
    // As many requests by turns, but for the rounding of rates, and none of them failed.
    let requests = |side: &str| report[side]["requests"].as_u64().expect("a count");
    assert!(requests("act_2_by_turns") >= requests("act_2"), "{told}");
    assert_eq!(report["act_2_by_turns"]["failed"], 0, "{told}");
    assert!(told.contains("Round robin would have found"), "{told}");
    // What is left can be replayed by the command that is told.
    let traces = std::fs::read_dir(directory.path())
        .expect("reads")
        .map(|entry| entry.expect("an entry").path());
    let trace = traces
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let trace = trace.expect("a trace");
    assert!(
        told.contains(&format!("./emberway replay {} --route summary", trace.display())),
        "{told}"
    );
    let read = files::read(&trace, None, Pick::Routes(&[handout::REPLAYED_ROUTE])).expect("a trace");
    assert_eq!(read.actual.deployments, 2);
    assert_eq!(read.actual.requests, read.requests.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_is_stopped_claims_nothing_and_ends_in_order() {
    let directory = tempfile::tempdir().expect("directory");
    let mut out = Vec::new();
    let verdict = run(&options(directory.path()), &mut out, &mut std::future::ready(())).await;
    assert_eq!(verdict.expect("ends"), None);
    assert!(String::from_utf8_lossy(&out).ends_with("the usage store was written out.\n"));
    assert!(!directory.path().join("demo.env").exists(), "it would point nowhere");
}
