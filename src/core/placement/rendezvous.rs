//! Weighted rendezvous hashing: the order of deployments for a key.
//!
//! Every deployment draws a number from the key and its own name; the order of these numbers is the order of choice. All
//! replicas agree without talking, a deployment that joins or leaves moves only its own share, and weights are exact in
//! expectation (score = −weight ÷ ln u, the exponential form). Linear in the number of deployments, no allocation.

/// A deployment's number for a key; higher comes first. `weight` is finite and above zero.
pub fn score(key: u64, name: &str, weight: f64) -> f64 {
    weighted(mix(key ^ hash_name(name)), weight)
}

/// A deployment's own number, which [`draw`] joins with a key: from its name, so that it outlives a reload.
pub fn seed(name: &str) -> u64 {
    hash_name(name)
}

/// A deployment's number for a key before weights; for equal weights its order is the order of choice.
pub fn draw(key: u64, seed: u64) -> u64 {
    spread(spread(key) ^ seed)
}

/// The number with its weight: higher comes first. `weight` is finite and above zero.
pub fn weighted(drawn: u64, weight: f64) -> f64 {
    // 53 random bits, shifted off zero so that the logarithm is finite.
    let unit = ((drawn >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    weight / -unit.ln()
}

/// One step of `SplitMix64`: spreads also small and regular numbers over all 64 bits.
pub fn spread(value: u64) -> u64 {
    mix(value.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

/// FNV-1a, which is stable across versions and machines; [`mix`] makes up for its weak upper bits.
fn hash_name(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finaliser of `SplitMix64`: every input bit reaches every output bit.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 20_000;

    fn first(key: u64, names: &[(&'static str, f64)]) -> &'static str {
        let by_score = |a: &&(&str, f64), b: &&(&str, f64)| score(key, a.0, a.1).total_cmp(&score(key, b.0, b.1));
        names.iter().max_by(by_score).expect("some").0
    }

    fn keys() -> impl Iterator<Item = u64> {
        (0..KEYS).map(|n| mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    #[test]
    fn shares_follow_weights() {
        let names = [("a/x", 1.0), ("b/x", 2.0), ("c/x", 5.0)];
        for (name, weight) in names {
            let share = keys().filter(|&key| first(key, &names) == name).count() as f64 / KEYS as f64;
            assert!((share - weight / 8.0).abs() < 0.015, "{name}: {share}");
        }
    }

    #[test]
    fn leaving_moves_only_its_own() {
        let all = [("a/x", 1.0), ("b/x", 1.0), ("c/x", 1.0)];
        for key in keys() {
            let before = first(key, &all);
            if before != "c/x" {
                assert_eq!(before, first(key, &all[..2]));
            }
        }
    }

    #[test]
    fn the_hash_is_fixed_for_ever() {
        // Replicas of different versions must agree, so this value may never change.
        assert_eq!(hash_name("sim-eastus2/support"), 0x9f8c_f1b6_da80_3034);
    }
}
