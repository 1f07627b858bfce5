//! A usage store that cannot be written: requests go on, what finds no room is counted, and when there is room again the rest is written.

use std::time::Duration;

use tokio::process::Command;

use crate::target::{Target, question};
use crate::world::{KEY, PATH, client, eventually, rows, sum_of};

/// Records that may wait.
const QUEUE: u32 = 200;

/// By how many bytes the store's log of changes may grow once the gateway runs.
const ROOM: u64 = 128 << 10;

/// Requests made at one time.
const AT_ONCE: u32 = 20;

struct Counted {
    accepted: f64,
    written: f64,
    dropped: f64,
    errors: f64,
}

async fn counted(target: &Target) -> Counted {
    let metrics = target.metrics().await;
    let of = |what: &str| sum_of(&metrics, &format!("emberway_usage_{what}_total"));
    Counted {
        accepted: of("records_accepted"),
        written: of("records_written"),
        dropped: of("records_dropped"),
        errors: of("write_errors"),
    }
}

/// Asks so many times; every answer must be good.
async fn ask(target: &Target, times: u32) -> u32 {
    let client = client(reqwest::ClientBuilder::http1_only);
    let url = format!("http://{}{PATH}", target.aim().address);
    let body = question("\"max_tokens\":5,", false);
    for _ in 0..times / AT_ONCE {
        let round = (0..AT_ONCE).map(|_| client.post(&url).header("api-key", KEY).body(body.clone()).send());
        for answer in futures_util::future::join_all(round).await {
            assert_eq!(answer.expect("an answer").status(), 200);
        }
    }
    times / AT_ONCE * AT_ONCE
}

/// From now on no file of the process may be longer than so many bytes.
async fn limit_files(target: &Target, bytes: &str) {
    let limited = Command::new("prlimit")
        .args(["--pid", &target.id().to_string(), &format!("--fsize={bytes}:unlimited")])
        .status()
        .await;
    assert!(limited.expect("prlimit").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_no_request_and_loses_no_record_in_silence() {
    // A signal that is ignored becomes an error of the write, as on a disk that is full.
    let command = format!(
        "trap '' XFSZ; exec {} run --config emberway.yaml",
        env!("CARGO_BIN_EXE_emberway")
    );
    let usage = format!("path: usage.db, queue: {QUEUE}");
    let target = Target::start_with("/bin/sh", &["-c", &command], &usage).await;
    let log = tokio::fs::metadata(target.directory().join("usage.db-wal")).await;
    limit_files(&target, &(log.expect("the store has one").len() + ROOM).to_string()).await;
    let before = counted(&target).await;
    let mut asked = 0;
    // Until the store is full, and the queue with it.
    let full = loop {
        asked += ask(&target, 200).await;
        let now = counted(&target).await;
        if now.errors > 0.0 && now.dropped > 0.0 {
            break now;
        }
        assert!(asked < 20_000, "the disk is not full after {asked} requests");
    };
    assert!(
        (full.accepted + full.dropped - before.accepted - f64::from(asked)).abs() < 0.5,
        "every record is accounted for"
    );
    assert!(
        full.accepted - full.written <= f64::from(QUEUE),
        "the queue has its bound"
    );

    // Somebody makes room.
    limit_files(&target, "unlimited").await;
    asked += ask(&target, 100).await;
    let written = eventually(Duration::from_secs(20), || async {
        let now = counted(&target).await;
        (now.written >= now.accepted).then_some(now)
    });
    let now = written.await.expect("what waited is written");
    assert!((now.accepted + now.dropped - before.accepted - f64::from(asked)).abs() < 0.5);
    assert_eq!(
        rows(target.directory()).await.len(),
        now.written as usize,
        "and is in the store"
    );
    println!(
        "full disk: {asked} requests answered, {} records written, {} dropped and counted, {} writes failed",
        now.written, now.dropped, now.errors
    );
}
