//! The wall clock jumps, as it does after a suspended machine wakes or a wrong time is set right: nothing that waits goes by it.

use std::path::Path;

use serde_json::json;

use super::ends::prepared;
use super::program::Gateway;
use crate::harness::{KEY, STREAM, Setup, WHOLE, client, read, records_in, respond, within};
use crate::wire::{Wire, request};
use emberway::simulator::faults::Fault;

/// Where Debian keeps the library that changes what a process takes for the time.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

const DAY_S: i64 = 24 * 60 * 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_by_days_disturbs_nobody() {
    if !Path::new(LIBRARY).exists() {
        println!("skipped: there is no {LIBRARY} to change the time with (Debian's libfaketime)");
        return;
    }
    let setup = Setup {
        // An answer of some 600 ms.
        engine: "base_latency_ms: 0, prefill_us_per_token: 0, decode_tokens_per_s: 40, min_output_tokens: 24, max_output_tokens: 24",
        ..Setup::default()
    };
    let (sim, place, config) = prepared(&setup).await;
    place.write("offset", "+0");
    let offset = place.path("offset");
    let variables = [
        ("LD_PRELOAD", LIBRARY),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().expect("UTF-8")),
        ("FAKETIME_NO_CACHE", "1"),
        // A kernel's monotonic clock does not jump.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let mut gateway = Gateway::start_with(&place, &config, &[], &variables).await;
    let client = client(|builder| builder);
    let url = format!("http://{}/openai/v1/chat/completions", gateway.address);
    let ask = async || {
        let sent = client.post(&url).header("api-key", KEY).body(WHOLE).send().await;
        read(sent.expect("an answer")).await
    };
    assert_eq!(ask().await.status, 200);
    let before = time_of(&gateway.logs("request").await);
    let mut asked = 1;
    for (jump, days) in [("+1d", 1), ("-2d", -2)] {
        // One that rests, and a stream that runs, over the jump.
        let body = json!({"error": {"code": "429", "message": "Rate limit is exceeded."}});
        let fault = Fault::new(respond(429, body, &[("retry-after-ms", "700")]));
        sim.control()
            .add_fault(fault.on_account("a").times(1))
            .expect("a fault");
        assert_eq!(ask().await.status, 200);
        let mut stream = Wire::connect(gateway.address).await;
        stream.send(request(KEY, STREAM)).await;
        stream.read_until("\"content\"").await;
        place.write("offset", jump);
        stream.read_until("data: [DONE]").await;
        asked += 2;
        let back = async {
            loop {
                asked += 1;
                let answer = ask().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                if answer.header("x-emberway-deployment") == "a/ft" {
                    return;
                }
            }
        };
        within("it has rested as long as it asked, and no longer", back).await;
        within(
            "a line in the new time",
            has_jumped(&mut gateway, before + days * DAY_S),
        )
        .await;
    }
    gateway.terminate().await;
    assert_eq!(gateway.ended().await.code(), Some(0));
    let records = records_in(place.path("").as_path()).await;
    let whole = records.iter().filter(|record| record.outcome == "success").count();
    assert_eq!((whole, records.len()), (asked, asked), "{records:?}");
}

/// Reads the log up to a line of about this time.
async fn has_jumped(gateway: &mut Gateway, to_s: i64) {
    while (time_of(&gateway.logs("request").await) - to_s).abs() > 3_600 {}
}

/// When a line was logged, in seconds since the Unix epoch.
fn time_of(line: &serde_json::Value) -> i64 {
    let text = line["time"].as_str().expect("a time");
    text.parse::<jiff::Timestamp>().expect("a time").as_second()
}
