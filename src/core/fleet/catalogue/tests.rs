//! The catalogue's answers, row by row.

use super::*;

fn catalogue() -> Catalogue {
    Catalogue::parse(EMBEDDED).expect("the embedded catalogue")
}

fn ask(model: &str, region: &str, sku: Sku, capacity: Option<u32>) -> (Answer, &'static str, String) {
    let offered = catalogue().is_offered(Wish {
        model,
        region,
        sku,
        capacity,
    });
    (offered.answer, offered.reason.as_str(), offered.sentence)
}

#[test]
fn a_family_is_the_longest_known_prefix() {
    let catalogue = catalogue();
    let family = |id: &str| match catalogue.family(id) {
        Family::Known(model, version) => format!("{} {}", model.name, version.unwrap_or("-")),
        Family::Checkpoint => "checkpoint".to_owned(),
        Family::Unknown => "unknown".to_owned(),
    };
    let cases = [
        ("gpt-4.1-mini-2025-04-14.ft-0123", "gpt-4.1-mini 2025-04-14"),
        ("gpt-4.1-2025-04-14.ft-0123", "gpt-4.1 2025-04-14"),
        ("GPT-4o-mini-2024-07-18.ft-0123-suffix_1", "gpt-4o-mini 2024-07-18"),
        (
            "gpt-35-turbo-0125.ft-b044a9d3cf9c4228b5d393567f693b83",
            "gpt-35-turbo 0125",
        ),
        ("gpt-4o-2024-11-20", "gpt-4o -"),
        ("gpt-4.1", "gpt-4.1 -"),
        // Other models, although they begin alike.
        ("gpt-5-mini", "unknown"),
        ("gpt-5.1-2025-11-13", "unknown"),
        ("gpt-4oh", "unknown"),
        ("ftchkpt-e559c011ecc04fc68eaa339d8227d02d", "checkpoint"),
        ("", "unknown"),
    ];
    for (id, expected) in cases {
        assert_eq!(family(id), expected, "{id}");
    }
}

/// The seed tables, cell by cell.
#[test]
fn the_tables_are_as_published() {
    let columns = ["eastus2", "northcentralus", "swedencentral", "switzerlandwest"];
    let standard = [
        ("o4-mini", "y.y."),
        ("gpt-4.1", ".yy."),
        ("gpt-4.1-mini", ".yy."),
        ("gpt-4.1-nano", ".yy."),
        ("gpt-4o", "y.y."),
        ("gpt-4o-mini", ".yy."),
        ("gpt-35-turbo", "????"),
    ];
    let provisioned = [("gpt-4.1", "..y."), ("gpt-4o", ".yy."), ("gpt-4o-mini", ".yy.")];
    let row = |model: &str, sku| -> String {
        let cell = |region: &&str| match ask(model, region, sku, None).0 {
            Answer::Yes => 'y',
            Answer::No => '.',
            Answer::Unknown => '?',
        };
        columns.iter().map(cell).collect()
    };
    for (model, expected) in standard {
        assert_eq!(row(model, Sku::Standard), expected, "{model}");
    }
    for (model, expected) in provisioned {
        assert_eq!(row(model, Sku::ProvisionedManaged), expected, "{model}");
    }
    for model in [
        "o4-mini",
        "gpt-4.1",
        "gpt-4.1-mini",
        "gpt-4.1-nano",
        "gpt-4o",
        "gpt-4o-mini",
    ] {
        assert_eq!(row(model, Sku::GlobalStandard), "yyyy", "{model}");
        let developer = if model.starts_with("gpt-4.1") { "yyyy" } else { "????" };
        assert_eq!(row(model, Sku::DeveloperTier), developer, "{model}");
    }
    assert_eq!(row("gpt-35-turbo", Sku::GlobalStandard), "....");
    assert_eq!(row("gpt-4.1-mini", Sku::ProvisionedManaged), "....");
}

