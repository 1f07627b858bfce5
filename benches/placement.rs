//! Placement, from a body's prompt to its plan: the canonical form, the chain of its blocks, and the plan from it in a table that many
//! other prompts have filled. `placement` is all of it together, each time for another prompt.

use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use emberway::core::placement::chain::{BlockId, Chain, ChainBuilder, ChainKey, DEPTH_BYTES};
use emberway::core::placement::plan::Placement;
use emberway::core::placement::rendezvous;
use emberway::core::placement::rule::Rule;
use emberway::core::placement::view::{Ask, Member, Tier, View};
use emberway::core::topology::DeploymentIx;
use emberway::openai::canonical::{self, Sink};
use emberway::openai::request::{self, Request};
use sha2::{Digest, Sha256};

use crate::inputs::documents_body;
use crate::sizes::{CALLS, Size};

/// Request bodies; what is deeper than 64 KiB is not read.
const BODIES: [Size; 2] = [Size(2 << 10), Size(64 << 10)];
/// Blocks of a prompt: 2 KB and 64 KB.
const BLOCKS: [u64; 2] = [4, 128];
/// Other prompts in the table.
const OTHERS: u64 = 2_000;
const NOW: Duration = Duration::from_mins(10);
const ASK: Ask = Ask {
    prompt_tokens: 16_384,
    total_tokens: 16_500,
    is_first_turn: false,
    is_cacheable: true,
    session: None,
    draw: 0,
};

/// Prompts that are placed in turn.
const PROMPTS: usize = 64;

struct Blocks(ChainBuilder);

impl Sink for Blocks {
    fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    fn end_segment(&mut self) {
        self.0.cut();
    }

    fn is_full(&self) -> bool {
        self.0.is_full()
    }
}

/// Takes a prompt as deep as a chain does, and does nothing with it.
struct Nothing(usize);

impl Sink for Nothing {
    fn push(&mut self, bytes: &[u8]) {
        self.0 += black_box(bytes).len();
    }

    fn end_segment(&mut self) {}

    fn is_full(&self) -> bool {
        self.0 >= DEPTH_BYTES
    }
}

fn chain(key: ChainKey, request: &Request<'_>) -> Chain {
    let mut blocks = Blocks(ChainBuilder::new(black_box(key)));
    canonical::write(request, &mut blocks);
    blocks.0.finish()
}

#[divan::bench(args = BODIES, sample_size = CALLS)]
fn canonical_form(bencher: Bencher<'_, '_>, size: Size) {
    let body = documents_body(size.0, 0);
    let request = request::parse(body.as_bytes()).expect("valid");
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| canonical::write(black_box(&request), &mut Nothing(0)));
}

#[divan::bench(args = BODIES, sample_size = CALLS)]
fn canonical_form_and_chain(bencher: Bencher<'_, '_>, size: Size) {
    let key = ChainKey::new("support");
    let body = documents_body(size.0, 0);
    let request = request::parse(body.as_bytes()).expect("valid");
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| chain(key, black_box(&request)));
}

/// The text hashed once with another hash, for comparison.
#[divan::bench(args = BODIES, sample_size = CALLS)]
fn plain_sha256_of_the_text(bencher: Bencher<'_, '_>, size: Size) {
    let body = documents_body(size.0, 0);
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| Sha256::digest(black_box(body.as_bytes())));
}

#[divan::bench(args = BODIES, sample_size = CALLS)]
fn placement(bencher: Bencher<'_, '_>, size: Size) {
    let key = ChainKey::new("support");
    let (placement, view) = (filled(), view());
    let bodies: Vec<String> = (0..PROMPTS).map(|number| documents_body(size.0, number)).collect();
    let requests = bodies
        .iter()
        .map(|body| request::parse(body.as_bytes()).expect("valid"));
    let requests: Vec<Request<'_>> = requests.collect();
    let mut next = requests.iter().cycle().zip(seconds());
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let (request, now) = next.next().expect("a cycle");
        let chain = chain(key, request);
        let plan = placement.plan(&view, &chain, &ASK, now);
        placement.sent(&chain, 16_384, view.tiers[0].members[0].seed, now);
        plan
    });
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

/// A request a second, so that each of [`PROMPTS`] comes once a minute: as conversations do, and none gets hot.
fn seconds() -> impl Iterator<Item = Duration> {
    (1..).map(|second| NOW + Duration::from_secs(second))
}

/// Placement with so many other prompts in its table that new blocks must replace some.
fn filled() -> Placement {
    let (placement, view) = (Placement::new(Rule::default()), view());
    for prompt in 0..OTHERS {
        placement.plan(&view, &made(1_000 + prompt, 128), &ASK, NOW);
    }
    placement
}

#[divan::bench(args = BLOCKS, sample_size = CALLS)]
fn plan_and_send(bencher: Bencher<'_, '_>, blocks: u64) {
    let (placement, view) = (filled(), view());
    let chains: Vec<Chain> = (0..PROMPTS as u64).map(|prompt| made(prompt, blocks)).collect();
    let mut next = chains.iter().cycle().zip(seconds());
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let (chain, now) = next.next().expect("a cycle");
        let plan = placement.plan(&view, black_box(chain), &ASK, now);
        placement.sent(chain, 16_384, view.tiers[0].members[0].seed, now);
        plan
    });
}
