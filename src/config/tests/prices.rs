//! What deployments cost: what is read and what is refused.

use super::mistakes::check;
use super::{SMALL, compile};
use crate::core::topology::Price;

fn priced(price: &str) -> String {
    SMALL.replace("capacity: 50}", &format!("capacity: 50, price: {price}}}"))
}

#[test]
fn a_price_is_read_as_far_as_it_is_known() {
    let text = priced("{input: 0.40, cached_input: 0.10, output: 1.60, hour: 1.70}");
    let deployments = &compile(&text).expect("compiles").runtime.snapshot.deployments;
    let whole = Price {
        input: Some(0.4),
        cached_input: Some(0.1),
        output: Some(1.6),
        hour: Some(1.7),
    };
    assert_eq!(
        deployments
            .iter()
            .map(|deployment| deployment.price)
            .collect::<Vec<_>>(),
        [Some(whole), None]
    );
    let hour = Price {
        hour: Some(0.0),
        ..Price::default()
    };
    let deployments = &compile(&priced("{hour: 0}"))
        .expect("compiles")
        .runtime
        .snapshot
        .deployments;
    assert_eq!(deployments[0].price, Some(hour));
}

#[test]
fn what_is_no_price_is_refused() {
    let refused = |price: &str, expected: &str| {
        let to = format!("capacity: 50, price: {price}}}");
        check(&[("capacity: 50}", &to)], &[expected]);
    };
    let at = "resources[0].deployments[0].price";
    refused("{input: -0.1}", &format!("12:62: {at}.input: `-0.1` is too small"));
    refused("{hour: 2000000}", &format!("12:62: {at}.hour: `2000000` is too large"));
    refused(
        "{input: free}",
        &format!("12:62: {at}.input: expected a number, found the text `free`"),
    );
    refused(
        "{}",
        &format!("12:54: {at}: give at least one of `input`, `cached_input`, `output`, `hour`"),
    );
    refused(
        "{inputs: 1, output: 2}",
        &format!("12:62: {at}.inputs: unknown field `inputs`"),
    );
    refused(
        "{input: 0.1, cached_input: 0.4}",
        &format!("12:74: {at}.cached_input: `0.4` is more than `input`"),
    );
    // Said once, not also that the cached price is more than what stands in for it.
    for (input, what) in [
        ("-1", "`-1` is too small"),
        ("free", "expected a number, found the text `free`"),
    ] {
        refused(
            &format!("{{input: {input}, cached_input: 0.1}}"),
            &format!("12:62: {at}.input: {what}"),
        );
    }
    refused("{input: .nan}", "12:69: `.nan` is not a finite number");
}
