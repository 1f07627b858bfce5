//! What is refused, and what capacity is left idle, where a fleet is near or over its limits: in virtual time, without sockets.

use std::io::Write as _;
use std::time::Duration;

use emberway::core::topology::Sku;
use emberway::simulator::limits::ptu_rate;

mod fleet;
mod traffic;

use fleet::{Fleet, Seen, Shape, engines};
use traffic::{Coming, Pace, Traffic, spread};

/// Shown whether the test passes or not.
fn show(table: &str) {
    std::io::stderr().write_all(table.as_bytes()).unwrap();
}

const TWO_MINUTES: Duration = Duration::from_mins(2);

/// Two minutes of so many times what the first tier's PTUs carry, cached prompts counted as one deployment would find them.
fn over_provisioned(traffic: Traffic, tier: &[(Sku, u32)], times: f64) -> Vec<Coming> {
    let rate = ptu_rate("gpt-4.1-mini");
    let units: u32 = tier.iter().map(|(_, units)| units).sum();
    let capacity = f64::from(units) * rate.input_tokens_per_minute * TWO_MINUTES.as_secs_f64() / 60.0;
    let mut alone = engines(&[vec![(Sku::ProvisionedManaged, 1)]], None).remove(0);
    spread(traffic, Pace::Chance, times * capacity, TWO_MINUTES, |request, now| {
        let admitted = alone.admit(now, &request.demand, 1.0).unwrap();
        alone.finish(now, &request.demand, &admitted, request.output);
        f64::from(request.demand.prompt_tokens - admitted.cached_tokens)
            + rate.output_weight * f64::from(request.output)
    })
}

/// What is held of a two-tier fleet under 1.5 times its provisioned capacity.
fn check_two_tiers(traffic: Traffic, tier: &[u32], gateways: usize, burst_seconds: f64) -> String {
    let provisioned: Vec<_> = tier.iter().map(|units| (Sku::ProvisionedManaged, *units)).collect();
    let requests = over_provisioned(traffic, &provisioned, 1.5);
    let shape = Shape {
        tiers: vec![provisioned, vec![(Sku::Standard, 4_000)]],
        gateways,
        knows_room: true,
        burst_seconds,
    };
    let seen = Fleet::new(&shape).play(&requests);
    let units: Vec<_> = tier.iter().map(u32::to_string).collect();
    let row = format!(
        "{:<18} {:<8} {gateways:>8} {burst_seconds:>6} s {:>9} {:>11.1}% {:>8} {:>11} {:>13} {:>15}\n",
        traffic.name(),
        units.join(" + "),
        seen.requests,
        100.0 * seen.utilisation,
        seen.spilled + seen.spilled_late,
        seen.spilled_late,
        seen.refused_upstream,
        seen.refused,
    );
    assert_eq!(seen.refused, 0, "{row}");
    // A bucket that holds less than it is believed to be off by is empty now and then.
    let least = if burst_seconds < 3.0 { 0.75 } else { 0.95 };
    assert!(seen.utilisation >= least, "{row}");
    assert!(
        burst_seconds < 3.0 || seen.spilled_late * 20 <= seen.spilled,
        "spills after refusals: {row}"
    );
    row
}

#[test]
fn a_provisioned_tier_works_at_its_capacity_while_what_is_over_spills() {
    let mut table = String::from(
        "traffic            PTU      gateways   bucket  requests  utilisation  spilled  after 429s  429s upstream  429s to clients\n",
    );
    for burst_seconds in [10.0, 3.0, 1.0] {
        for (traffic, tier) in [
            (Traffic::Single, &[50][..]),
            (Traffic::Unbounded, &[50]),
            (Traffic::Conversations, &[50]),
            (Traffic::Conversations, &[25, 25]),
        ] {
            for gateways in [1, 2] {
                table += &check_two_tiers(traffic, tier, gateways, burst_seconds);
            }
        }
    }
    show(&table);
}

const SOME_MINUTES: Duration = Duration::from_mins(5);

/// Ten minutes of traffic at 95 % of what eight per-token deployments take together, as their limits count it.
fn near_limits(traffic: Traffic, pace: Pace, tier: &[(Sku, u32)]) -> Vec<Coming> {
    let units: u32 = tier.iter().map(|(_, units)| units).sum();
    let total = 0.95 * f64::from(units) * 1_000.0 * SOME_MINUTES.as_secs_f64() / 60.0;
    spread(traffic, pace, total, SOME_MINUTES, |request, _| {
        f64::from(request.ask.total_tokens)
    })
}

/// What is held of a per-token pool near its limits, with and without knowing what is used: at most this part of the refusals is left.
fn check_near_limits(traffic: Traffic, pace: Pace, gateways: usize, most: f64) -> String {
    let tier = vec![(Sku::Standard, 500); 8];
    let requests = near_limits(traffic, pace, &tier);
    let play = |knows_room| -> Seen {
        let shape = Shape {
            tiers: vec![tier.clone()],
            gateways,
            knows_room,
            burst_seconds: 10.0,
        };
        Fleet::new(&shape).play(&requests)
    };
    let (blind, knowing) = (play(false), play(true));
    let row = format!(
        "{:<15} {:<10} {gateways:>8} {:>9} {:>7} {:>9} {:>12} {:>9} {:>12.1}% {:>8.1}%\n",
        traffic.name(),
        format!("{pace:?}").to_lowercase(),
        requests.len(),
        blind.refused_upstream,
        knowing.refused_upstream,
        blind.refused,
        knowing.refused,
        100.0 * blind.hit,
        100.0 * knowing.hit,
    );
    assert!(blind.refused_upstream > 0, "{row}");
    let left = knowing.refused_upstream as f64 / blind.refused_upstream as f64;
    assert!(left <= most, "{left:.2} of the refusals are left: {row}");
    assert!(knowing.hit >= blind.hit - 0.01, "at the cost of hits: {row}");
    row
}

#[test]
fn who_knows_what_is_used_is_refused_less() {
    let mut table = String::from(
        "                                              429s upstream      429s to clients                cached\n\
         traffic         pace       gateways  requests   blind   knowing        blind   knowing         blind   knowing\n",
    );
    for (traffic, pace, most) in [
        (Traffic::Single, Pace::Even, 0.0),
        (Traffic::Single, Pace::Chance, 0.25),
        (Traffic::Conversations, Pace::Even, 0.85),
        (Traffic::Conversations, Pace::Chance, 0.9),
    ] {
        for gateways in [1, 2] {
            table += &check_near_limits(traffic, pace, gateways, most);
        }
    }
    show(&table);
}
