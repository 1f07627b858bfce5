//! What share of the prompts is found cached, through the gateway and without it.
//!
//! The same requests are sent to one simulated deployment directly, and to others like it, with caches as empty, through a
//! gateway. What the answers themselves report must be the same share: a gateway that changes a prompt, sends it with a key of its own or
//! sends it elsewhere loses hits.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, Setup, World};

/// Shared beginnings, each longer than the 1,024 tokens below which nothing is cached. An odd number, so that taking turns spreads
/// each of them.
const HEADS: usize = 7;
/// Conversations of a head, and turns of a conversation. Fewer requests of a head in all than would overflow to a deployment's next
/// machine.
const CONVERSATIONS: usize = 4;
const TURNS: usize = 3;
/// Points of a hundred by which the shares may differ.
const POINTS: f64 = 1.0;
/// Points that must be found at least, so that there is something to lose: a head's first reader finds nothing, and half of all
/// would be found also if three of four requests came to the wrong deployment.
const SHARE_MIN: f64 = 60.0;

/// Tokens of some answers.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Found {
    prompt: u64,
    cached: u64,
}

impl Found {
    /// Of what all these answers report.
    fn of<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Self {
        let mut all = Self::default();
        for answer in answers {
            let usage = usage(answer);
            all.prompt += usage["prompt_tokens"].as_u64().unwrap();
            all.cached += usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
        }
        all
    }

    fn percent(self) -> f64 {
        100.0 * self.cached as f64 / self.prompt as f64
    }
}

/// The usage that an answer reports, in its one body or in its stream's last event but `[DONE]`.
fn usage(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    if !answer.header("content-type").starts_with("text/event-stream") {
        return answer.json()["usage"].clone();
    }
    let text = answer.text();
    let mut events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let reported = events.rfind(|event| *event != "[DONE]").expect("an event");
    serde_json::from_str::<Value>(reported).unwrap()["usage"].clone()
}

/// The bodies, in the order in which they are sent: conversations of all heads take turns, and every second one is streamed. The
/// answers that later turns repeat are made up here, so that everybody is asked the same.
fn bodies() -> Vec<String> {
    let mut bodies = Vec::new();
    for turn in 1..=TURNS {
        for conversation in 0..CONVERSATIONS {
            for head in 0..HEADS {
                let mut messages = vec![message("system", &format!("Head {head}."), 1_100 + 150 * head)];
                for number in 1..=turn {
                    let opening = format!("Question {number} of {conversation} to {head}.");
                    messages.push(message("user", &opening, 60 + 40 * number));
                    if number < turn {
                        messages.push(message("assistant", "This is known.", 90));
                    }
                }
                let streamed = bodies.len() % 2 == 1;
                let mut body = json!({"model": "bot", "messages": messages, "max_tokens": 32});
                if streamed {
                    body["stream"] = true.into();
                    body["stream_options"] = json!({"include_usage": true});
                }
                bodies.push(body.to_string());
            }
        }
    }
    bodies
}

/// A message of some tokens of four bytes that begins with these words.
fn message(role: &str, opening: &str, tokens: usize) -> Value {
    let content = format!("{opening} {}", "and ".repeat(tokens));
    json!({"role": role, "content": content})
}

/// The usual world with one deployment in each of these accounts, all equally preferred, and far more room than is needed.
fn pool(accounts: &'static [&'static str]) -> Setup {
    Setup {
        accounts,
        one_tier: true,
        simulated: "capacity: 10000",
        ..Setup::default()
    }
}

/// What is found when all is sent straight to an account whose caches are empty.
async fn directly(world: &World, account: &str) -> Found {
    let mut answers = Vec::new();
    for body in bodies() {
        answers.push(world.ask_simulator(account, &body).await);
    }
    Found::of(&answers)
}

/// The answers that come through the gateway.
async fn through_the_gateway(world: &World) -> Vec<Answer> {
    let mut answers = Vec::new();
    for body in bodies() {
        answers.push(world.ask(body).await);
    }
    answers
}

#[track_caller]
fn assert_nothing_is_lost(direct: Found, through: Found) {
    assert_eq!(direct.prompt, through.prompt, "the prompts are not the same");
    assert!(direct.percent() > SHARE_MIN, "{direct:?}: too little to lose");
    let difference = (direct.percent() - through.percent()).abs();
    assert!(
        difference <= POINTS,
        "{:.1} % directly, {:.1} % through the gateway",
        direct.percent(),
        through.percent()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_deployment_finds_as_much_behind_the_gateway_as_without_it() {
    let world = World::start(pool(&["a"])).await;
    // Another world, so that neither finds what was sent to the other.
    let apart = World::start(pool(&["a"])).await;
    let direct = directly(&apart, "a").await;
    let answers = through_the_gateway(&world).await;
    assert_nothing_is_lost(direct, Found::of(&answers));
}

#[tokio::test(flavor = "multi_thread")]
async fn four_deployments_find_as_much_as_one() {
    let world = World::start(pool(&["a", "b", "c", "d"])).await;
    let apart = World::start(pool(&["a"])).await;
    let direct = directly(&apart, "a").await;
    let answers = through_the_gateway(&world).await;
    assert_nothing_is_lost(direct, Found::of(&answers));
    let named = |answer: &Answer| answer.header("x-emberway-deployment").to_owned();
    let used: std::collections::BTreeSet<_> = answers.iter().map(named).collect();
    assert!(
        used.len() > 1,
        "heads must have different homes for this to say anything: {used:?}"
    );
    for head in 0..HEADS {
        let homes: std::collections::BTreeSet<_> = answers.iter().skip(head).step_by(HEADS).map(named).collect();
        assert_eq!(homes.len(), 1, "head {head}: {homes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_deployments_in_turn_find_much_less() {
    let setup = Setup {
        policy: "round_robin",
        ..pool(&["a", "b", "c", "d"])
    };
    let world = World::start(setup).await;
    let apart = World::start(pool(&["a"])).await;
    let direct = directly(&apart, "a").await;
    let found = Found::of(&through_the_gateway(&world).await);
    assert!(
        direct.percent() - found.percent() > 10.0 * POINTS,
        "the measure cannot tell good placement from bad: {direct:?}, {found:?}"
    );
}