/// Model, region, SKU, capacity; the answer, its reason, and a part of its sentence.
const ANSWERS: &str = "
    gpt-4.1-2025-04-14.ft-0123 | swedencentral | Standard                 | -  | Yes listed              | Standard, mid-2025
    gpt-4.1-2025-04-14.ft-0123 | SwedenCentral | standard                 | 7  | Yes listed              | Standard, mid-2025
    gpt-4.1-2025-04-14.ft-0123 | westus        | Standard                 | -  | No other_regions        | only in northcentralus, swedencentral (Deploy
    gpt-4.1-2025-04-14.ft-0123 | westus        | Standard                 | 0  | No other_regions        | only in
    gpt-4.1-2025-04-14.ft-0123 | swedencentral | Standard                 | 0  | No capacity             | at least 1
    gpt-4.1-2025-04-14.ft-0123 | atlantis      | GlobalStandard           | -  | Unknown unknown_region  | Global Standard, mid-2025
    gpt-4.1-2025-04-14.ft-0123 | swedencentral | ProvisionedManaged       | 50 | Yes listed              | Provisioned throughput
    gpt-4.1-2025-04-14.ft-0123 | swedencentral | ProvisionedManaged       | 25 | No capacity             | at least 50, in steps of 50
    gpt-4.1-2025-04-14.ft-0123 | swedencentral | ProvisionedManaged       | 75 | No capacity             | at least 50, in steps of 50
    gpt-4.1-2025-04-14.ft-0123 | swedencentral | GlobalProvisionedManaged | -  | No other_skus           | only for Standard, GlobalStandard
    gpt-4.1-2025-04-14.ft-0123 | swedencentral | DataZoneStandard         | -  | Unknown doubtful        | training only
    o4-mini                    | westus        | Developer                | -  | Unknown doubtful        | March 2026) denies it
    gpt-5                      | swedencentral | Standard                 | -  | Unknown doubtful        | only for DeveloperTier (Supported
    gpt-4o-2024-11-20.ft-1     | eastus2       | Standard                 | -  | Unknown unknown_version | 2024-08-06 of gpt-4o
    ftchkpt-1                  | eastus2       | Standard                 | -  | Unknown checkpoint      | `ftchkpt-1`
    grok                       | eastus2       | Standard                 | -  | Unknown unknown_model   | which has o4-mini";

#[test]
fn every_answer_names_its_source() {
    for row in ANSWERS.trim().lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [model, region, sku, capacity, expected, part] = cells[..] else {
            panic!("six cells: {row}")
        };
        let sku = Sku::of(sku).expect("a SKU");
        let (answer, reason, sentence) = ask(model, region, sku, capacity.parse().ok());
        assert_eq!(format!("{answer:?} {reason}"), expected, "{row}: {sentence}");
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
}

#[test]
fn fine_tuned_deployments_outlive_their_base_model() {
    let catalogue = catalogue();
    let retirement = catalogue.retirement("gpt-4.1-mini-2025-04-14.ft-1").expect("known");
    let date = |at_ms: Option<i64>| at_ms.map(calendar::shown_date);
    assert_eq!(date(retirement.base_ms).as_deref(), Some("2026-10-14"));
    assert_eq!(date(retirement.training_ms).as_deref(), Some("2027-04-14"));
    assert_eq!(date(retirement.deployment_ms).as_deref(), Some("2027-10-14"));
    assert_eq!(catalogue.retirement("gpt-5").expect("known").deployment_ms, None);
    assert_eq!(catalogue.retirement("ftchkpt-1"), None);
    assert_eq!(catalogue.retirement("gpt-35-turbo-0125.ft-1"), None);
}

#[test]
fn what_a_row_cannot_mean_is_refused() {
    let fails = |from: &str, to: &str| {
        assert!(EMBEDDED.contains(from));
        let error = Catalogue::parse(&EMBEDDED.replacen(from, to, 1)).expect_err("refused");
        error.to_string()
    };
    assert!(fails("2027-10-16", "2027-13-16").contains("`2027-13-16` of model `o4-mini` is not a date"));
    assert!(fails("sku: GlobalStandard", "sku: Globular").contains("`Globular` of model `o4-mini` is not a SKU"));
    assert!(fails("doubtful:", "doubtfull:").contains("doubtfull"));
    assert!(fails("regions: all", "regions: every").contains("cannot read the model catalogue"));
}

#[test]
fn fine_tuned_ids_are_told_from_base_models() {
    let cases = [
        ("gpt-4.1", false),
        ("gpt-4.1-2025-04-14.FT-1", true),
        ("ftchkpt-1", true),
    ];
    for (id, expected) in cases {
        assert_eq!(is_fine_tuned(id), expected, "{id}");
    }
}
