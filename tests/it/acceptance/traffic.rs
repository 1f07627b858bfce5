//! Rows 8 and 9: Azure's samples through the gateway as they stand, and prompts that go where they are cached.

use std::path::Path;

use serde_json::json;

use super::Row;
use crate::clients::fleet::{Fleet, folder, interpreter};
use crate::clients::{curl_sample, python_sample};
use crate::harness::{Setup, World};

pub(super) async fn samples(row: Row) {
    let fleet = Fleet::start(Fleet::usual()).await;
    let usual = folder().join(".venv/bin/python");
    match interpreter("EMBERWAY_TEST_PYTHON", &usual, &["-c", "import openai"]).await {
        Ok(python) => {
            let said = python_sample(&fleet, &python).await;
            assert!(!said.is_empty());
            row.held(
                "python tests/clients/python/sample.py",
                &format!("printed an answer of {} letters", said.len()),
            );
        }
        Err(reason) => row.skipped("python tests/clients/python/sample.py", &reason),
    }
    match interpreter("EMBERWAY_TEST_CURL", Path::new("curl"), &["--version"]).await {
        Ok(curl) => {
            let said = curl_sample(&fleet, &curl).await;
            assert!(!said.is_empty());
            row.held(
                "curl $AZURE_OPENAI_ENDPOINT/openai/deployments/gpt-35-turbo-ft/chat/completions?api-version=2024-10-21 …",
                &format!("answered with {} letters", said.len()),
            );
        }
        Err(reason) => row.skipped("curl", &reason),
    }
}

pub(super) async fn prompt_caching(row: Row) {
    let world = World::start(Setup {
        accounts: &["a", "b", "c"],
        one_tier: true,
        simulated: "capacity: 1000, context_tokens: 1000000",
        ..Setup::default()
    })
    .await;
    let head = "A fine-tuned model answers questions about parcels and their ways. ".repeat(400);
    let mut homes = Vec::new();
    for turn in 0..4 {
        let body = json!({"model": "bot", "messages": [{"role": "system", "content": head}, {"role": "user", "content": format!("question {turn}")}]});
        let answer = world.ask(body.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let usage = &answer.json()["usage"];
        let cached = usage["prompt_tokens_details"]["cached_tokens"]
            .as_i64()
            .expect("a count");
        let record = world.record(&answer.headers).await;
        assert_eq!(
            record.cached_tokens, cached,
            "the gateway counts what the client was told"
        );
        assert_eq!(cached > 0, turn > 0, "all but the first are cached");
        homes.push(answer.header("x-emberway-deployment").to_owned());
        row.held(
            &format!("POST /openai/v1/chat/completions, question {turn}"),
            &format!(
                "{} of {} tokens cached, in {}; so says the usage record",
                cached, record.prompt_tokens, homes[turn]
            ),
        );
    }
    homes.dedup();
    assert_eq!(homes.len(), 1, "one home of three");
}
