//! The plan of a request: every member of a healthy pool scored and sorted.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use emberway::core::placement::head::HeadKey;
use emberway::core::recovery::health::Availability;
use emberway::core::router;
use sha2::{Digest, Sha256};

use crate::inputs;

/// Plans timed together: one takes only a few ticks of the timer.
const PLANS: u32 = 100;

/// Deployments in the pool.
const MEMBERS: [usize; 3] = [2, 8, 64];

#[divan::bench(args = MEMBERS, sample_size = PLANS)]
fn plan(bencher: Bencher<'_, '_>, members: usize) {
    let (snapshot, pool) = inputs::pool(members);
    let head = HeadKey {
        hash: 0x0123_4567_89ab_cdef,
        is_short: false,
    };
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        drop(black_box(router::plan(&snapshot, &pool, black_box(head), |_| {
            Availability::Ready
        })));
    });
}

/// The textbook form of rendezvous hashing: a cryptographic hash over key and name for each member, into a vector.
#[divan::bench(args = MEMBERS, sample_size = PLANS)]
fn plain_sha256_rendezvous(bencher: Bencher<'_, '_>, members: usize) {
    let (snapshot, pool) = inputs::pool(members);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let key = black_box(0x0123_4567_89ab_cdef_u64).to_le_bytes();
        let mut order: Vec<_> = pool
            .members()
            .map(|member| {
                let name = snapshot.deployments[member.deployment.0].id.as_bytes();
                let digest: [u8; 32] = Sha256::new().chain_update(key).chain_update(name).finalize().into();
                (digest, member.deployment)
            })
            .collect();
        order.sort_unstable();
        drop(black_box(order));
    });
}
