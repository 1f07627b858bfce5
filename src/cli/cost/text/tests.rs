//! Reports as they are printed.

use super::*;
use crate::core::calendar::date_ms;
use crate::core::ids::DeploymentId;
use crate::core::ledger::advice::Noted;
use crate::core::ledger::bill::{CostGroup, Used};
use crate::core::ledger::book::{Billed, PriceBook};
use crate::core::ledger::life::Life;
use crate::core::ledger::prices::{EMBEDDED, PriceList};
use crate::core::topology::{Price, Sku};
use crate::storage::cost_report::Paid;
use crate::storage::cost_sheet::Period;

fn at(date: &str) -> i64 {
    date_ms(date).expect("a date")
}

fn life(deployment: &str, from: &str, seen: &str, ended: Option<&str>) -> Life {
    Life {
        deployment: DeploymentId::from(deployment),
        from_ms: at(from),
        created_at_ms: Some(at(from)),
        sku: Sku::Standard,
        capacity: Some(50),
        seen_at_ms: at(seen),
        ended_at_ms: ended.map(at),
    }
}

fn used(deployment: &str, date: &str, route: Option<&str>) -> Used {
    Used {
        at_ms: at(date) + 5,
        deployment: DeploymentId::from(deployment),
        route: route.map(Into::into),
        client: route.map(|_| "desk".into()),
        is_keepalive: route.is_none(),
        requests: 10,
        prompt_tokens: 1_000_000,
        cached_tokens: 400_000,
        completion_tokens: 100_000,
    }
}

fn report(by: CostGroup) -> CostReport {
    let price = Price {
        input: Some(1.0),
        cached_input: Some(0.25),
        output: Some(2.0),
        hour: Some(1.0),
    };
    let billed = |id: &str, price: Option<Price>| Billed {
        id: DeploymentId::from(id),
        model: None,
        sku: Sku::Standard,
        capacity: Some(50),
        price,
        is_fine_tuned: true,
    };
    let book = PriceBook::new(
        PriceList::parse(EMBEDDED).expect("the list"),
        vec![billed("x/a", Some(price)), billed("x/new", Some(price))],
    );
    let paid = Paid {
        noted: Noted::from([(DeploymentId::from("x/a"), at("2026-11-01"))]),
        lives: vec![
            life("x/a", "2026-11-01", "2026-11-20", None),
            life("x/old", "2026-11-01", "2026-11-02", Some("2026-11-03")),
        ],
        used: vec![
            used("x/a", "2026-11-19", Some("bot")),
            used("x/a", "2026-11-20", None),
            used("x/old", "2026-11-02", Some("bot")),
        ],
        spilled: Vec::new(),
        truncated: false,
    };
    let period = Period {
        since_ms: at("2026-11-01"),
        until_ms: at("2026-11-22"),
    };
    CostReport::new(&paid, &book, by, period, at("2026-11-21") + HOUR_MS)
}

#[test]
fn a_table_says_what_it_costs_will_cost_and_need_not_cost() {
    insta::assert_snapshot!(table(&report(CostGroup::Deployment), true), @r"
    cost in US dollars from 2026-11-01 to 2026-11-21, both included (UTC)

    deployment  hours  requests  hosting  provisioned  tokens  keepalive      USD  saved
    x/a           481        20   481.00            -   0.900      0.900   482.80  0.600
    x/old          48        10    81.60            -       ?          -   81.60+      ?
    all           529        30   562.60            -   0.900      0.900  564.40+  0.600

    + a price is not known: at least so much; ? no price is known

    forecast to 2026-11-30: at least 805.96 = 564.40 spent this month + 239.00 hosting of what is there + 2.56 tokens at the last days' rate

    x/a: idle 9 of 10 days, 720 USD a month; delete it, or move it to the Developer tier if it is for trials only
    the cache saved 0.60 USD
    x/old: sums are too low: its `price` has no `cached_input`, `input`, `output`; set what is missing
    x/new: no gateway has noted yet that it is there, so its hosting is not counted
    x/a: no gateway has seen it for a day; it is counted as if it were there
    ");
}

#[test]
fn what_only_a_configuration_knows_is_not_shown_as_nothing() {
    let book = PriceBook::new(PriceList::parse(EMBEDDED).expect("the list"), Vec::new());
    let reserved = Life {
        sku: Sku::ProvisionedManaged,
        ..life("x/ptu", "2026-11-20", "2026-11-20", Some("2026-11-21"))
    };
    let paid = Paid {
        noted: Noted::default(),
        lives: vec![life("x/old", "2026-11-01", "2026-11-02", Some("2026-11-03")), reserved],
        used: vec![
            used("x/old", "2026-11-02", Some("bot")),
            used("x/ptu", "2026-11-20", Some("bot")),
        ],
        spilled: Vec::new(),
        truncated: false,
    };
    let period = Period {
        since_ms: at("2026-11-01"),
        until_ms: at("2026-11-22"),
    };
    let report = CostReport::new(&paid, &book, CostGroup::Deployment, period, at("2026-11-21") + HOUR_MS);
    let text = table(&report, false);
    let row = |name: &str| -> Vec<&str> {
        let line = text.lines().find(|line| line.starts_with(name));
        line.expect("a row").split_whitespace().collect()
    };
    assert_eq!(row("x/ptu")[2..], ["10", "-", "-", "?", "-", "?", "?"], "{text}");
    assert_eq!(row("x/old")[5..], ["?", "-", "81.60+", "?"], "{text}");
    assert!(text.contains("\n\nno configuration was read, so "), "{text}");
    assert!(!text.contains("sums are too low"), "{text}");
    assert!(
        table(&report, true).contains("sums are too low"),
        "with one, it says which price is missing"
    );
}

#[test]
fn csv_has_plain_numbers() {
    insta::assert_snapshot!(csv(&report(CostGroup::Kind)).expect("written"), @r"
    kind,hours,requests,prompt_tokens,cached_tokens,completion_tokens,hosting_usd,provisioned_usd,tokens_usd,keepalive_usd,usd,saved_usd,unpriced
    hosting,529.0000,0,0,0,0,562.600000,0.000000,0.000000,0.000000,562.600000,0.000000,0
    keepalive,0.0000,10,1000000,400000,100000,0.000000,0.000000,0.000000,0.900000,0.900000,0.300000,0
    tokens,0.0000,20,2000000,800000,200000,0.000000,0.000000,0.900000,0.000000,0.900000,0.300000,1
    ");
}

#[test]
fn hosting_is_of_no_client_and_days_are_in_order() {
    let keys = |by| -> Vec<String> { report(by).groups.into_iter().map(|row| row.key).collect() };
    assert_eq!(keys(CostGroup::Client), ["-", "desk"]);
    let days = keys(CostGroup::Day);
    assert_eq!((days.len(), &*days[0], &*days[20]), (21, "2026-11-01", "2026-11-21"));
    let row = |by| {
        let total = report(by).total;
        (total.sum.micro_usd, total.hosting_micro_usd, total.keepalive_micro_usd)
    };
    assert_eq!(row(CostGroup::Client), row(CostGroup::Day));
}
