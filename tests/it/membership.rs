//! A pool gains or loses a deployment: how many heads move?
//!
//! Each head is a beginning of more than 1,024 tokens with a home. With memory, what is warm stays where it is; without any, as in
//! a gateway that has just started, the order of choice alone decides, and must move few. Everything is asked in sequence, and
//! names decide, so the figures are the same in every run.

use std::collections::BTreeMap;

use crate::harness::{Setup, World, upstreams};

const SEVEN: &[&str] = &["a", "b", "c", "d", "e", "f", "g"];
const EIGHT: &[&str] = &["a", "b", "c", "d", "e", "f", "g", "h"];
const NINE: &[&str] = &["a", "b", "c", "d", "e", "f", "g", "h", "i"];
/// Heads that are asked for.
const HEADS: usize = 200;
/// Most heads that may move when eight deployments become nine: an eighth and five in a hundred.
const MOVED_MAX: usize = HEADS / 8 + HEADS / 20;

/// The deployment of each head, in order.
type Homes = Vec<String>;

fn pool(accounts: &'static [&'static str]) -> Setup {
    Setup {
        accounts,
        one_tier: true,
        simulated: "capacity: 10000",
        ..Setup::default()
    }
}

/// A question of some 1,200 tokens that shares its beginning with no other head.
fn question(head: usize) -> String {
    let system = format!("You are assistant {head}. {}", "and ".repeat(1_150));
    let messages =
        serde_json::json!([{"role": "system", "content": system}, {"role": "user", "content": "Where is it?"}]);
    serde_json::json!({"model": "bot", "messages": messages}).to_string()
}

/// Asks for every head once: where each went, and how many for each reason.
async fn ask_all(world: &World) -> (Homes, BTreeMap<String, usize>) {
    let (mut homes, mut reasons) = (Vec::new(), BTreeMap::new());
    for head in 0..HEADS {
        let answer = world.ask(question(head)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        homes.push(answer.header("x-emberway-deployment").to_owned());
        *reasons
            .entry(answer.header("x-emberway-reason").to_owned())
            .or_default() += 1;
    }
    (homes, reasons)
}

/// Where a gateway that has just started sends every head.
async fn homes_without_memory(accounts: &'static [&'static str]) -> Homes {
    let (homes, reasons) = ask_all(&World::start(pool(accounts)).await).await;
    assert_eq!(reasons, BTreeMap::from([("home".to_owned(), HEADS)]));
    homes
}

/// The configuration of a world with so many of its accounts.
async fn keep(world: &World, accounts: &'static [&'static str], generation: u64) {
    let mut upstreams = upstreams(&pool(accounts), &world.sim);
    upstreams.retain(|(name, _)| accounts.contains(&name.as_str()));
    assert_eq!(upstreams.len(), accounts.len());
    let text = pool(accounts).config(&upstreams, world.directory().path());
    world.replace_config(&text).await;
    world.generation(generation).await;
}

/// The heads that are elsewhere.
fn moved(before: &Homes, after: &Homes) -> Vec<usize> {
    (0..HEADS).filter(|&head| before[head] != after[head]).collect()
}

/// Every deployment has heads, and none has more than three times its share.
fn assert_spread(homes: &Homes, deployments: usize) {
    let mut counts = BTreeMap::new();
    for home in homes {
        *counts.entry(home.as_str()).or_insert(0_usize) += 1;
    }
    let most = counts.values().copied().max().unwrap_or_default();
    assert!(
        counts.len() == deployments && most <= 3 * HEADS / deployments,
        "{counts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ninth_deployment_takes_its_share_and_moves_nothing_else() {
    let (eight, nine) = (homes_without_memory(EIGHT).await, homes_without_memory(NINE).await);
    assert_spread(&eight, 8);
    assert_spread(&nine, 9);
    let moved = moved(&eight, &nine);
    assert!(moved.len() <= MOVED_MAX, "{} of {HEADS} heads moved", moved.len());
    assert!(moved.iter().all(|&head| nine[head] == "i/ft"), "only to the new one");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_deployment_only_its_own_heads_move() {
    let (eight, seven) = (homes_without_memory(EIGHT).await, homes_without_memory(SEVEN).await);
    let moved = moved(&eight, &seven);
    let own: Vec<usize> = (0..HEADS).filter(|&head| eight[head] == "h/ft").collect();
    assert!(!own.is_empty());
    assert_eq!(moved, own);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_changes_the_pool_moves_no_warm_head_but_those_of_what_is_gone() {
    let world = World::start(pool(NINE)).await;
    keep(&world, EIGHT, 2).await;
    let (eight, _) = ask_all(&world).await;
    keep(&world, NINE, 3).await;
    let (nine, reasons) = ask_all(&world).await;
    let lost = moved(&eight, &nine);
    assert!(lost.len() <= MOVED_MAX, "{} of {HEADS} heads moved", lost.len());
    assert_eq!(lost, [0_usize; 0], "one gateway remembers where it sent what");
    assert_eq!(reasons, BTreeMap::from([("warm".to_owned(), HEADS)]));

    keep(&world, SEVEN, 4).await;
    let (seven, _) = ask_all(&world).await;
    let own: Vec<usize> = (0..HEADS).filter(|&head| nine[head] == "h/ft").collect();
    assert!(!own.is_empty());
    assert_eq!(moved(&nine, &seven), own);
}
