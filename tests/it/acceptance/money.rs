//! Rows 7 and 10: what deployments cost, idle ones too, and what sets the four types apart.

use std::time::Duration;

use super::Row;
use super::creation::desk;
use crate::cli::program::Place;
use crate::cost::report;
use crate::harness::desk::{MODEL, create};
use crate::harness::{Setup, WHOLE, World};

/// A world where everything is there since the year began, of this type.
async fn world(capacity: &'static str, more: Setup) -> World {
    World::start(Setup {
        capacity,
        deployment: "created_at: '2026-01-01T00:00:00Z'",
        ..more
    })
    .await
}

async fn hosting_usd(world: &World) -> Option<f64> {
    let series = r#"emberway_deployment_hosting_usd_per_hour{deployment="a/ft"}"#;
    world.metric(series).await
}

pub(super) async fn hosting(row: Row) {
    let world = world("sku: Standard, capacity: 10, model: gpt-4.1-mini", Setup::default()).await;
    assert_eq!(hosting_usd(&world).await, Some(1.7));
    row.held(
        "GET /metrics",
        "emberway_deployment_hosting_usd_per_hour of a/ft is 1.7, before any request",
    );
    let report = report(&world, 0).await;
    let total = &report["total"];
    let groups = report["groups"].as_array().expect("groups");
    let idle = groups
        .iter()
        .find(|group| group["key"] == "a/ft")
        .expect("the deployment");
    let (hosting, hours) = (
        &idle["hosting_micro_usd"],
        idle["there_ms"].as_f64().expect("a time") / 3_600_000.0,
    );
    let usd = hosting.as_f64().expect("an amount") / 1e6;
    assert!(usd > 0.0 && (usd - hours * 1.7).abs() < 1e-3, "{idle}");
    assert_eq!(total["requests"], 0);
    row.held(
        "emberway cost --json",
        &format!("a/ft, idle: {usd:.2} USD of hosting for {hours:.1} h at 1.70; 0 requests"),
    );
}

pub(super) async fn types(row: Row) {
    tables(&row).await;
    for (capacity, sku) in [
        ("sku: Standard, capacity: 10, model: gpt-4.1-mini", "Standard"),
        (
            "sku: GlobalStandard, capacity: 10, model: gpt-4.1-mini",
            "GlobalStandard",
        ),
        ("sku: DeveloperTier, capacity: 10, model: gpt-4.1-mini", "DeveloperTier"),
        (
            "sku: ProvisionedManaged, capacity: 50, model: gpt-4.1, price: { hour: 100.0 }",
            "ProvisionedManaged",
        ),
    ] {
        let usd = hosting_usd(&world(capacity, Setup::default()).await).await;
        let expected = match sku {
            "Standard" | "GlobalStandard" => Some(1.7),
            "DeveloperTier" => Some(0.0),
            _ => Some(100.0),
        };
        assert_eq!(usd, expected, "{sku}");
        row.held(
            "GET /metrics",
            &format!("{sku}: {} USD an hour", usd.unwrap_or_default()),
        );
    }
    residency(&row).await;
    developer(&row).await;
    throttled(&row).await;
}

/// What the tables of models do not offer is a warning, or an error.
async fn tables(row: &Row) {
    let desk = desk().await;
    let wish = [
        &create("home", "support", MODEL)[..],
        &["--location", "westeurope", "--dry-run"],
    ]
    .concat();
    let words = "is not offered by `Standard` in westeurope";
    row.said(&wish, &desk.run(&wish).await, 0, &["warning: ", words, "Azure decides"]);
    let strict = [&wish[..], &["--strict"]].concat();
    row.said(&strict, &desk.run(&strict).await, 1, &["error: ", words]);
    let units = [
        &create("home", "support", "gpt-4.1")[..],
        &[
            "--sku",
            "ProvisionedManaged",
            "--capacity",
            "51",
            "--location",
            "swedencentral",
            "--strict",
            "--dry-run",
        ],
    ]
    .concat();
    row.said(&units, &desk.run(&units).await, 1, &["50"]);
}

/// A route that is bound to a region takes no deployment whose requests may leave it.
async fn residency(row: &Row) {
    let place = Place::new();
    for (sku, code) in [
        ("Standard", 0),
        ("ProvisionedManaged", 0),
        ("GlobalStandard", 78),
        ("DeveloperTier", 78),
    ] {
        let bound = crate::cli::CONFIG
            .replace("sku: Standard, capacity: 10", &format!("sku: {sku}, capacity: 50"))
            .replace(
                "name: bot, pool: ft",
                "name: bot, pool: ft, residency: { regions: [swedencentral] }",
            );
        place.write("emberway.yaml", &bound);
        let said = place.run(&["check"]).await;
        let shown = ["check", "#", sku, "for a route with residency: [swedencentral]"];
        row.said(&shown, &said, code, if code == 0 { &["OK"] } else { &["keeps to it"] });
    }
}

async fn developer(row: &Row) {
    let desk = desk().await;
    let made = [&create("home", "trial", MODEL)[..], &["--sku-name", "Developer"]].concat();
    row.said(&made, &desk.run(&made).await, 0, &["DeveloperTier", "Succeeded"]);
    let show = ["deployment", "show", "-n", "home", "--deployment-name", "trial"];
    desk.sim.control().advance_clock(Duration::from_hours(23));
    row.said(&show, &desk.run(&show).await, 0, &["Succeeded"]);
    desk.sim.control().advance_clock(Duration::from_hours(2));
    row.said(&show, &desk.run(&show).await, 1, &["`ResourceNotFound`"]);
}

async fn throttled(row: &Row) {
    let setup = Setup {
        settings: "limits: { provisioned_burst_s: 1 }",
        simulated: "sku: ProvisionedManaged, capacity: 1, context_tokens: 1000000",
        ..Setup::default()
    };
    let world = world("sku: ProvisionedManaged, capacity: 1, model: gpt-4.1-mini", setup).await;
    let mut answers = 0;
    let refused = loop {
        let answer = world.ask(WHOLE).await;
        if answer.status == 429 {
            break answer;
        }
        answers += 1;
        assert!(answers < 1_000, "it is never full");
    };
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    row.held(
        "POST /openai/v1/chat/completions to full provisioned deployments",
        &format!(
            "after {answers} answers: 429, retry-after {} s",
            refused.header("retry-after")
        ),
    );
}
