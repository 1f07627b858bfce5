//! Prices as arithmetic: what prompt tokens cost more because they were not cached.
//!
//! US dollars for a million tokens are millionths of a dollar for one, so amounts are kept in those: whole numbers that add up.

use crate::core::topology::Price;

/// Millionths of a US dollar that a prompt token costs more when it is not cached; none where the prices are not known.
pub fn micro_usd_per_missed_token(price: &Price) -> Option<f64> {
    let (input, cached) = price.input.zip(price.cached_input)?;
    Some((input - cached).max(0.0))
}

/// So many tokens at so much each, in millionths of a US dollar.
pub fn micro_usd(tokens: u64, per_token: f64) -> u64 {
    (tokens as f64 * per_token).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_token_costs_the_difference() {
        let price = |input, cached_input| Price {
            input,
            cached_input,
            ..Price::default()
        };
        let each = micro_usd_per_missed_token(&price(Some(0.4), Some(0.1))).expect("known");
        assert_eq!(micro_usd(1_000_000, each), 300_000);
        assert_eq!(micro_usd(3, each), 1, "0.9 of a millionth");
        assert_eq!(micro_usd_per_missed_token(&price(Some(0.4), None)), None);
        assert_eq!(micro_usd_per_missed_token(&price(None, Some(0.1))), None);
        assert_eq!(micro_usd_per_missed_token(&price(Some(0.4), Some(0.4))), Some(0.0));
    }
}
