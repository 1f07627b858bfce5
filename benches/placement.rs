//! Nested placement: the chain of a prompt's blocks, and the plan from it, in a table that many other prompts have filled.

use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use emberway::core::placement::chain::{BlockId, Chain, ChainBuilder};
use emberway::core::placement::plan::Placement;
use emberway::core::placement::rendezvous;
use emberway::core::placement::rule::Rule;
use emberway::core::placement::view::{Ask, Member, Tier, View};
use emberway::core::topology::DeploymentIx;
use emberway::openai::request;
use sha2::{Digest, Sha256};

use crate::inputs::chat_body;
use crate::sizes::{CALLS, Size};

/// Request bodies; what is deeper than 64 KiB is not read.
const BODIES: [Size; 2] = [Size(2 << 10), Size(64 << 10)];
/// Blocks of a prompt: 2 KB and 64 KB.
const BLOCKS: [u64; 2] = [4, 128];
/// Other prompts in the table.
const OTHERS: u64 = 2_000;

#[divan::bench(args = BODIES, sample_size = CALLS)]
fn chain(bencher: Bencher<'_, '_>, size: Size) {
    let body = chat_body(size.0);
    let request = request::parse(body.as_bytes()).expect("valid");
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let mut builder = ChainBuilder::new(black_box("support"));
        for piece in black_box(&request.prompt) {
            builder.push(piece.as_bytes());
            builder.cut();
        }
        builder.finish()
    });
}

/// The textbook form: a new hash object over the whole beginning for each block would be quadratic; this hashes the text once.
#[divan::bench(args = BODIES, sample_size = CALLS)]
fn plain_sha256_of_the_text(bencher: Bencher<'_, '_>, size: Size) {
    let body = chat_body(size.0);
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| Sha256::digest(black_box(body.as_bytes())));
}

fn made(prompt: u64, blocks: u64) -> Chain {
    let id = |at: u64| BlockId(u128::from(rendezvous::spread(prompt << 16 | at)));
    Chain::of((0..blocks).map(id).zip((1..).map(|block: u32| block * 128)))
}

fn view() -> View {
    let member = |at: usize| Member::named(DeploymentIx(at), &format!("contoso-{at}/support"), 1e6);
    let tier = Tier {
        members: (0..8).map(member).collect(),
    };
    View {
        tiers: std::iter::once(tier).collect(),
        replicas: 2.0,
    }
}

#[divan::bench(args = BLOCKS, sample_size = CALLS)]
fn plan_and_send(bencher: Bencher<'_, '_>, blocks: u64) {
    let (placement, view) = (Placement::new(Rule::default()), view());
    let ask = Ask {
        prompt_tokens: 16_384,
        total_tokens: 16_500,
        is_first_turn: false,
        is_cacheable: true,
        session: None,
    };
    let now = Duration::from_mins(10);
    for prompt in 0..OTHERS {
        placement.plan(&view, &made(prompt, 128), &ask, now);
    }
    let chains: Vec<Chain> = (0..64).map(|prompt| made(prompt, blocks)).collect();
    let mut next = chains.iter().cycle();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let chain = next.next().expect("a cycle");
        let plan = placement.plan(&view, black_box(chain), &ask, now);
        placement.sent(chain, 16_384, view.tiers[0].members[0].seed, now);
        plan
    });
}
