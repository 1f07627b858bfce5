//! `emberway drain` and `emberway drill` against a running gateway.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use snapbox::{assert_data_eq, str};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::program::{Place, signal};
use crate::harness::{Setup, WHOLE, World, eventually, within};

#[tokio::test]
async fn usage_names_what_is_missing_and_not_what_the_environment_tells() {
    let place = Place::new();
    for (command, usage) in [
        (
            "drain",
            "emberway drain [OPTIONS] <KIND> <NAME>\n       emberway drain [OPTIONS] --list\n",
        ),
        ("drill", "emberway drill [OPTIONS] <WHAT> <NAME>\n"),
        ("explain", "emberway explain [OPTIONS] <FILE>\n"),
    ] {
        let command = place
            .command(&[command])
            .env("EMBERWAY_ADMIN_URL", "http://127.0.0.1:9")
            .output();
        let said = String::from_utf8(command.await.expect("runs").stderr).expect("text");
        assert!(said.contains(&format!("Usage: {usage}")), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_takes_out_lists_and_puts_back() {
    let world = World::start(Setup::default()).await;
    let place = Place::new();
    let url = format!("http://{}", world.gateway.admin_address());
    let drain = async |arguments: &[&str]| {
        let said = place.run(&[&["drain", "--url", &url], arguments].concat()).await;
        said.replace(&url, "[URL]")
    };
    assert_eq!(drain(&["--list"]).await, "exit 0\n--- stdout\nnothing is drained\n");
    assert_data_eq!(
        drain(&["region", "region-a"]).await,
        str![[r#"
exit 0
--- stdout
region  region-a  until undone

"#]]
    );
    assert_data_eq!(
        drain(&["resource", "c"]).await,
        str![[r#"
exit 1
--- stderr
error: `[URL]/admin/drains` answered 404 Not Found: there is no resource `c`; there are: `a`, `b`

"#]]
    );
    let refused = drain(&["deployment", "b/ft", "--for", "1h"]).await;
    assert!(
        refused.contains("409 Conflict: that would leave nothing to use in `ft`;"),
        "{refused}"
    );
    let forced = drain(&["deployment", "b/ft", "--for", "1h", "--force"]).await;
    assert!(forced.contains("deployment  b/ft      for "), "{forced}");
    let undone = drain(&["deployment", "b/ft", "--undo"]).await;
    assert_eq!(undone, "exit 0\n--- stdout\nregion  region-a  until undone\n");
    let not_there = drain(&["deployment", "b/ft", "--undo"]).await;
    assert!(
        not_there.contains("is not drained; drained are: `region region-a`"),
        "{not_there}"
    );
    assert!(drain(&["region"]).await.starts_with("exit 2\n"));
}

/// Asks without a pause until told to stop; how many answers were not 200.
fn traffic(world: &Arc<World>, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<usize> {
    let (world, stop) = (Arc::clone(world), Arc::clone(stop));
    tokio::spawn(async move {
        let mut failed = 0;
        while !stop.load(Ordering::Acquire) {
            failed += usize::from(world.ask(WHOLE).await.status != 200);
        }
        failed
    })
}

async fn drained(world: &World) -> bool {
    world.deployment("a/ft").await["drained"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_takes_a_region_out_reports_and_puts_it_back() {
    let world = Arc::new(World::start(Setup::default()).await);
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = traffic(&world, &stop);
    let place = Place::new();
    let url = format!("http://{}", world.gateway.admin_address());
    let arguments = [
        "drill", "region", "region-a", "--url", &url, "--before", "6s", "--for", "2s", "--after", "1s", "--json",
    ];
    let mut drill = place.command(&arguments);
    drill.stdout(Stdio::piped()).stderr(Stdio::piped());
    let drill = drill.spawn().expect("it starts");
    eventually("the drain", || async { drained(&world).await.then_some(()) }).await;
    assert_eq!(world.ask(WHOLE).await.header("x-emberway-deployment"), "b/ft");
    let output = within("the drill's end", drill.wait_with_output())
        .await
        .expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("without `region-a`, pool `ft` takes "), "{said}");
    assert!(!drained(&world).await);
    stop.store(true, Ordering::Release);
    assert_eq!(traffic.await.expect("no panic"), 0);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(report["headroom"]["ft"].as_f64().expect("measured") > 1.0, "{report}");
    let phases = report["phases"].as_array().expect("phases");
    assert_eq!(phases.len(), 3);
    for phase in phases {
        assert!(phase["requests"].as_u64().expect("a number") > 10, "{phase}");
        assert_eq!(
            (&phase["failed"], &phase["refusals"]),
            (&0.into(), &0.into()),
            "{phase}"
        );
        assert!(phase["p95_s"].as_f64() >= phase["p50_s"].as_f64(), "{phase}");
        assert!(phase["p50_s"].is_f64(), "{phase}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_is_interrupted_puts_the_region_back() {
    let world = Arc::new(World::start(Setup::default()).await);
    let place = Place::new();
    let url = format!("http://{}", world.gateway.admin_address());
    // Without load nothing is known of what the others would carry.
    let refused = place
        .run(&["drill", "region", "region-a", "--url", &url, "--before", "0s"])
        .await;
    assert!(refused.starts_with("exit 1\n"), "{refused}");
    assert!(
        refused.contains("nothing was drained; `--force` drills all the same"),
        "{refused}"
    );
    assert!(!drained(&world).await);
    let unknown = place.run(&["drill", "region", "nowhere", "--url", &url]).await;
    assert!(unknown.contains("there are: `region-a`, `region-b`"), "{unknown}");

    let arguments = [
        "drill", "region", "region-a", "--url", &url, "--before", "0s", "--for", "1h", "--force",
    ];
    let mut drill = place
        .command(&arguments)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = BufReader::new(drill.stderr.take().expect("piped")).lines();
    while let Some(line) = within("its progress", said.next_line()).await.expect("text") {
        if line.contains("is out for") {
            break;
        }
    }
    assert!(drained(&world).await);
    signal(drill.id().expect("it runs"), "INT").await;
    let output = within("its end", drill.wait_with_output()).await.expect("its end");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("interrupted before its time\n"));
    assert!(!drained(&world).await);
}
