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
        goes_on: true,
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

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stays_up_is_asked_on_and_on() {
    let directory = tempfile::tempdir().expect("directory");
    let folder = directory.path();
    let mut out = Vec::new();
    let mut when_more_came = Box::pin(async {
        loop {
            // Its file is there from the beginning of the acts; what they sent is in the report at their end.
            if let Ok(report) = std::fs::read(folder.join("report.json"))
                && let Ok(report) = serde_json::from_slice::<serde_json::Value>(&report)
            {
                let of_acts = report["total"]["requests"].as_u64().expect("a count");
                let entries = std::fs::read_dir(folder).expect("reads");
                let mut paths = entries.map(|entry| entry.expect("an entry").path());
                let store = paths.find(|path| path.extension().is_some_and(|extension| extension == "db"));
                let books = books::read(&store.expect("a store"), of_acts + 1).await;
                if books.expect("reads").requests > of_acts {
                    return;
                }
            }
            // It is waited for what another task does; the test's own time limit ends a wait in vain.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let staying = Options {
        once: false,
        ..options(folder)
    };
    let verdict = tokio::time::timeout(Duration::from_mins(1), run(&staying, &mut out, &mut when_more_came)).await;
    let told = String::from_utf8(out).expect("text");
    assert!(verdict.expect("more came in time").expect("ends").is_some(), "{told}");
    assert!(told.contains("requests a second that go on"), "{told}");
}
