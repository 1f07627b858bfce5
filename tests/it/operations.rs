//! Every operation follows the rules of chats: who is tried, what is counted, what is kept of it.

use emberway::simulator::faults::Action;

use crate::harness::{Answer, Setup, World, preset, read};

/// An operation with a question: its path in the v1 family, its body, and whether its answer streams.
const ALL: [(&str, &str, bool); 7] = [
    (
        "chat/completions",
        r#"{"model":"bot","messages":[{"role":"user","content":"Hi"}]}"#,
        false,
    ),
    (
        "chat/completions",
        r#"{"model":"bot","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#,
        true,
    ),
    ("completions", r#"{"model":"bot","prompt":"Once upon"}"#, false),
    (
        "completions",
        r#"{"model":"bot","stream":true,"prompt":"Once upon"}"#,
        true,
    ),
    ("embeddings", r#"{"model":"embed","input":"Once upon"}"#, false),
    ("responses", r#"{"model":"bot","input":"Hi"}"#, false),
    ("responses", r#"{"model":"bot","stream":true,"input":"Hi"}"#, true),
];

async fn ask(world: &World, path: &str, body: &str) -> Answer {
    let request = world.post(&format!("/openai/v1/{path}"), body.to_owned());
    read(request.send().await.expect("an answer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_fail_over_and_leave_the_usage_that_the_answer_reports() {
    for (path, body, streamed) in ALL {
        for fault in [
            preset("server_error"),
            preset("token_limit"),
            Action::Cut { after_chunks: 1 },
        ] {
            let world = World::start(Setup::default()).await;
            let what = format!("{path} {body} {fault:?}");
            world.fault("a", fault);
            let answer = ask(&world, path, body).await;
            assert_eq!(answer.status, 200, "{what}: {answer:?}");
            let served = answer.header("x-emberway-deployment");
            assert!(matches!(served, "b/ft" | "b/embed"), "{what}: {served}");
            assert_eq!(answer.header("x-emberway-attempts"), "2", "{what}");
            let row = world.record(&answer.headers).await;
            assert_eq!((row.outcome.as_str(), row.attempts), ("success", 2), "{what}");
            assert_eq!(
                (row.source.as_str(), row.streamed == 1),
                ("reported", streamed),
                "{what}"
            );
            assert!(row.prompt_tokens > 0, "{what}: {row:?}");
            assert_eq!(row.completion_tokens > 0, path != "embeddings", "{what}: {row:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_count_against_the_clients_limits() {
    for (path, body, _) in ALL {
        let world = World::start(Setup {
            client: "limits: { requests_per_minute: 1 }",
            ..Setup::default()
        })
        .await;
        let first = ask(&world, path, body).await;
        assert_eq!(
            (first.status.as_u16(), first.header("x-ratelimit-remaining-requests")),
            (200, "0"),
            "{path}"
        );
        let before = world.requests().len();
        let refused = ask(&world, path, body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (429, "rate_limit_exceeded"),
            "{path}"
        );
        assert_eq!(world.requests().len(), before, "{path}: nothing of this goes upstream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_say_so_when_nobody_answers() {
    for (path, body, _) in ALL {
        let world = World::start(Setup::default()).await;
        for account in ["a", "b"] {
            world.fault(account, preset("token_limit"));
        }
        let answer = ask(&world, path, body).await;
        assert_eq!(answer.status, 429, "{path}: {answer:?}");
        assert!(!answer.header("retry-after").is_empty(), "{path}");
        let row = world.record(&answer.headers).await;
        assert_eq!(
            (row.outcome.as_str(), row.source.as_str()),
            ("throttled", "none"),
            "{path}"
        );
    }
}
